"""The lines around an answer: who answers and why, what it waits for, how it ended, what to do."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.core import units
from sollol_tui.core.asks import Failed, Finished, PartMoved, RouteDecision, Waiting
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import COORDINATOR_PORT, OLLAMA_PORT, is_model_path, short_name
from sollol_tui.core.images import Image
from sollol_tui.ui.chat import measures
from sollol_tui.ui.chat.models import ModelChoice
from sollol_tui.ui.text import SEPARATOR, Line, Span, clean, plain

figures = measures.figures


def target_name(decision: RouteDecision) -> str:
    """How the chosen target is called; empty when there is none."""
    if decision.name or not decision.target:
        return clean(decision.name)
    port = COORDINATOR_PORT if decision.kind == "coordinator" else OLLAMA_PORT
    return clean(short_name(decision.target, port))


def model_words(model: str) -> str:
    """How a model is called: of the path of a file, the file's name."""
    return clean(model.replace("\\", "/").rsplit("/", 1)[-1] if is_model_path(model) else model)


def header(model: str, decisions: Sequence[RouteDecision]) -> Line:
    """Who answers, and why it is asked: `llama3.2:3b via gpu-rig · shortest queue (0 vs 1)`.

    Several decisions are those of targets that wrote one after the other.
    """
    spans: list[Span] = [(model_words(model), "model")]
    for name in filter(None, map(target_name, decisions)):
        spans += [(" then " if len(spans) > 1 else " via ", "muted"), (name, "")]
    if decisions and decisions[-1].reason:
        spans.append((f"{SEPARATOR}{clean(decisions[-1].reason)}", "muted"))
    return tuple(spans)


def pictures(images: Sequence[Image]) -> Line:
    """The pictures that went with a question: `▣ cat.png 1.2 MiB`."""
    spans: list[Span] = []
    for image in images:
        spans += [("  ", "")] if spans else []
        spans += [("▣ ", "accent"), (clean(image.name, 40), "")]
        spans.append((f" {units.size(image.size_bytes)}", "muted"))
    return tuple(spans)


def sees_not(model: str, choices: Sequence[ModelChoice]) -> str:
    """That a model takes no pictures, and which ones here do."""
    seeing = [clean(each.name) for each in choices if each.sees and each.is_usable]
    which = f"These here do: {', '.join(seeing)}." if seeing else "No model here does."
    return f"{clean(model)} does not see images. {which}"


def asked_blind(model: str) -> str:
    """That the pictures of earlier questions are left out."""
    return f"{model_words(model)} does not see the images of before: it is asked without them."


def offer(paths: Sequence[str]) -> str:
    """What is offered for pictures that were pasted as their paths."""
    names = [clean(path.rsplit("/", 1)[-1], 30) for path in paths]
    what = names[0] if len(names) == 1 else f"{len(names)} images"
    return f"Tab sends {what} with the question, as {'an image' if len(names) == 1 else 'images'}"


def notice(text: str) -> Line:
    return (("▲ ", "warn"), (clean(text), "warn"))


def seam(decisions: Sequence[RouteDecision]) -> str:
    """Who writes on, and why: `spark writes on · gpu-rig: connection lost`."""
    words = f"{target_name(decisions[-1]) if decisions else ''} writes on"
    if len(decisions) < 2:
        return words
    before, now = decisions[-2:]
    why = next((c.rejected for c in now.candidates if c.target == before.target), None) or ""
    what = clean(why.removeprefix("failed this request: "), 80)
    return f"{words}{SEPARATOR}{target_name(before)}: {what}" if what else words


_HAD_ENDED = {"length": "the token limit had cut it off", "stopped": "it was stopped"}


def gone_on(to_name: str, ended: str) -> str:
    """Who continues an answer that had ended like that."""
    return f"{clean(to_name)} writes on{SEPARATOR}{_HAD_ENDED.get(ended, 'it was cut off')}"


def kept_instead(outcome: str, lines: Sequence[Line], is_continued: bool) -> tuple[Line, ...]:
    """What is said under an answer when another try at it came to nothing; `lines` are the try's
    own last words."""
    stays = "  This is the answer as it was."
    if outcome == "stopped":
        return ((("■ stopped before a word came", "warn"), (stays, "muted")),)
    if outcome in ("complete", "length") and is_continued:
        return ((("The model had nothing to add.", "muted"),),)
    return (*lines[:1], ((stays, "muted"),))


def with_key(line: Line, key: str, *, goes_on: bool) -> Line:
    """A line under an answer, with the key that continues it or has it asked again."""
    is_sentence = plain(line).endswith(".")
    between, stop = (" ", ".") if is_sentence else (SEPARATOR, "")
    deed = f" {'goes on' if goes_on else 'asks again'}{stop}"
    return (*line, (between, "muted"), (key, "key"), (deed, "muted"))


def thought_label(seconds: float) -> Line:
    return ((f"thought for {units.span(max(1.0, seconds))}", "thought"),)


def waiting(model: str, name: str, event: Waiting | None, seconds: float) -> str:
    """What an answer that has not begun waits for."""
    passed = units.span(seconds)
    if event is not None and event.phase:
        return measures.coming(event, seconds)
    if not name:
        return f"choosing who answers… {passed}"
    if event is None:
        return f"asking {name}… {passed}"
    if event.position > 0:
        before = "1 request" if event.position == 1 else f"{event.position} requests"
        return f"behind {before} on {name}{SEPARATOR}{passed}"  # short: it stands in narrow columns
    if event.loading:
        passed = measures.loading(seconds, event.last_load_s)
        return f"loading {model_words(model)} on {name}… {passed}"
    if event.progress is not None and event.progress.total:
        done, total = units.count(event.progress.processed), units.count(event.progress.total)
        return f"{name} reads the question: {done} of {total} tokens{SEPARATOR}{passed}"
    return f"waiting for {name}… {passed}"


def running(
    tokens: int,
    tps: float | None,
    seconds: float,
    *,
    is_thinking: bool,
    silent_s: float | None,
) -> str:
    """How an answer gets on."""
    parts = [
        "thinking" if is_thinking else "",
        f"{units.count(tokens)} tok",
        units.rate(tps) if tps else "",
        units.span(seconds),
        f"no token for {units.span(silent_s)}" if silent_s is not None else "",
    ]
    return SEPARATOR.join(part for part in parts if part)


def finished(event: Finished, counted: str) -> Line:
    """The line under an answer that has ended properly, or was stopped. `counted` are its figures
    as counted here, for one whose server told none."""
    usage = event.usage
    text = measures.told(event) if usage.completion_tokens is not None else counted
    if event.tries > 1:
        text += f"{SEPARATOR}{event.tries} tries"
    if event.outcome == "stopped":
        return stopped(text)
    if event.outcome == "length":
        cut: Span = ("▲ the token limit cut it off", "warn")
        return (cut, (SEPARATOR + text, "muted"), *measures.of_the_prompt(usage))
    return ((text, "muted"), *measures.of_the_prompt(usage))


def stopped(counted: str) -> Line:
    return (("■ stopped", "warn"), (SEPARATOR + counted, "muted"))


def failed(event: Failed, name: str, has_text: bool) -> tuple[Line, ...]:
    """The lines under an answer that is none, or not whole: what happened, what to do."""
    sign: Span = ("▲ incomplete: ", "warn") if has_text else ("✗ no answer: ", "bad")
    where = f"{name}: " if name else ""
    tried = f" ({event.tries} tries)" if event.tries > 1 else ""
    what: Span = (f"{where}{clean(str(event.fault))}{tried}", "")
    return ((sign, what), ((f"  {advice(event.fault, has_text)}", "muted"),))


def advice(fault: Fault, has_text: bool) -> str:
    """What a person can do about a failed answer."""
    if has_text:
        return "What came is kept."
    return _ADVICE.get(fault.kind, "Try again, or let another one answer: /retry elsewhere.")


_ADVICE = {
    FaultKind.REFUSED: "Nothing listens there: start the server.",
    FaultKind.TIMEOUT: "The server may be busy or hang: its row says more.",
    FaultKind.UNREACHABLE: "Is the machine on, and is the network between?",
    FaultKind.NAME: "Check how the host is spelt, or add it by its address.",
    FaultKind.TLS: "Check the certificate, or name its authority as ca_file in the settings.",
    FaultKind.UNAUTHORIZED: "Put the server's key under headers in the settings.",
    FaultKind.RATE_LIMITED: "Wait a little, or let another one answer: /retry elsewhere.",
    FaultKind.SATURATED: "Every place there is taken: wait a little, or add a node.",
    FaultKind.LOADING: "The model is still being loaded: try again in a moment.",
    FaultKind.NOT_FOUND: "Nobody has this model now: choose another (/model).",
    FaultKind.BAD_REQUEST: "The server does not take this request; its words are above.",
    FaultKind.SERVER: "The server's own words are above; its log may say more.",
    FaultKind.PROTOCOL: "What answers there does not speak like a model server.",
    FaultKind.STALLED: "The server says it is well but moves no token: restart it.",
}


def writers(parts: Sequence[PartMoved], passed_s: float) -> str:
    """`1 gpu-rig 43 tok · 2 spark 12 tok · 3 waiting · 4.0 s`."""
    told = [
        f"{p.part + 1} {clean(p.target) or p.state}"
        + (f" {p.tokens} tok" if p.tokens else "")
        + (f" {p.state}" if p.target and p.state in ("done", "failed") else "")
        for p in parts
    ]
    return " · ".join([*told, units.duration(passed_s)])
