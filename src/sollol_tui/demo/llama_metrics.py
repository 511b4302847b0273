"""The running totals of a llama-server and their Prometheus text."""

from __future__ import annotations

from sollol_tui.demo.llama_shapes import Timing

_MS = 1000.0


class Metrics:
    """What `/metrics` counts. The two speeds are averages since they were last asked for."""

    def __init__(self) -> None:
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.prompt_s = 0.0
        self.written_tokens = 0
        self.written_s = 0.0
        self.decodes = 0
        self.busy_slots = 0  # summed over the decodes
        self.longest = 0
        self._seen = (0, 0.0, 0, 0.0)

    def prompt_read(self, timing: Timing, batches: int) -> None:
        """Count a prompt that was processed."""
        self.prompt_tokens += timing.read
        self.cached_tokens += timing.cached
        self.prompt_s += timing.read_ms / _MS
        self.decodes += batches
        self.busy_slots += batches

    def token(self, length: int, busy: int) -> None:
        """Count one step of writing, in a sequence of that length."""
        self.decodes += 1
        self.busy_slots += busy
        self.longest = max(self.longest, length)

    def ended(self, timing: Timing) -> None:
        """Count an answer that ended: its tokens are not counted before."""
        self.written_tokens += timing.written
        self.written_s += timing.written_ms / _MS

    def text(self, processing: int, deferred: int) -> str:
        """The answer of `/metrics`, which begins a new average."""
        prompt, prompt_s, written, written_s = self._seen
        now = (self.prompt_tokens, self.prompt_s, self.written_tokens, self.written_s)
        self._seen = now
        read_tps = _rate(now[0] - prompt, now[1] - prompt_s)
        written_tps = _rate(now[2] - written, now[3] - written_s)
        counters = (*now[:1], self.cached_tokens, *now[1:], self.decodes, self.longest, 0, 0, 0)
        busy = self.busy_slots / self.decodes if self.decodes else 0
        gauges = (read_tps, written_tps, processing, deferred, busy)
        lines = [_lines(*row, value) for row, value in zip(_ROWS, counters + gauges, strict=True)]
        return "".join(lines)


def _rate(count: float, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0


def _lines(name: str, kind: str, help_text: str, value: float) -> str:
    full = f"llamacpp:{name}"
    number = f"{value:g}" if value % 1 else str(int(value))
    return f"# HELP {full} {help_text}\n# TYPE {full} {kind}\n{full} {number}\n"


_DECODES = (
    "Total number of llama_decode() calls, excluding speculative decoding and multimodal decoding"
)
_COUNTERS = (
    ("prompt_tokens_total", "Number of prompt tokens processed, excluding cached tokens"),
    ("prompt_tokens_cached_total", "Number of prompt tokens reused from the cache"),
    ("prompt_seconds_total", "Total time spent processing prompts"),
    ("tokens_predicted_total", "Number of generation tokens processed"),
    ("tokens_predicted_seconds_total", "Total time spent generating tokens"),
    ("n_decode_total", _DECODES),
    ("n_tokens_max", "Largest observed sequence length (prompt + generation)"),
    ("spec_decode_num_draft_tokens_total", "Speculative: Total draft tokens generated"),
    (
        "spec_decode_num_accepted_tokens_total",
        "Speculative: Total draft tokens accepted by the target model",
    ),
    ("spec_decode_num_drafts_total", "Speculative: Total speculative decoding verification steps"),
)
_GAUGES = (
    ("prompt_tokens_seconds", "Average prompt throughput in tokens/s"),
    ("predicted_tokens_seconds", "Average generation throughput in tokens/s"),
    ("requests_processing", "Number of requests processing"),
    ("requests_deferred", "Number of requests deferred"),
    ("n_busy_slots_per_decode", "Average number of busy slots per llama_decode() call"),
)
_ROWS = (
    *((name, "counter", text) for name, text in _COUNTERS),
    *((name, "gauge", text) for name, text in _GAUGES),
)
