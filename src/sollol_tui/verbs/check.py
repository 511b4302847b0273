"""`sollol-tui check`: what is wrong here and in the cluster, and what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

from sollol_tui.core.checks import Check, Level, all_checks, checks_json
from sollol_tui.core.plain import cell_width
from sollol_tui.engine.examine import Examination, examine
from sollol_tui.verbs.problem_lines import INDENT, wrapped
from sollol_tui.verbs.voice import Colour, Voice

EXIT_WELL = 0
EXIT_FAILS = 1

_COLOURS: dict[Level, Colour] = {Level.OK: "good", Level.WARN: "warn", Level.FAIL: "bad"}
TITLES = {
    "settings": "settings",
    "state_dir": "state directory",
    "sollol_files": "SOLLOL's files",
    "terminal": "terminal",
    "llama_server": "llama-server",
    "rpc_server": "ggml-rpc-server",
    "model_store": "model store",
    "model": "model",
    "fit": "will it fit",
    "port": "coordinator's port",
    "coordinator": "coordinator",
    "backend": "RPC backend",
    "node": "Ollama node",
    "registry": "registry",
}
_UNDER = " " * 6  # what stands under a check: behind the level


def check(
    what: Examination,
    voice: Voice,
    *,
    as_json: bool,
    clock: Callable[[], float] = time.time,
) -> int:
    """Look at everything and print it; returns 0 when nothing fails, else 1."""
    checks = all_checks(asyncio.run(examine(what)))
    if as_json:
        voice.say_json(checks_json(checks, clock()))
    else:
        for line in (*_lines(checks, voice), "", _summary(checks)):
            voice.say(line)
    fails = any(one.level is Level.FAIL for one in checks)
    return EXIT_FAILS if fails else EXIT_WELL


def _lines(checks: Sequence[Check], voice: Voice) -> Iterator[str]:
    for one in checks:
        yield from _check(one, voice)


def _check(one: Check, voice: Voice) -> Iterator[str]:
    level = voice.painted(f"{one.level.value:4}", _COLOURS[one.level])
    title, evidence = f"{TITLES[one.name]} {one.subject}".rstrip(), one.evidence
    if cell_width(f"{_UNDER}{title}: {one.says}") > voice.width_cells:
        title, evidence = TITLES[one.name], (one.subject, *evidence)
    first, *rest = wrapped(f"{_UNDER}{title}: {one.says}", voice.width_cells)
    yield f"{level}{first[4:]}"
    yield from rest
    for line in filter(None, evidence):
        yield from wrapped(f"{_UNDER}{INDENT}{line}", voice.width_cells, INDENT)
    if one.next:
        yield from wrapped(f"{_UNDER}→ {one.next}", voice.width_cells, INDENT)


def _summary(checks: Sequence[Check]) -> str:
    counts = {level: sum(one.level is level for one in checks) for level in Level}
    return f"{counts[Level.OK]} ok, {counts[Level.WARN]} to look at, {counts[Level.FAIL]} wrong"
