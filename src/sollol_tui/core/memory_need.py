"""How much memory a model takes, layer by layer: weights, context, and room to compute.

Weights and context are exact: the same sums as llama.cpp's. The room to compute is an estimate:
`device_compute_bytes` says how it was found and how good it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sollol_tui.core.gguf import GgufHeader

UBATCH = 512  # tokens computed at once: llama-server's -ub
COPIES = 4  # inputs kept per device when several devices work in turn (ggml-backend.cpp)
_F16, _F32 = 2, 4
_CELL_STEP = 256


class Need(NamedTuple):
    """What one model with one context takes. Lists have an entry per repeating layer."""

    weights: tuple[int, ...]
    kv: tuple[int, ...]
    input_bytes: int
    output_bytes: int
    tied_bytes: int  # of the output, what is the input once more
    step_bytes: int  # the state of all tokens of a batch between two layers
    work_bytes: int  # the largest thing inside a layer
    full_mask_bytes: int  # which cells a token sees, where it may see all
    window_mask_bytes: int  # and where it sees a window
    windowed: tuple[bool, ...]
    logits_bytes: int

    @property
    def layers(self) -> int:
        """How many repeating layers there are."""
        return len(self.weights)

    def mask_bytes(self, layers: Sequence[int]) -> int:
        """The masks that some layers need."""
        full = any(not self.windowed[i] for i in layers)
        window = any(self.windowed[i] for i in layers)
        return self.full_mask_bytes * full + self.window_mask_bytes * window

    def slice_bytes(self, layers: Sequence[int], has_output: bool) -> tuple[int, int]:
        """Weights and context of some layers."""
        weights = sum(self.weights[i] for i in layers)
        return weights + (self.output_bytes if has_output else 0), sum(self.kv[i] for i in layers)


def need_of(header: GgufHeader, context_tokens: int, slots: int) -> Need:
    """The need of a model with so many tokens of context in each of so many slots."""
    cells = _rounded(context_tokens)
    tokens = min(UBATCH, cells * slots)
    windowed = _rounded(min(cells, header.sliding_window + tokens)) if header.sliding_window else 0
    step = header.embedding_length * tokens * _F32
    return Need(
        weights=header.layer_bytes,
        kv=tuple(
            width * (windowed if in_window else cells) * slots * _F16 + state * slots
            for width, in_window, state in zip(
                header.kv_widths, header.windowed, header.state_bytes, strict=True
            )
        ),
        input_bytes=header.input_bytes,
        output_bytes=header.output_bytes,
        tied_bytes=header.tied_bytes,
        step_bytes=step,
        work_bytes=_work_bytes(header, step, tokens),
        full_mask_bytes=cells * tokens * _F16,
        window_mask_bytes=windowed * tokens * _F16,
        windowed=header.windowed,
        logits_bytes=header.vocab_size * slots * _F32,
    )


def _work_bytes(header: GgufHeader, step: int, tokens: int) -> int:
    feed_forward = header.feed_forward_length * tokens * _F32
    queries = header.heads * header.key_length * tokens * _F32
    experts = (2 * header.experts_used + 1) * step if header.experts_used else 0
    return max(3 * feed_forward, 2 * queries + step, experts)


def device_compute_bytes(
    need: Need, layers: Sequence[int], *, first: bool, pipelined: bool, host_works: bool
) -> int:
    """The compute buffer of a device that has these layers: an estimate.

    The rule was read off the buffers that llama-server makes (build 11434, flash attention, 512
    tokens at once), for models of 135 M to 70 B, dense, with a sliding window, with experts, over
    1 to 3 devices: the masks, some copies of the state between two layers (more on the first
    device, which takes in what comes from the host), and the largest of the three feed-forward
    tensors, the queries, or all experts' results. There it is between 3 % below and 15 % above what
    was made. It is far too high for a device with one or two layers before the output, and too low
    by heads × context × 2 KiB where flash attention cannot be used.
    """
    steps = (16 if first else 7) if pipelined else (2 if host_works else 4)
    return _compute_bytes(need, need.mask_bytes(layers), steps, COPIES if pipelined else 1)


def host_compute_bytes(need: Need, layers: Sequence[int], *, pipelined: bool, works: bool) -> int:
    """The host's compute buffer, and the results it hands out; found in the same way.

    Without layers it makes the masks and the first state of every token.
    """
    if works:
        return _compute_bytes(need, need.mask_bytes(layers), 5, 1) + need.logits_bytes
    masks = need.mask_bytes(range(need.layers))
    copies, steps = (COPIES, 10) if pipelined else (1, 4)
    return copies * masks + steps * need.step_bytes + need.logits_bytes


def _compute_bytes(need: Need, masks: int, steps: int, copies: int) -> int:
    return copies * masks + steps * need.step_bytes + need.work_bytes


def _rounded(tokens: int) -> int:
    return max(-(-tokens // _CELL_STEP), 1) * _CELL_STEP
