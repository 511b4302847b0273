"""A question and its answer: what came so far, from whom, and how it ended."""

from __future__ import annotations

from typing import Literal, TypeAlias

from sollol_tui.core.asks import Finished, PartMoved, RouteDecision, Waiting
from sollol_tui.core.chats import NoticeMark, SeamMark
from sollol_tui.core.faults import Fault
from sollol_tui.core.images import Image
from sollol_tui.ui.chat import sentences
from sollol_tui.ui.text import Line

Outcome: TypeAlias = Literal["running", "complete", "length", "stopped", "incomplete", "failed"]


class Turn:
    """A question and its answer so far. Times are seconds on the caller's clock."""

    def __init__(
        self, prompt: str, model: str, now_s: float, images: tuple[Image, ...] = ()
    ) -> None:
        self.prompt = prompt
        self.images = images  # that go with the question
        self.model = model
        self.asked_at_s = 0.0  # since the epoch
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
        self.seams = list[SeamMark]()
        self.notices = list[NoticeMark]()
        self.ended_s = now_s
        self.tries = 1
        self.finished: Finished | None = None
        self.end: tuple[Line, ...] = ()  # the lines under it
        self.note: tuple[Line, ...] = ()  # how another try at it ended that changed nothing
        self.went_on: Outcome | None = None  # how it had ended before it was continued
        self._parts = list[str]()
        self._so_far_chars = 0  # that were there when it was continued
        self._tokens_before = 0
        self._passed_before_s = 0.0
        self._has_written = False  # the target of the last decision
        self._own_thoughts = 0  # where those of that target begin

    # What it says

    @property
    def answer(self) -> str:
        return "".join(self._parts)

    @property
    def has_text(self) -> bool:
        return bool(self._parts)

    @property
    def has_new_text(self) -> bool:
        """Whether text came since it was asked or continued."""
        return len(self._parts) > (1 if self._so_far_chars else 0)

    @property
    def can_go_on(self) -> bool:
        """Whether there is the beginning of an answer that was cut, stopped or too long."""
        return self.has_text and self.outcome in ("length", "stopped", "incomplete")

    @property
    def target_name(self) -> str:
        return sentences.target_name(self.decisions[-1]) if self.decisions else ""

    @property
    def decision_id(self) -> str | None:
        return self.decisions[-1].id if self.decisions else None

    # What comes

    def route(self, decision: RouteDecision) -> None:
        """Another target is asked; the one before counts only if it wrote."""
        if self.decisions and not self._has_written:
            self.decisions.pop()
        self.decisions.append(decision)
        self._has_written = False

    def write(self, text: str, tokens: int = 1) -> None:
        self._parts.append(text)
        self._has_written = self._has_written or tokens > 0

    def think(self, text: str) -> str:
        """Take a thought; returns it as it is to be shown, apart from those of another target."""
        if self.thoughts and len(self.thoughts) == self._own_thoughts:
            text = f"\n\n{text}"
        self.thoughts.append(text)
        return text

    def forget_thoughts(self) -> bool:
        """Drop what a target thought that then did not answer. False when it did, or there is
        nothing of it."""
        is_dropped = not self._has_written and len(self.thoughts) > self._own_thoughts
        if is_dropped:
            del self.thoughts[self._own_thoughts :]
            self.thinking_s = None
        self._own_thoughts = len(self.thoughts)
        return is_dropped

    def seam(self, words: str) -> None:
        """From here on the target of the last decision writes."""
        self.seams.append(SeamMark(len(self.answer), words, len(self.decisions) - 1))

    def count(self, tokens: int, now_s: float) -> None:
        if self.first_token_s is None:
            self.first_token_s = now_s
        self.tokens += tokens
        self.last_token_s = now_s

    # Going on

    def continued(self, now_s: float) -> Turn:
        """The same turn once more, to be written on from where it ended."""
        turn = Turn(self.prompt, self.model, now_s, self.images)
        turn.asked_at_s = self.asked_at_s
        turn.decisions, turn.seams = list(self.decisions), list(self.seams)
        turn.thoughts, turn.thought_s = list(self.thoughts), self.thought_s
        turn.notices = list(self.notices)
        turn.went_on = self.outcome
        turn._parts, turn._so_far_chars = [self.answer], len(self.answer)
        turn._has_written, turn._own_thoughts = True, len(self.thoughts)
        told = self.finished.usage.completion_tokens if self.finished else None
        turn.tokens = turn._tokens_before = self.tokens if told is None else told
        turn._passed_before_s = self.passed_s
        return turn

    def summed(self, event: Finished) -> Finished:
        """An end, with what was written before it was continued."""
        tokens = event.usage.completion_tokens
        if tokens is not None:
            tokens += self._tokens_before
        usage = event.usage._replace(completion_tokens=tokens)
        return event._replace(usage=usage, total_s=event.total_s + self._passed_before_s)

    # Figures

    @property
    def passed_s(self) -> float:
        """How long it was written, all in all."""
        if self.finished is not None:
            return self.finished.total_s
        return self.ended_s - self.started_s + self._passed_before_s

    @property
    def ttft_s(self) -> float | None:
        if self.finished is not None:
            return self.finished.ttft_s
        return None if self.first_token_s is None else self.first_token_s - self.started_s

    def decode_tps(self) -> float | None:
        """Tokens per second since the first one, as counted here; None before it can be told."""
        counted = self.tokens - self._tokens_before
        if self.first_token_s is None or counted < 2:
            return None
        passed_s = self.last_token_s - self.first_token_s
        return (counted - 1) / passed_s if passed_s > 0 else None

    def figures(self, now_s: float) -> str:
        """Its figures as counted here."""
        passed_s = now_s - self.started_s + self._passed_before_s
        return sentences.figures(self.tokens, self.decode_tps(), self.ttft_s, passed_s)
