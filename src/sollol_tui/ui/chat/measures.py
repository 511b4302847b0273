"""What was measured of an answer, in words: its speeds, its context, how far a load is."""

from __future__ import annotations

from sollol_tui.core import units
from sollol_tui.core.asks import Finished, Usage, Waiting
from sollol_tui.core.phases import Phase
from sollol_tui.ui.text import SEPARATOR, Line, Span

LEVELS = "▁▂▃▄▅▆▇█"
NEARLY_FULL, FULL = 0.8, 0.95  # of the context: what comes next may be cut, or forgotten
_K = 1024

_PHASES = {
    Phase.PROBING: "asks its backends",
    Phase.STARTING: "starts",
    Phase.CONNECTING: "connects to its backends",
    Phase.WARMING: "warms up",
    Phase.STOPPING: "stops what it ran before",
}


def figures(tokens: int | None, tps: float | None, ttft_s: float | None, total_s: float) -> str:
    """`212 tok · 33.1 tok/s · TTFT 0.21 s · 6.4 s`; what is not known is left out."""
    parts = [
        f"{units.count(tokens)} tok" if tokens else "",
        units.rate(tps) if tps else "",
        f"TTFT {short_time(ttft_s)}" if ttft_s is not None else "",
        units.duration(total_s),
    ]
    return SEPARATOR.join(part for part in parts if part)


def told(event: Finished) -> str:
    """The figures that the server told, and those that were measured here."""
    usage = event.usage
    return figures(usage.completion_tokens, usage.decode_tps, event.ttft_s, event.total_s)


def of_the_prompt(usage: Usage) -> Line:
    """How fast it was read, where the server told, and what it takes of the context."""
    read = f"{SEPARATOR}prompt {units.rate(usage.prefill_tps)}" if usage.prefill_tps else ""
    return ((read, "muted"), *gauge(usage)) if read else gauge(usage)


def gauge(usage: Usage) -> Line:
    """How much of the context is used: `ctx 1.2k/8k ▂`. Nothing where one of them is unknown."""
    prompt, answer, whole = usage.prompt_tokens, usage.completion_tokens, usage.context_tokens
    if prompt is None or answer is None or not whole:
        return ()
    share = min(1.0, (prompt + answer) / whole)
    level = LEVELS[min(len(LEVELS) - 1, int(share * len(LEVELS)))]
    look = "bad" if share >= FULL else "warn" if share >= NEARLY_FULL else "muted"
    words: Span = (f"{SEPARATOR}ctx {_thousands(prompt + answer)}/{_thousands(whole)} ", "muted")
    return (words, (level, look))


def _thousands(tokens: int) -> str:
    """`243`, `1.2k`, `8k`: contexts are counted in thousands of 1024."""
    if tokens < _K:
        return str(tokens)
    return f"{tokens / _K:.1f}".removesuffix(".0") + "k"


def short_time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 9.995 else units.duration(seconds)


def loading(seconds: float, last_s: float | None) -> str:
    """`12 s, last time 40 s`: against the time it took before, where that is known."""
    last = f", last time {units.span(last_s)}" if last_s is not None else ""
    return f"{units.span(seconds)}{last}"


def coming(event: Waiting, seconds: float) -> str:
    """What a coordinator does that comes up: `the coordinator loads 3.1 of 7.9 GiB · 12 s`."""
    passed = loading(seconds, event.last_load_s)
    if event.phase != Phase.LOADING:
        does = _PHASES.get(Phase(event.phase), "") if event.phase in set(Phase) else ""
        return f"the coordinator {does or 'comes up'}{SEPARATOR}{passed}"
    done = event.progress
    if done is None or not done.total:
        return f"the coordinator loads the model{SEPARATOR}{passed}"
    if event.size_bytes is None:
        share = units.percent(done.processed / done.total)
        return f"the coordinator loads the model: {share}{SEPARATOR}{passed}"
    loaded = units.size(event.size_bytes * done.processed / done.total)
    return f"the coordinator loads {_of(loaded, units.size(event.size_bytes))}{SEPARATOR}{passed}"


def _of(part: str, whole: str) -> str:
    """`3.1 of 7.9 GiB`: the unit once, when it is the same."""
    number, _, unit = part.partition(" ")
    return f"{number} of {whole}" if whole.endswith(f" {unit}") else f"{part} of {whole}"
