"""What a thousand starts of an app in one process need not do again, nor wait for."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import textual.app
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

PAUSE_S = 1 / 400
BUSY = 0.05  # the part of a pause in which an idle process may work
AT_MOST_S = 1.0

_parse = Stylesheet._parse_rules
_parsed: dict[tuple[Any, ...], list[RuleSet]] = {}


async def _until_idle(_min_sleep: float = 0.0, _max_sleep: float = AT_MOST_S) -> None:
    """Until nothing happens in a pause. Textual's own one, two of which follow every key, is eight
    times as long: it was most of the time that tests took which press many keys. What they mean to
    see they wait for anyway."""
    end_s = time.monotonic() + AT_MOST_S
    while time.monotonic() < end_s:
        worked_s = time.process_time()
        await asyncio.sleep(PAUSE_S)
        if time.process_time() - worked_s < BUSY * PAUSE_S:
            return


def _parse_once(sheet: Stylesheet, *arguments: Any, **named: Any) -> list[RuleSet]:
    """A stylesheet in the same colours means the same in every app; one app does this itself."""
    key = (*arguments, *named.items(), *sheet._variables.items())
    rules = _parsed.get(key)
    if rules is None:
        rules = _parsed[key] = _parse(sheet, *arguments, **named)
    return rules


setattr(textual.app, "wait_for_idle", _until_idle)  # noqa: B010 - a name that it does not export
setattr(Stylesheet, "_parse_rules", _parse_once)  # noqa: B010
