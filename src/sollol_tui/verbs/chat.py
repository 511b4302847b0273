"""`sollol-tui chat`: one question to the cluster, the answer on stdout, the rest on stderr."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Protocol, TextIO

from sollol_tui.core import units
from sollol_tui.core.ask_json import ask_json
from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    ChatMessage,
    Delta,
    Failed,
    Finished,
    Notice,
    PartMoved,
    PartPlanned,
    Routed,
    RouteDecision,
    Said,
    Seam,
    Thinking,
    Waiting,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import NodeUrl
from sollol_tui.core.phases import Phase
from sollol_tui.core.plain import plain_block, plain_line
from sollol_tui.core.route_words import NOBODY_HAS_IT
from sollol_tui.core.settings import NodeSetting, Settings
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.verbs.model_file import mode_for, objection
from sollol_tui.verbs.pictures import blindness
from sollol_tui.verbs.signals import ENDS, on_signals
from sollol_tui.verbs.voice import Voice

TELL_PERCENT = 10
TELL_EVERY_S = 10.0

NEXT = "`sollol-tui check` says what is there, --node URL names a server"

EXIT_COMPLETE = 0
EXIT_NOTHING = 1
EXIT_USAGE = 2
EXIT_INCOMPLETE = 3
EXIT_INTERRUPTED = 130


class Asker(Protocol):
    """What this verb needs of the engine."""

    def running(self) -> AbstractAsyncContextManager[object]: ...

    async def look_once(self) -> ClusterSnapshot: ...

    def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]: ...

    def ask_parallel(self, request: AskRequest, parts: int = 0) -> AsyncGenerator[Said, None]: ...

    async def sees(self, model: str) -> bool | None: ...

    async def first_look(self) -> ClusterSnapshot: ...

    def leave_coordinator(self, stays: bool, found_stay: bool | None = None) -> None: ...


def chat(
    make_engine: Callable[[], Asker],
    settings: Settings,
    prompt: str,
    voice: Voice,
    *,
    target: str | None = None,
    as_json: bool = False,
    keep: bool = False,
    parallel: int | None = None,
    images: tuple[str, ...] = (),
) -> int:
    """Ask, print the answer as it comes, and return how it ended (see the README's exit codes).

    A coordinator that was started for it is stopped afterwards, unless `keep`.
    `parallel`: so many parts are written at the same time (0: as many as suit); None: one answer.
    `images` are base64 texts, for a model that sees.
    """
    teller: Teller = JsonTeller(voice) if as_json else TextTeller(voice)
    if not settings.model:
        return asyncio.run(_say_models(make_engine, voice))
    if why := objection(settings):
        voice.tell(f"sollol-tui: {why}")
        return EXIT_USAGE
    message = ChatMessage("user", prompt, images)
    request = AskRequest(settings.model, (message,), mode=mode_for(settings), target=target)
    try:
        asyncio.run(_ask(make_engine, request, teller, keep, parallel))
    except (KeyboardInterrupt, asyncio.CancelledError):
        teller.interrupted()
        return EXIT_INTERRUPTED
    if teller.gone is not None:
        raise teller.gone
    return teller.exit_code


def read_prompt(words: Sequence[str], stdin: TextIO | None) -> str:
    """The question: the words, or what stdin holds for `-`, or for no words and a pipe.

    Empty when there is none. What is not UTF-8 becomes `?` or U+FFFD: a server takes no other.
    """
    if words and tuple(words) != ("-",):
        text = " ".join(words).encode("utf-8", "replace").decode("utf-8")
    elif stdin is None or (not words and stdin.isatty()):
        return ""
    else:
        text = stdin.buffer.read().decode("utf-8-sig", "replace")
    return text.strip("\r\n") if text.strip() else ""


def with_target(settings: Settings, target: NodeUrl | None) -> Settings:
    """The settings with the one node that shall answer among their targets."""
    known = {node.url for node in settings.nodes} | {c.url for c in settings.coordinators}
    if target is None or target in known:
        return settings
    return settings._replace(nodes=(*settings.nodes, NodeSetting(target, source="flag")))


async def _ask(
    make_engine: Callable[[], Asker],
    request: AskRequest,
    teller: Teller,
    keep: bool,
    parallel: int | None,
) -> None:
    """SIGTERM and SIGHUP end it in order, as Ctrl-C does: no coordinator is left alone."""
    task = asyncio.current_task()
    assert task is not None
    on_signals(task.cancel, (number for number in ENDS if number is not signal.SIGINT))
    engine, ended = make_engine(), False
    async with engine.running():
        try:
            if request.messages[-1].images and await engine.sees(request.model) is False:
                teller.tell(Failed(blindness(request.model, await engine.first_look()), None, 0))
                return
            async with aclosing(_events(engine, request, parallel)) as events:
                async for event in events:
                    if not teller.tell(event):
                        return
            ended = True
        finally:
            # One of an earlier run stays as it was; one that never came to serve does not.
            serves = keep and (ended or teller.began)
            engine.leave_coordinator(serves, found_stay=True)


def _events(engine: Asker, request: AskRequest, parallel: int | None) -> AsyncGenerator[Said, None]:
    return engine.ask(request) if parallel is None else engine.ask_parallel(request, parallel)


async def _say_models(make_engine: Callable[[], Asker], voice: Voice) -> int:
    snapshot = await make_engine().look_once()
    models = models_of(snapshot)
    if not models:
        voice.tell(f"sollol-tui: nothing that answers has a model; {NEXT}")
        return EXIT_NOTHING
    voice.tell("sollol-tui: no model was chosen: -m MODEL, or model in the settings. There are:")
    for name, places in models.items():
        voice.tell(f"  {name}  ({', '.join(places)})")
    return EXIT_USAGE


def models_of(snapshot: ClusterSnapshot) -> dict[str, list[str]]:
    """The models that can be asked, by name, and who has each."""
    found: dict[str, list[str]] = {}
    for node in snapshot.nodes:
        for model in node.models:
            found.setdefault(model.name, []).append(node.name or node.url)
    for coordinator in snapshot.coordinators:
        if coordinator.model:
            found.setdefault(coordinator.model, []).append(coordinator.name or coordinator.url)
    return dict(sorted(found.items()))


class Teller:
    """Prints events, and remembers how the answer ended."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.chars = 0
        self.gone: OSError | None = None  # nobody reads our output any more
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int:
        """How it ended; an answer without an end is none, or not whole."""
        if self._exit_code is not None:
            return self._exit_code
        return EXIT_INCOMPLETE if self.chars else EXIT_NOTHING

    @property
    def began(self) -> bool:
        """Whether anything of an answer came."""
        return self.chars > 0

    def tell(self, event: Said) -> bool:
        """Print one event; false when there is nobody to print for."""
        if isinstance(event, Delta):
            self.chars += len(event.text)
        elif isinstance(event, Finished):
            self._exit_code = self._how_it_finished(event)
        elif isinstance(event, Failed):
            self._exit_code = EXIT_INCOMPLETE if event.kept_chars else EXIT_NOTHING
        try:
            self.print(event)
        except OSError as error:
            self.gone = error
        return self.gone is None

    def _how_it_finished(self, event: Finished) -> int:
        if not self.chars:
            return EXIT_NOTHING
        return EXIT_COMPLETE if event.outcome == "complete" else EXIT_INCOMPLETE

    def print(self, event: Said) -> None:
        raise NotImplementedError

    def interrupted(self) -> None:
        """Say that the person stopped it."""
        self.tell(Failed(Fault(FaultKind.STOPPED), None, self.chars))


class JsonTeller(Teller):
    """One event a line on stdout."""

    def print(self, event: Said) -> None:
        self.voice.say_json(ask_json(event))


class TextTeller(Teller):
    """The answer on stdout, all else on stderr. Stdout gets nothing but the answer, and a last
    newline: it may be a file."""

    def __init__(self, voice: Voice) -> None:
        super().__init__(voice)
        self._last = "\n"
        self._waited: tuple[object, ...] | None = None
        self._thinks = False
        self._parts: dict[int, tuple[str, str]] = {}  # what was said of each

    def print(self, event: Said) -> None:
        match event:
            case Routed(decision):
                self._waited, self._thinks = None, False
                self._narrate(routed_text(decision))
            case Waiting():
                self._wait(event)
            case Delta(text):
                self._write(plain_block(text))
            case Thinking():
                self._think()
            case Notice(text):
                self._narrate(text)
            case Seam(from_target, to_target, _):
                self._narrate(f"from here on {to_target} writes, instead of {from_target}")
            case PartPlanned(titles):
                self._narrate(f"in {len(titles)} parts at once: {plain_line('; '.join(titles))}")
            case PartMoved():
                self._tell_part(event)
            case Finished():
                self._end(finished_text(event) if self.chars else "the answer is empty")
            case Failed():
                self._end(failed_text(event))

    def _write(self, text: str) -> None:
        if text:
            self.voice.out.write(text)
            self.voice.out.flush()
            self._last = text[-1]

    def _narrate(self, sentence: str) -> None:
        """Say it on a line of its own, also where the answer shares the terminal."""
        if self._last != "\n" and self.voice.out.isatty():
            self.voice.err.write("\n")
            self._last = "\n"
        self.voice.tell(sentence)

    def _end(self, sentence: str) -> None:
        if self._last != "\n":
            self._write("\n")
        self.voice.tell(sentence)

    def _wait(self, event: Waiting) -> None:
        """Once per reason to wait, not once a second; now and then while a coordinator loads."""
        reason: tuple[object, ...] = (event.position, event.loading)
        if event.phase:
            percent = event.progress.processed if event.progress else 0
            reason = (event.phase, percent // TELL_PERCENT, event.age_s // TELL_EVERY_S)
        if self._waited != reason:
            self._waited = reason
            self._narrate(waiting_text(event))

    def _tell_part(self, event: PartMoved) -> None:
        """Once per change of who and how, not with every token."""
        if self._parts.get(event.part) != (event.state, event.target):
            self._parts[event.part] = event.state, event.target
            self._narrate(part_text(event))

    def _think(self) -> None:
        if not self._thinks:
            self._thinks = True
            self._narrate("the model thinks …")


def routed_text(decision: RouteDecision) -> str:
    """Who answers and why; when nobody does, why each could not."""
    if decision.target is not None:
        return f"→ {decision.name} ({decision.target}): {decision.reason}"
    rejected = [f"{c.name}: {c.rejected}" for c in decision.candidates if c.rejected]
    return "; ".join([f"nobody can answer: {decision.reason}", *rejected])


def waiting_text(event: Waiting) -> str:
    """What the first token waits for."""
    if event.phase:
        done = event.progress if event.phase == Phase.LOADING else None
        percent = f" {done.processed} %" if done is not None else ""
        return f"coordinator: {event.phase}{percent} ({units.duration(event.age_s)})"
    before = f"{event.position} before this one" if event.position else ""
    last = f", {units.span(event.last_load_s)} the last time" if event.last_load_s else ""
    loading = f"the model is loaded first{last}" if event.loading else ""
    reasons = ", ".join(part for part in (before, loading) if part)
    return f"waiting: {reasons}" if reasons else "waiting for the first token"


def part_text(event: PartMoved) -> str:
    """How far one part is, and who writes it."""
    tokens = f" · {units.counted(event.tokens, 'token')}" if event.tokens else ""
    where = f" · {event.target}" if event.target else ""
    return f"part {event.part + 1}: {event.state}{where}{tokens}"


def finished_text(event: Finished) -> str:
    """The figures of a whole answer, and what made it end early."""
    tokens = event.usage.completion_tokens
    parts = [
        "" if tokens is None else units.counted(tokens, "token"),
        units.rate(event.usage.decode_tps) if event.usage.decode_tps is not None else "",
        "" if event.ttft_s is None else f"first after {units.latency(event.ttft_s * 1000)}",
        units.duration(event.total_s),
        f"{event.tries} tries" if event.tries > 1 else "",
        ""
        if event.one_by_one_s is None
        else f"one after the other: {units.duration(event.one_by_one_s)}",
    ]
    figures = " · ".join(part for part in parts if part)
    ends = {"complete": "", "length": "cut at the token limit: ", "stopped": "stopped: "}
    return f"{ends[event.outcome]}{figures}"


def failed_text(event: Failed) -> str:
    """What went wrong, where, and whether something came."""
    where = f" at {event.target}" if event.target else ""
    kept = " (the answer is not whole)" if event.kept_chars else ""
    fault = event.fault
    if not event.tries and not event.target and fault.detail:  # a decision's own sentence
        next_step = "; chat without -m lists the models" if fault.detail == NOBODY_HAS_IT else ""
        return f"sollol-tui: {fault.detail}{next_step}"
    return f"sollol-tui: {fault}{where}{kept}"
