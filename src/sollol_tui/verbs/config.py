"""`sollol-tui config`: what is set and where it came from, and a file to begin with."""

from __future__ import annotations

from sollol_tui.core.plain import cell_width
from sollol_tui.core.settings_doc import example_toml
from sollol_tui.core.settings_merge import DEFAULT, Resolved
from sollol_tui.verbs.voice import Voice


def show_config(resolved: Resolved, voice: Voice, *, as_json: bool) -> int:
    """Every value and its source; secrets are `•••`."""
    if as_json:
        voice.say_json(_as_json(resolved))
        return 0
    keys = max(len(origin.key) for origin in resolved.origins)
    values = max(min(cell_width(origin.shown_value), 40) for origin in resolved.origins)
    for origin in resolved.origins:
        gap = " " * max(values - cell_width(origin.shown_value), 0)
        line = f"{origin.key:{keys}}  {origin.shown_value}{gap}  {origin.source}"
        voice.say(voice.painted(line, "dim" if origin.source == DEFAULT else None))
    for note in resolved.notes:
        voice.tell(f"note: {note}")
    return 0


def _as_json(resolved: Resolved) -> dict[str, object]:
    values = [{"key": o.key, "value": o.shown_value, "source": o.source} for o in resolved.origins]
    return {"schema": 1, "values": values, "notes": list(resolved.notes)}


def show_example(voice: Voice) -> int:
    """A commented configuration file with every key."""
    voice.out.write(example_toml())
    return 0
