"""A request and what happens to it, step by step: the words of `engine.ask`."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from sollol_tui.core.faults import Fault
from sollol_tui.core.state import Mode


class ChatMessage(NamedTuple):
    """One turn. `images` are base64 texts, `thinking` is what the model thought before it."""

    role: Literal["system", "user", "assistant"]
    content: str
    images: tuple[str, ...] = ()
    thinking: str = ""


class ChatOptions(NamedTuple):
    """What may be asked of a model; `None` leaves it to the server.

    `context_tokens` makes an Ollama node reload a model that is loaded otherwise.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    context_tokens: int | None = None
    keep_alive: str | None = None
    think: bool | None = None


class AskRequest(NamedTuple):
    """A question to the cluster."""

    model: str
    messages: tuple[ChatMessage, ...]
    options: ChatOptions = ChatOptions()
    mode: Mode | None = None  # None: the mode in force
    target: str | None = None  # a node or coordinator URL: only there
    conversation: str = ""  # same conversation, same target while the load allows
    so_far: str = ""  # of the answer: it goes on from there, and only what is new is said
    avoid: tuple[str, ...] = ()  # URLs of targets that shall not answer


class Candidate(NamedTuple):
    """One target that was considered. `parts` are the pieces of the score, larger is better."""

    target: str
    kind: Literal["node", "coordinator"]
    name: str
    score: float | None
    parts: tuple[tuple[str, float], ...] = ()
    rejected: str | None = None  # the reason, in plain words


class RouteDecision(NamedTuple):
    """Where a request goes and why. `target` is None when nothing can take it."""

    id: str
    model: str
    mode: Mode
    target: str | None
    kind: Literal["node", "coordinator"] | None
    name: str
    reason: str
    candidates: tuple[Candidate, ...]
    stands_in: str = ""  # a sentence when another kind of target answers than should (S14)


class Usage(NamedTuple):
    """What a server said at the end of an answer."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prefill_tps: float | None = None
    decode_tps: float | None = None
    load_s: float | None = None
    cached_tokens: int | None = None
    queue_s: float | None = None  # waited for a slot
    context_tokens: int | None = None  # that the model is loaded with there


# What a server's stream says; made by `core.streams` from lines.


class Token(NamedTuple):
    text: str


class Thought(NamedTuple):
    text: str


class Progress(NamedTuple):
    """Prompt processing: tokens done of all."""

    processed: int
    total: int


class End(NamedTuple):
    """The proper end of a stream."""

    reason: Literal["stop", "length", "tool_calls", "load", "unload"]
    usage: Usage


class Broken(NamedTuple):
    """The stream failed: an error line, or an end that was none."""

    fault: Fault


StreamEvent: TypeAlias = Token | Thought | Progress | End | Broken


# What `engine.ask` says; read by the chat screen and by `sollol-tui chat`.


class Routed(NamedTuple):
    """A target was chosen (said again after each change of target)."""

    decision: RouteDecision


class Waiting(NamedTuple):
    """Nothing came yet. `loading` tells that the model has to be loaded there first.

    `progress` is that of the prompt; while a coordinator comes up, that of its loading in percent.
    A node does not tell how far it has loaded: only how long it took the last time is known.
    """

    position: int  # requests of ours before this one at that target
    age_s: float
    loading: bool
    progress: Progress | None = None
    phase: str = ""  # of the coordinator that comes up for it, see `core.lifecycle.Phase`
    last_load_s: float | None = None  # loading that model there took so long the last time
    size_bytes: int | None = None  # of the model whose loading `progress` tells


class Delta(NamedTuple):
    text: str
    tokens: int = 1  # that came together and are joined in it


class Thinking(NamedTuple):
    text: str
    tokens: int = 1


class Notice(NamedTuple):
    """One sentence the person should read: a target failed, another one takes over."""

    text: str


class Seam(NamedTuple):
    """From here on another target writes."""

    from_target: str
    to_target: str
    at_chars: int


class Finished(NamedTuple):
    """The answer is whole. Rates are the server's own when it told them, else measured here."""

    outcome: Literal["complete", "length", "stopped"]
    usage: Usage
    ttft_s: float | None
    total_s: float
    tries: int
    one_by_one_s: float | None = None  # written in parallel: what its parts took, added up


class Failed(NamedTuple):
    """No (whole) answer. `kept_chars` came before and stay."""

    fault: Fault
    target: str | None
    kept_chars: int
    tries: int = 0


# What `engine.ask_parallel` says besides.

PartState: TypeAlias = Literal["waiting", "writing", "done", "failed"]


class PartPlanned(NamedTuple):
    """The answer is written in these parts, all at the same time."""

    titles: tuple[str, ...]


class PartMoved(NamedTuple):
    """How far one part is. `target` is the name of who writes it; empty while nobody does."""

    part: int  # from 0
    state: PartState
    target: str
    tokens: int


AskEvent: TypeAlias = Routed | Waiting | Delta | Thinking | Notice | Seam | Finished | Failed
PartEvent: TypeAlias = PartPlanned | PartMoved
Said: TypeAlias = AskEvent | PartEvent
