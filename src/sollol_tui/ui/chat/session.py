"""A chat without a screen: what was asked and answered, and what each event lets the screen show.

Everything here is plain state: no widget, no clock (times are passed in), no task.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from sollol_tui.core.asks import (
    AskRequest,
    ChatMessage,
    ChatOptions,
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
from sollol_tui.core.images import Image
from sollol_tui.core.state import Mode
from sollol_tui.ui.chat import sentences
from sollol_tui.ui.text import Line

Outcome: TypeAlias = Literal["running", "complete", "length", "stopped", "incomplete", "failed"]

SERVER_DECIDES = ChatOptions()

NO_TOKEN_S = 3.0
"""So long without a token is worth saying."""


# What the transcript is told of the answer that is being written


class ShowHeader(NamedTuple):
    line: Line


class ShowText(NamedTuple):
    text: str


class ShowThought(NamedTuple):
    text: str


class FoldThought(NamedTuple):
    label: Line


class ShowNotice(NamedTuple):
    line: Line


class ShowSeam(NamedTuple):
    text: str


class ShowEnd(NamedTuple):
    """Nothing comes any more; these lines stand under the answer."""

    lines: tuple[Line, ...]


Show: TypeAlias = (
    ShowHeader | ShowText | ShowThought | FoldThought | ShowNotice | ShowSeam | ShowEnd
)


class Turn:
    """A question and its answer so far. Times are seconds on the caller's clock."""

    def __init__(
        self, prompt: str, model: str, now_s: float, images: tuple[Image, ...] = ()
    ) -> None:
        self.prompt = prompt
        self.images = images  # that go with the question
        self.model = model
        self.started_s = now_s
        self.outcome: Outcome = "running"
        self.fault: Fault | None = None
        self.decisions = list[RouteDecision]()  # of the targets that wrote, the last one last
        self.waiting: Waiting | None = None
        self.waiting_s = now_s
        self.tokens = 0
        self.first_token_s: float | None = None
        self.last_token_s = now_s
        self.thinking_s: float | None = None  # since when it thinks
        self.writers = list[PartMoved]()  # of its parts, when several write it at once
        self.thoughts = list[str]()
        self.thought_s = 0.0  # how long it thought
        self.seams = list[tuple[int, str]]()  # characters before it, and its words
        self.ended_s = now_s
        self.tries = 1
        self.finished: Finished | None = None
        self._parts = list[str]()

    @property
    def answer(self) -> str:
        return "".join(self._parts)

    @property
    def has_text(self) -> bool:
        return bool(self._parts)

    @property
    def target_name(self) -> str:
        return sentences.target_name(self.decisions[-1]) if self.decisions else ""

    @property
    def decision_id(self) -> str | None:
        return self.decisions[-1].id if self.decisions else None

    def write(self, text: str) -> None:
        self._parts.append(text)

    def count(self, tokens: int, now_s: float) -> None:
        if self.first_token_s is None:
            self.first_token_s = now_s
        self.tokens += tokens
        self.last_token_s = now_s

    def decode_tps(self) -> float | None:
        """Tokens per second since the first one, as counted here; None before it can be told."""
        if self.first_token_s is None or self.tokens < 2:
            return None
        passed_s = self.last_token_s - self.first_token_s
        return (self.tokens - 1) / passed_s if passed_s > 0 else None

    def figures(self, now_s: float) -> str:
        """Its figures as counted here."""
        first_s = self.first_token_s
        ttft_s = None if first_s is None else first_s - self.started_s
        passed_s = now_s - self.started_s
        return sentences.figures(self.tokens, self.decode_tps(), ttft_s, passed_s)


class ChatSession:
    """One conversation. At most one answer is being written.

    Args:
        conversation: its id, by which the router keeps it on one target while the load allows.
    """

    def __init__(self, conversation: str = "") -> None:
        self.conversation = conversation
        self.system = ""  # told to the model before everything else
        self.turns = list[Turn]()

    @property
    def current(self) -> Turn | None:
        """The turn whose answer is being written."""
        last = self.turns[-1] if self.turns else None
        return last if last is not None and last.outcome == "running" else None

    # Questions

    def to_request(
        self,
        prompt: str,
        model: str,
        options: ChatOptions = SERVER_DECIDES,
        *,
        mode: Mode | None = None,
        target: str | None = None,
        images: tuple[Image, ...] = (),
    ) -> AskRequest:
        """The question with what was said before. Turns without any answer are left out: a model
        that finds two questions in a row answers the wrong one."""
        messages = [ChatMessage("system", self.system)] if self.system else []
        for turn in self.turns:
            if turn.has_text:
                messages.append(_asked(turn.prompt, turn.images))
                messages.append(ChatMessage("assistant", turn.answer))
        messages.append(_asked(prompt, images))
        return AskRequest(model, tuple(messages), options, mode, target, self.conversation)

    def begin(self, prompt: str, model: str, now_s: float, images: tuple[Image, ...] = ()) -> Line:
        """A question is being asked; the line over its answer."""
        self.turns.append(Turn(prompt, model, now_s, images))
        return sentences.header(model, ())

    # Answers

    def apply(self, event: Said, now_s: float) -> tuple[Show, ...]:
        """What the transcript shall show of an event. Events after the end show nothing."""
        turn = self.current
        if turn is None:
            return ()
        match event:
            case Delta():
                return (*_unfolded(turn, now_s), *_written(turn, event, now_s))
            case Thinking():
                return _thought(turn, event, now_s)
            case Routed(decision):
                return _routed(turn, decision, now_s)
            case Waiting():
                turn.waiting, turn.waiting_s = event, now_s
                return ()
            case Notice(text):
                return (ShowNotice(sentences.notice(text)),)
            case Seam():
                return (*_unfolded(turn, now_s), _seamed(turn))
            case PartPlanned(titles):
                turn.writers = [PartMoved(i, "waiting", "", 0) for i in range(len(titles))]
                return ()
            case PartMoved():
                turn.writers[event.part] = event
                return ()
            case Finished():
                return self._finished(turn, event, now_s)
            case Failed():
                return self._failed(turn, event, now_s)

    def stop(self, now_s: float) -> tuple[Show, ...]:
        """The person stopped the answer: what came stays."""
        turn = self.current
        if turn is None:
            return ()
        line = sentences.stopped(turn.figures(now_s))
        return self._end(turn, "stopped", (line,), now_s)

    def cut(self, fault: Fault, now_s: float) -> tuple[Show, ...]:
        """The answer ended without saying so."""
        turn = self.current
        target = turn.decisions[-1].target if turn and turn.decisions else None
        return self.apply(Failed(fault, target, 0), now_s)

    def _finished(self, turn: Turn, event: Finished, now_s: float) -> tuple[Show, ...]:
        line = sentences.finished(event, turn.figures(now_s))
        turn.finished, turn.tries = event, event.tries
        return self._end(turn, event.outcome, (line,), now_s)

    def _failed(self, turn: Turn, event: Failed, now_s: float) -> tuple[Show, ...]:
        turn.fault, turn.tries = event.fault, event.tries
        if event.fault.kind is FaultKind.STOPPED:
            return self.stop(now_s)
        lines = sentences.failed(event, _name_of(turn, event.target), turn.has_text)
        return self._end(turn, "incomplete" if turn.has_text else "failed", lines, now_s)

    def _end(
        self, turn: Turn, outcome: Outcome, lines: tuple[Line, ...], now_s: float
    ) -> tuple[Show, ...]:
        shows = _unfolded(turn, now_s)
        turn.outcome, turn.ended_s = outcome, now_s
        return (*shows, ShowEnd(lines))

    # What is going on

    def state(self, now_s: float) -> str:
        """The answer that is being written, in one line; empty when there is none."""
        turn = self.current
        if turn is None:
            return ""
        passed_s = now_s - turn.started_s
        if turn.writers:
            return sentences.writers(turn.writers, passed_s)
        if turn.first_token_s is None:
            if turn.waiting is not None:
                passed_s = turn.waiting.age_s + now_s - turn.waiting_s
            return sentences.waiting(turn.model, turn.target_name, turn.waiting, passed_s)
        silent_s = now_s - turn.last_token_s
        return sentences.running(
            turn.tokens,
            turn.decode_tps(),
            passed_s,
            is_thinking=turn.thinking_s is not None,
            silent_s=silent_s if silent_s >= NO_TOKEN_S else None,
        )


def without_pictures(request: AskRequest) -> AskRequest:
    """The question for a model that does not see: what was said, without the pictures."""
    blind = tuple(message._replace(images=()) for message in request.messages)
    return request._replace(messages=blind)


def _asked(prompt: str, images: tuple[Image, ...]) -> ChatMessage:
    return ChatMessage("user", prompt, tuple(image.data for image in images))


def _routed(turn: Turn, decision: RouteDecision, now_s: float) -> tuple[Show, ...]:
    if not turn.has_text:
        turn.decisions.clear()  # the ones before wrote nothing
    turn.decisions.append(decision)
    turn.waiting, turn.waiting_s = None, now_s
    return (ShowHeader(sentences.header(decision.model or turn.model, turn.decisions)),)


def _written(turn: Turn, event: Delta, now_s: float) -> tuple[Show, ...]:
    turn.count(event.tokens, now_s)
    turn.write(event.text)
    return (ShowText(event.text),)


def _thought(turn: Turn, event: Thinking, now_s: float) -> tuple[Show, ...]:
    if turn.thinking_s is None:
        turn.thinking_s = now_s
    turn.count(event.tokens, now_s)
    turn.thoughts.append(event.text)
    return (ShowThought(event.text),)


def _seamed(turn: Turn) -> Show:
    words = sentences.seam(turn.target_name)
    turn.seams.append((len(turn.answer), words))
    return ShowSeam(words)


def _unfolded(turn: Turn, now_s: float) -> tuple[Show, ...]:
    """The answer begins, or ends: what was thought is folded."""
    if turn.thinking_s is None:
        return ()
    turn.thought_s += now_s - turn.thinking_s
    label = sentences.thought_label(now_s - turn.thinking_s)
    turn.thinking_s = None
    return (FoldThought(label),)


def _name_of(turn: Turn, target: str | None) -> str:
    named = (sentences.target_name(d) for d in reversed(turn.decisions) if d.target == target)
    return next(named, "")
