"""What `sollol-tui coordinator` may be told."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from sollol_tui.core.ids import BackendAddress, parse_backend_address
from sollol_tui.core.settings import Settings

if TYPE_CHECKING:  # every start with a flag imports this module
    from sollol_tui.core.orders import Order

What = Literal["plan", "run", "status", "stop"]

MIN_CONTEXT_TOKENS = 256  # llama-server rounds up to this
MAX_CONTEXT_TOKENS = 1 << 24
NO_BACKENDS = "none"


class CoordinatorOptions(NamedTuple):
    """The flags of the verb. `backends` None: all that are free; empty: this machine alone."""

    what: What
    model: str = ""
    backends: tuple[BackendAddress, ...] | None = None
    context_tokens: int | None = None
    tensor_split: tuple[float, ...] = ()
    gpu_layers: int | None = None

    @property
    def order(self) -> Order:
        """What the engine is asked for."""
        from sollol_tui.core.orders import Order

        return Order(
            self.model, self.backends, self.tensor_split, self.gpu_layers, self.context_tokens
        )

    @property
    def wants_only_a_model(self) -> bool:
        """Whether nothing was said about how it is split: one that runs already will do."""
        return self == CoordinatorOptions(self.what, self.model)


def with_model(settings: Settings, model: str) -> Settings:
    """The settings in which nothing is stronger than the model that was asked for by name."""
    return settings._replace(model_path="") if model else settings


def read_model(text: str) -> str:
    """A model's name or the path of a GGUF file. Raises `ValueError`."""
    if not text.strip():
        raise ValueError("the model's name is empty")
    return text.strip()


def read_backends(text: str) -> tuple[BackendAddress, ...]:
    """A comma list of host:port, or `none`. Raises `ValueError`."""
    if text.strip().lower() == NO_BACKENDS:
        return ()
    found = tuple(parse_backend_address(part) for part in text.split(",") if part.strip())
    if not found:
        raise ValueError(f"wants host:port,host:port (or {NO_BACKENDS}: this machine alone)")
    return tuple(dict.fromkeys(found))


def read_context(text: str) -> int:
    """Tokens in each slot. Raises `ValueError`."""
    return _whole(text, MIN_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS, "tokens")


def read_layers(text: str) -> int:
    """How many layers, with the output, go to the backends. Raises `ValueError`."""
    return _whole(text, 0, 100_000, "layers")


def read_split(text: str) -> tuple[float, ...]:
    """The share of each device, as llama.cpp's -ts: `3,1`. Raises `ValueError`."""
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if not shares or not all(isfinite(s) and s >= 0 for s in shares) or not sum(shares):
        raise ValueError(f"{text!r} is no list of shares such as 3,1")
    return shares


def read_what(text: str) -> What:
    """The word behind `coordinator`, which argparse has checked."""
    return cast("What", text)


def _whole(text: str, least: int, most: int, what: str) -> int:
    cleaned = text.strip()
    if not cleaned.isascii() or not cleaned.isdigit() or not least <= int(cleaned) <= most:
        raise ValueError(f"{text!r} is not a number of {what} ({least} to {most})")
    return int(cleaned)
