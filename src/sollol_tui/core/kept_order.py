"""What a coordinator that was found running is started with again: what its command line says.

The settings may have changed since; a restart that nobody asked for must not change the model, its
context or its split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, host_of, port_of
from sollol_tui.core.orders import Order
from sollol_tui.core.server_argv import parse_server_argv

_CONTEXT = ("-c", "--ctx-size")
_SLOTS = ("-np", "--parallel")
_SPLIT = ("-ts", "--tensor-split")
_LAYERS = ("-ngl", "--gpu-layers", "--n-gpu-layers")
_PROJECTOR = ("-mm", "--mmproj")
_ALSO = (  # what a plan does not decide, with its value
    *("-ctk", "--cache-type-k", "-ctv", "--cache-type-v"),
    *("-fa", "--flash-attn", "-t", "--threads", "--lora"),
)


def order_of_run(
    asked: Order | None,
    url: CoordinatorUrl,
    argv: Sequence[str],
    model: str,
    backends: Sequence[BackendAddress],
) -> Order:
    """The order that starts the same again.

    Args:
        asked: what was asked for then, as far as it is known.
        argv: the command line; where it is empty, `asked` and `model` have to do.
        model: the name that it is served under.
        backends: those that it was given. One that is lost is left out, and then the split is made
            anew; where it had all that were free, so it may again when those left do not suffice.
    """
    asked = asked or Order()
    told = parse_server_argv(argv)
    path = told.model_path or ""
    said = _said(argv)
    slots = _whole(said, _SLOTS) or asked.slots
    context = _whole(said, _CONTEXT)
    return asked._replace(
        model=path or asked.model or model,
        alias=model if path else asked.alias,
        insists=True,
        backends=tuple(told.backends or backends),
        host=host_of(url),
        port=port_of(url) or 0,
        slots=slots,
        context_tokens=context // (slots or 1) if context else asked.context_tokens,
        tensor_split=_shares(said) or asked.tensor_split,
        gpu_layers=_whole(said, _LAYERS) if _whole(said, _LAYERS) is not None else asked.gpu_layers,
        strict=False,
        extra=_also(argv),
        or_all=asked.backends is None,
        projector=_word(said, _PROJECTOR) if argv else asked.projector,
    )


def over_all(order: Order) -> Order:
    """The order for all backends that are free, split anew."""
    return order._replace(backends=None, tensor_split=(), gpu_layers=None, or_all=False)


def for_those_left(order: Order, answering: int) -> Order:
    """The order for the backends that are left of those that it names: a split was for all."""
    if order.strict or order.backends is None or answering >= len(order.backends):
        return order
    return order._replace(tensor_split=(), gpu_layers=None)


def _said(argv: Sequence[str]) -> Mapping[str, str]:
    return {word: argv[i + 1] for i, word in enumerate(argv[:-1]) if word.startswith("-")}


def _word(said: Mapping[str, str], flags: Sequence[str]) -> str:
    return next((said[flag] for flag in flags if flag in said), "")


def _whole(said: Mapping[str, str], flags: Sequence[str]) -> int | None:
    text = _word(said, flags)
    return int(text) if text.isascii() and text.isdigit() else None


def _shares(said: Mapping[str, str]) -> tuple[float, ...]:
    text = _word(said, _SPLIT)
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        return ()


def _also(argv: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        word for i, flag in enumerate(argv[:-1]) if flag in _ALSO for word in (flag, argv[i + 1])
    )
