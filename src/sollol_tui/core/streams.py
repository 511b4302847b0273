"""Lines of a streamed answer in, `StreamEvent`s out: Ollama's NDJSON and llama-server's SSE.

A stream says exactly one last event, `End` or `Broken`, and nothing after it. An answer that stops
without its proper end is never an `End`, however whole it looks.
"""

from __future__ import annotations

from typing import Literal, Protocol

from sollol_tui.core.asks import Broken, End, Progress, StreamEvent, Thought, Token, Usage
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.wire import (
    count,
    error_of,
    fault_of_code,
    fields,
    items,
    number,
    one_line,
    parse_json,
    positive,
    text,
)

LONGEST_LINE_BYTES = 8 * 1024 * 1024  # what Ollama's own client allows (api/client.go)

EndReason = Literal["stop", "length", "tool_calls", "load", "unload"]
_REASONS: dict[str, EndReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "load": "load",
    "unload": "unload",
}


class LineSplitter:
    """Cuts a body into lines, however its bytes arrive; constant work per byte.

    A line over the limit sets `fault`, and nothing comes after it.
    """

    def __init__(self, longest_bytes: int = LONGEST_LINE_BYTES) -> None:
        self.fault: Fault | None = None
        self._longest = longest_bytes
        self._held = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole now, without their line ends."""
        if self.fault is not None:
            return []
        head, newline, rest = chunk.partition(b"\n")
        self._held += head
        if not newline:
            self._check(len(self._held))
            return []
        lines = [bytes(self._held), *rest.split(b"\n")]
        self._held = bytearray(lines.pop())
        return self._within(lines)

    def rest(self) -> list[bytes]:
        """At the end of the body: the last line, when it has no line end."""
        last, self._held = bytes(self._held), bytearray()
        return [last] if last and self.fault is None else []

    def _within(self, lines: list[bytes]) -> list[bytes]:
        for index, line in enumerate(lines):
            if not self._check(len(line)):
                return lines[:index]
        self._check(len(self._held))
        return lines

    def _check(self, length: int) -> bool:
        if length <= self._longest:
            return True
        self.fault = Fault(FaultKind.PROTOCOL, f"a line longer than {self._longest} bytes")
        self._held = bytearray()
        return False


class OllamaStream:
    """Ollama's `/api/chat`: one JSON object per line, the last with `"done": true`."""

    def __init__(self) -> None:
        self._ended = False

    def feed(self, line: bytes) -> list[StreamEvent]:
        """What one line says."""
        if self._ended or not line.strip():
            return []
        said = parse_json(line)
        if not isinstance(said, dict):
            return self._end(Broken(Fault(FaultKind.PROTOCOL, f"not JSON: {_excerpt(line)}")))
        if said.get("error") is not None:
            return self._end(Broken(_fault_in(said)))
        message = fields(said.get("message"))
        events: list[StreamEvent] = []
        if thought := text(message.get("thinking")):
            events.append(Thought(thought))
        if words := text(message.get("content")):
            events.append(Token(words))
        if said.get("done") is True:
            reason = _REASONS.get(text(said.get("done_reason")), "stop")
            events += self._end(End(reason, _ollama_usage(said)))
        return events

    def finish(self) -> list[StreamEvent]:
        """At the end of the body: nothing when the answer had ended, else that it broke off.

        Ollama closes some failed answers cleanly, without an error line (facts/ollama.md §2.3).
        """
        if self._ended:
            return []
        return self._end(Broken(Fault(FaultKind.CUT, "no last line with done")))

    def _end(self, event: End | Broken) -> list[StreamEvent]:
        self._ended = True
        return [event]


class LlamaStream:
    """llama-server's `/v1/chat/completions`: server-sent events, one JSON object each.

    The end is the chunk with `finish_reason`; what was used comes in a chunk after it, then
    `[DONE]`. Lines that are no data are passed over; the last of them is kept as evidence (the
    router writes `proxy error: …` bare).
    """

    def __init__(self) -> None:
        self._ended = False
        self._heard = False  # any data at all
        self._stray = ""
        self._reason: EndReason | None = None
        self._used: dict[str, object] = {}
        self._timed: dict[str, object] = {}

    def feed(self, line: bytes) -> list[StreamEvent]:
        """What one line says."""
        if self._ended:
            return []
        name, colon, value = line.strip().partition(b":")
        if name == b"data" and colon:
            self._heard = True
            return self._data(value.strip())
        if name == b"error" and colon:  # how older builds tell an error
            return self._end(Broken(_fault_in({"error": parse_json(value) or _excerpt(value)})))
        if name and name not in (b"event", b"id", b"retry"):
            self._stray = _excerpt(line)
        return []

    def finish(self) -> list[StreamEvent]:
        """At the end of the body: the end, when a `finish_reason` came; else that it broke off."""
        if self._ended:
            return []
        if self._reason is not None:
            return self._end(End(self._reason, _llama_usage(self._used, self._timed)))
        kind = FaultKind.CUT if self._heard or not self._stray else FaultKind.PROTOCOL
        return self._end(Broken(Fault(kind, self._stray or "no finish_reason")))

    def _data(self, data: bytes) -> list[StreamEvent]:
        if data == b"[DONE]":
            return self.finish()
        said = parse_json(data)
        if not isinstance(said, dict):
            return self._end(Broken(Fault(FaultKind.PROTOCOL, f"not JSON: {_excerpt(data)}")))
        if said.get("error") is not None:
            return self._end(Broken(_fault_in(said)))
        self._used = fields(said.get("usage")) or self._used
        self._timed = fields(said.get("timings")) or self._timed
        events = _progress(said)
        for choice in items(said.get("choices"))[:1]:
            events += self._choice(fields(choice))
        return events

    def _choice(self, choice: dict[str, object]) -> list[StreamEvent]:
        delta = fields(choice.get("delta"))
        events: list[StreamEvent] = []
        if thought := text(delta.get("reasoning_content")):
            events.append(Thought(thought))
        if words := text(delta.get("content")):
            events.append(Token(words))
        if reason := text(choice.get("finish_reason")):
            self._reason = _REASONS.get(reason, "stop")
        return events

    def _end(self, event: End | Broken) -> list[StreamEvent]:
        self._ended = True
        return [event]


class LineParser(Protocol):
    """`OllamaStream` or `LlamaStream`."""

    def feed(self, line: bytes) -> list[StreamEvent]: ...
    def finish(self) -> list[StreamEvent]: ...


class AnswerReader:
    """Bytes of an answer's body in, events out; says exactly one `End` or `Broken`, as the last.

    `so_far` is the text that was handed over with the request: its repetition is left out.
    """

    def __init__(self, parser: LineParser, so_far: str = "") -> None:
        self._parser = parser
        self._so_far = so_far
        self._lines = LineSplitter()
        self._heard = False
        self.last: End | Broken | None = None

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """What these bytes add, without the last event, which is kept in `last`."""
        said: list[StreamEvent] = []
        for line in self._lines.feed(chunk):
            said += self._parser.feed(line)
        if self._lines.fault is not None:
            said.append(Broken(self._lines.fault))
        return self._sorted_out(said)

    def finish(self) -> list[StreamEvent]:
        """What the proper end of the body adds. Half a line after good ones is a cut answer."""
        said: list[StreamEvent] = []
        for line in self._lines.rest():
            said += self._parser.feed(line)
        half = [e for e in said if isinstance(e, Broken) and e.fault.kind is FaultKind.PROTOCOL]
        if half and self._heard:
            said = [Broken(half[0].fault._replace(kind=FaultKind.CUT))]
        return self._sorted_out(said + self._parser.finish())

    def break_off(self, fault: Fault) -> None:
        """The connection broke. An answer that had said its end stays whole."""
        if self.last is None:
            ended = [event for event in self._parser.finish() if isinstance(event, End)]
            self.last = ended[0] if ended else Broken(fault)

    def _sorted_out(self, said: list[StreamEvent]) -> list[StreamEvent]:
        self._heard = self._heard or bool(said)
        events: list[StreamEvent] = []
        for event in said:
            if isinstance(event, End | Broken):
                self.last = self.last or event
            elif isinstance(event, Token) and self._so_far:
                new, self._so_far = strip_handed_over(self._so_far, event.text), ""
                events += [Token(new)] if new else []
            else:
                events.append(event)
        return events


class Meter:
    """Measures an answer as it arrives: when its first and its last token came.

    `started_at_s` and the times of `stamp` are of one clock, in seconds. A chunk counts as one
    token: nearly always it is.
    """

    def __init__(self, started_at_s: float) -> None:
        self.started_at_s = started_at_s
        self.first_token_at_s: float | None = None
        self.last_token_at_s: float | None = None
        self.tokens = 0

    def stamp(self, at_s: float) -> None:
        """A token (of the answer or of thinking) came."""
        if self.first_token_at_s is None:
            self.first_token_at_s = at_s
        self.last_token_at_s = at_s
        self.tokens += 1

    @property
    def ttft_s(self) -> float | None:
        """From the request to the first token."""
        if self.first_token_at_s is None:
            return None
        return self.first_token_at_s - self.started_at_s

    @property
    def decode_tps(self) -> float | None:
        """Tokens per second after the first one; None while there is no second one."""
        if self.first_token_at_s is None or self.last_token_at_s is None:
            return None
        passed_s = self.last_token_at_s - self.first_token_at_s
        return (self.tokens - 1) / passed_s if self.tokens > 1 and passed_s > 0 else None


def strip_handed_over(text_so_far: str, first_content: str) -> str:
    """The new text in the first content of an answer that was handed over.

    Servers repeat the whole text so far, the first new token glued to it; others may not, and a
    template that trims drops white space around it, which stays as it was shown here.
    """
    if first_content.startswith(text_so_far):
        return first_content[len(text_so_far) :]
    kept, head = text_so_far.strip(), first_content.lstrip()
    if not kept or not head.startswith(kept):
        return first_content
    dropped = text_so_far[len(text_so_far.rstrip()) :]
    new = head[len(kept) :]
    same = 0
    while same < min(len(dropped), len(new)) and dropped[same] == new[same]:
        same += 1  # the model writes the white space again that is on the screen already
    return new[same:]


def _progress(said: dict[str, object]) -> list[StreamEvent]:
    found = fields(said.get("prompt_progress"))
    processed, total = count(found.get("processed")), positive(found.get("total"))
    return [Progress(processed, total)] if processed is not None and total is not None else []


def _ollama_usage(said: dict[str, object]) -> Usage:
    """Durations are nanoseconds, and a zero is left out by the server.

    No prompt rate: the count holds the cached tokens, the duration does not (facts/ollama.md §2.1).
    """
    tokens, decode_ns = count(said.get("eval_count")), number(said.get("eval_duration"))
    load_ns = number(said.get("load_duration"))
    return Usage(
        prompt_tokens=count(said.get("prompt_eval_count")),
        completion_tokens=tokens,
        decode_tps=tokens / decode_ns * 1e9 if tokens and decode_ns and decode_ns > 0 else None,
        load_s=load_ns / 1e9 if load_ns is not None else None,
        queue_s=_ollama_queue_s(said),
    )


def _ollama_queue_s(said: dict[str, object]) -> float | None:
    """What of the whole time was neither loading nor reading nor writing: the wait for a slot."""
    whole_ns, decode_ns = number(said.get("total_duration")), number(said.get("eval_duration"))
    if whole_ns is None or decode_ns is None:
        return None
    others = [number(said.get(key)) or 0.0 for key in ("load_duration", "prompt_eval_duration")]
    return max(0.0, whole_ns - decode_ns - sum(others)) / 1e9


def _llama_usage(used: dict[str, object], timed: dict[str, object]) -> Usage:
    """Counts from `usage` when it was sent, else from `timings` (whose prompt is the uncached)."""
    cached = count(timed.get("cache_n"))
    if cached is None:
        cached = count(fields(used.get("prompt_tokens_details")).get("cached_tokens"))
    fresh, prompt = count(timed.get("prompt_n")), count(used.get("prompt_tokens"))
    if prompt is None and fresh is not None:
        prompt = fresh + (cached or 0)
    completion = count(used.get("completion_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=count(timed.get("predicted_n")) if completion is None else completion,
        prefill_tps=number(timed.get("prompt_per_second")) or None,
        decode_tps=number(timed.get("predicted_per_second")) or None,  # 0.0 after one token
        cached_tokens=cached,
    )


def _fault_in(said: dict[str, object]) -> Fault:
    words, code = error_of(said)
    return fault_of_code(code if code and code >= 400 else 500, words or "an error without words")


def _excerpt(line: bytes) -> str:
    return one_line(line[:400].decode("utf-8", "replace"), 120)
