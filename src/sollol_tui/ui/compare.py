"""One question to several models or nodes: whom to ask, how they are arranged, who was best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core import units
from sollol_tui.core.ids import coordinator_words
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.ui.arguments import find_node, find_target
from sollol_tui.ui.chat.models import ModelChoice, Place, find_model, models_of
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.text import Line, Span, clean, fit, width

if TYPE_CHECKING:
    from sollol_tui.ui.chat.turn import Turn

LEAST, MOST = 2, 4
"""So many are compared."""

LEAST_CELLS = 40
"""A column is not narrower, with its border."""

LEAST_ROWS = 12
"""Nor lower, where columns lie in two rows."""

COORDINATOR = "coordinator"


class Target(NamedTuple):
    """Who is asked: a model somewhere (no `url`: wherever the router sends it)."""

    model: str
    url: str | None = None
    place: str = ""  # the name of what lies at the URL
    is_coordinator: bool = False

    @property
    def label(self) -> str:
        """`llama3.2:3b on gpu-rig`."""
        return f"{clean(self.model)} on {self.where}" if self.url else clean(self.model)

    @property
    def where(self) -> str:
        """The place by its name; empty when the router chooses it."""
        name = clean(self.place)
        return coordinator_words(name) if self.is_coordinator else name

    @property
    def mode(self) -> Mode | None:
        """The mode that asks this place, whatever mode is in force."""
        if self.url is None:
            return None
        return Mode.MODEL if self.is_coordinator else Mode.TASK


def short_labels(targets: Sequence[Target]) -> list[str]:
    """What tells them apart: their models, the places of those with the same one, else both."""
    models = [clean(t.model) for t in targets]
    if len(set(models)) == len(targets):
        return models
    names = [
        t.where or model if models.count(model) > 1 else model
        for t, model in zip(targets, models, strict=True)
    ]
    return names if len(set(names)) == len(targets) else [t.label for t in targets]


# Whom to ask


def target_at(choice: ModelChoice, place: Place) -> Target:
    """A model on one of its places."""
    return Target(choice.name, place.url, place.name, place.is_coordinator)


def named(text: str, snapshot: ClusterSnapshot, model: str) -> tuple[Target, ...]:
    """The targets that a line names: models, and nodes that are asked for the model before them.

    `llama3.2 qwen3:8b` are two models; `gpu-rig spark` are `model` on two nodes; `qwen3:8b gpu-rig
    spark` is that model on both. Raises `Refused`.
    """
    choices = models_of(snapshot)
    found: list[Target] = []
    subject, is_open = find_model(choices, model), False
    for word in text.split():
        choice = find_model(choices, word)
        if choice is None:
            found.append(_on_place(subject, _url_of(word, snapshot), word, model))
            is_open = False
            continue
        if is_open and subject is not None:
            found.append(_anywhere(subject))
        subject, is_open = choice, True
    if is_open and subject is not None:
        found.append(_anywhere(subject))
    targets = tuple(dict.fromkeys(found))
    if len(targets) > MOST:
        raise Refused(f"At most {MOST} are compared, not {len(targets)}.")
    return targets


def _url_of(word: str, snapshot: ClusterSnapshot) -> str:
    if word.casefold() == COORDINATOR and snapshot.coordinators:
        return snapshot.coordinators[0].url
    url = find_node(snapshot, word) or find_target(snapshot, word)
    if url is None or snapshot.backend(url) is not None:
        raise Refused(f"“{word}” is no model and no node here.")
    return url


def _on_place(subject: ModelChoice | None, url: str, word: str, model: str) -> Target:
    if subject is None:
        which = f"Nobody has “{model}”" if model else "No model was chosen"
        raise Refused(f"{which}: name the model before the node.")
    place = next((p for p in subject.places if p.url == url), None)
    if place is None:
        raise Refused(f"“{word}” does not have {subject.name}: name another model first.")
    if place.problem:
        raise Refused(f"{subject.name} cannot be asked on “{word}”: {place.problem}.")
    return target_at(subject, place)


def _anywhere(choice: ModelChoice) -> Target:
    if not choice.is_usable:
        raise Refused(f"“{choice.name}” cannot be asked: {choice.problem}.")
    return Target(choice.name)


# How they are arranged


def side_by_side(count: int, cells: int, rows: int) -> int:
    """How many of them lie beside each other in so much room; 0: one is shown at a time."""
    fits = cells // LEAST_CELLS
    if fits >= count:
        return count
    return 2 if fits >= 2 and rows >= 2 * LEAST_ROWS else 0


# How it ended


def outcome(turn: Turn) -> Span:
    """How an answer ended, in a few words."""
    fault = clean(str(turn.fault)) if turn.fault else "it ended without its end"
    match turn.outcome:
        case "complete":
            return ("✓ answered", "good")
        case "length":
            return ("▲ the token limit cut it off", "warn")
        case "stopped":
            return ("■ stopped", "warn")
        case "incomplete":
            return (f"▲ incomplete: {fault}", "warn")
        case "failed":
            return (f"✗ no answer: {fault}", "bad")
    return ("", "")


class _Figures(NamedTuple):
    """What is compared of an answer; None: not known, or the answer is no whole one."""

    ttft_s: float | None = None
    tps: float | None = None
    tokens: int | None = None
    total_s: float | None = None


def summary(answers: Sequence[tuple[Target, Turn]], cells: int) -> list[Line]:
    """A line for each answer, its figures in columns, the best of each marked."""
    figures = [_figures(turn) for _, turn in answers]
    first = _best(min, [f.ttft_s for f in figures])
    fastest = _best(max, [f.tps for f in figures])
    soonest = _best(min, [f.total_s for f in figures])
    lines: list[Line] = []
    longest = max((width(target.label) for target, _ in answers), default=0)
    names = max(8, min(longest, cells - _FIGURE_CELLS))
    for number, ((target, turn), own) in enumerate(zip(answers, figures, strict=True), 1):
        start: Line = ((f"{number} ", "muted"), (f"{fit(target.label, names)}  ", ""))
        if own.total_s is None:
            lines.append((*start, outcome(turn)))
            continue
        lines.append(
            (
                *start,
                ("TTFT ", "muted"),
                _figure(f"{_seconds(own.ttft_s):>7}", own.ttft_s, first),
                _figure(f"{units.rate(own.tps):>13}", own.tps, fastest),
                (f"{units.count(own.tokens):>7} tok", ""),
                _figure(f"{_seconds(own.total_s):>9}", own.total_s, soonest),
            )
        )
    return lines


_FIGURE_CELLS = 2 + 2 + 5 + 7 + 13 + 11 + 9 + 1  # all but the name, and a margin


def _figures(turn: Turn) -> _Figures:
    """Those that the server told, else those counted here."""
    finished = turn.finished
    if finished is None or turn.outcome not in ("complete", "length"):
        return _Figures()
    usage = finished.usage
    tokens, tps = usage.completion_tokens, usage.decode_tps
    return _Figures(
        finished.ttft_s,
        turn.decode_tps() if tps is None else tps,
        turn.tokens if tokens is None else tokens,
        finished.total_s,
    )


def _best(
    choose: Callable[[Sequence[float]], float], values: Sequence[float | None]
) -> float | None:
    """The best of several; None where there is nothing to compare, or all are alike."""
    known = [value for value in values if value is not None]
    return choose(known) if len(set(known)) > 1 else None


def _figure(text: str, value: float | None, best: float | None) -> Span:
    return (text, "good bold" if value is not None and value == best else "")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return units.UNKNOWN
    return f"{seconds:.2f} s" if seconds < 9.995 else units.duration(seconds)
