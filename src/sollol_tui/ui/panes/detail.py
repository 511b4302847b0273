"""Everything known about one target, for the detail drawer."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.core import units
from sollol_tui.core.ids import COORDINATOR_PORT, short_name
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    CoordinatorState,
    Health,
    LoadedModel,
    NodeModel,
    NodeState,
    NodeStatus,
    Slot,
)
from sollol_tui.ui.panes.backends import devices_text
from sollol_tui.ui.panes.coordinator import coordinator_lines, coordinator_name
from sollol_tui.ui.panes.figures import (
    FaultNote,
    Until,
    gib,
    labelled,
    memory,
    share,
    short_model,
    tokens,
)
from sollol_tui.ui.panes.marks import BACKEND_MARKS, node_mark
from sollol_tui.ui.panes.nodes import node_name, vram_used_bytes
from sollol_tui.ui.panes.queues import Queue
from sollol_tui.ui.text import UNKNOWN, Line, Span, clean, fit, plain, width

_NODE_SAYS = {
    NodeStatus.UP: "answers",
    NodeStatus.STARTING: "accepts connections and answers nothing yet",
    NodeStatus.STALLED: "answers its API, but its models move no token",
    NodeStatus.SATURATED: "says that its queue is full",
    NodeStatus.UNAUTHORIZED: "wants to know who asks: give it headers in the config",
    NodeStatus.DOWN: "gives no answer",
    NodeStatus.UNKNOWN: "was not looked at yet",
}
_BACKEND_SAYS = {
    BackendStatus.IDLE: "answered a probe: it is free",
    BackendStatus.ATTACHED: "serves a coordinator, so it is not probed: it takes one client only",
    BackendStatus.DOWN: "refuses connections",
    BackendStatus.UNKNOWN: "gives no answer: it serves somebody, or it is gone",
    BackendStatus.INCOMPATIBLE: "speaks another version of the RPC protocol",
}


def table_lines(
    titles: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()
) -> list[Line]:
    """A still table, its columns as wide as what stands in them; `right` are aligned so."""
    clean_rows = [[clean(text, 60) for text in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(titles, *clean_rows, strict=True)]

    def line(texts: Sequence[str], style: str) -> Line:
        cells = [
            fit(text, cells, "right" if at in right else "left")
            for at, (text, cells) in enumerate(zip(texts, widths, strict=True))
        ]
        return (("  ".join(cells).rstrip(), style),)

    return [line(titles, "head"), *(line(row, "") for row in clean_rows)]


def node_detail_lines(
    node: NodeState,
    now_s: float,
    *,
    wait: Queue | None = None,
    record: Sequence[Line] = (),
    ascii_only: bool = False,
) -> tuple[Line, ...]:
    """All about an Ollama node.

    Args:
        node: what is known of it.
        now_s: seconds since the epoch.
        wait: our requests there that have no token yet.
        record: what our requests there were like (see `record`).
        ascii_only: no glyphs beyond ASCII.
    """
    lines: list[Line] = [
        (node_mark(node).span(ascii_only), ("  ", ""), (node_name(node), "bold")),
        labelled("", (_NODE_SAYS[node.status], "muted")),
        *_fault_lines(node.fault and FaultNote(node.fault, node.health.next_look_at_s), now_s),
        labelled("url", (clean(node.url), "")),
        labelled("known by", (_joined(node.sources), "")),
        labelled("seen", *_seen(node.seen_at_s, node.latency_ms, now_s)),
        labelled("health", *_health(node.health)),
        labelled("version", (clean(node.version or UNKNOWN), "")),
        labelled("load", *_node_load(node, wait, now_s)),
        labelled("vram", *_node_memory(node)),
        *_apart(record),
        (),
        *_loaded(node.loaded, now_s),
        (),
        *_models(node.models),
    ]
    return tuple(lines)


def _fault_lines(note: FaultNote | None, now_s: float) -> list[Line]:
    return [labelled("fault", *note(now_s))] if note else []


def _joined(texts: Sequence[str]) -> str:
    return clean(", ".join(texts)) or UNKNOWN


def _seen(seen_at_s: float | None, latency_ms: float | None, now_s: float) -> tuple[Span, ...]:
    if seen_at_s is None:
        return (("never", "muted"),)
    return (
        (units.age(seen_at_s, now_s), ""),
        (f" · answered in {units.latency(latency_ms)}" if latency_ms else "", "muted"),
    )


def _health(health: Health) -> tuple[Span, ...]:
    if health.failures:
        return ((f"{health.failures} looks in a row failed", "warn"),)
    if health.successes:
        return ((f"{health.successes} looks in a row went well", ""),)
    return ((UNKNOWN, "muted"),)


def _apart(record: Sequence[Line]) -> tuple[Line, ...]:
    return ((), *record) if record else ()


def _node_load(node: NodeState, wait: Queue | None, now_s: float) -> tuple[Span, ...]:
    drained = "draining: takes nothing new" if node.in_flight else "drained: takes nothing new"
    return (
        *_in_flight(node.in_flight, wait, now_s),
        (f" · weight {node.weight:g}" if node.weight != 1 else "", "muted"),
        (f" · {drained}" if node.drained else "", "warn"),
    )


def _in_flight(running: int, wait: Queue | None, now_s: float) -> tuple[Span, ...]:
    waits = ""
    if wait is not None:
        verb = "waits" if wait.waiting == 1 else "wait"
        waits = f" · {wait.waiting} {verb} for a first token, {wait.age(now_s)}"
    return ((f"{running} of our requests now", ""), (waits, wait(now_s)[1] if wait else ""))


def _node_memory(node: NodeState) -> tuple[Span, ...]:
    used = share(vram_used_bytes(node), node.vram_total_bytes)
    return ((used, ""), (f" · {clean(node.gpu)}" if node.gpu else "", "muted"))


def _loaded(models: Sequence[LoadedModel], now_s: float) -> list[Line]:
    if not models:
        return [(("No model is loaded.", "muted"),)]
    rows = [
        (
            short_model(model.name),
            gib(model.bytes),
            gib(model.vram_bytes),
            tokens(model.context_tokens),
            UNKNOWN if model.expires_at_s is None else Until(model.expires_at_s)(now_s)[0],
        )
        for model in models
    ]
    titles = ("LOADED", "SIZE", "IN VRAM", "CONTEXT", "EXPIRES IN")
    return table_lines(titles, rows, frozenset({1, 2, 3, 4}))


def _models(models: Sequence[NodeModel]) -> list[Line]:
    if not models:
        return [(("No models lie here.", "muted"),)]
    rows = [
        (
            short_model(model.name),
            f"at {model.remote_host}" if model.remote_host else gib(model.size_bytes),
            units.parameters(model.parameters),
            model.quantization or UNKNOWN,
            tokens(model.trained_context_tokens),
            ", ".join(model.capabilities) or UNKNOWN,
        )
        for model in sorted(models, key=lambda m: m.name)
    ]
    titles = (f"MODELS ({len(models)})", "SIZE", "PARAMS", "QUANT", "CONTEXT", "CAN")
    return table_lines(titles, rows, frozenset({1, 2, 4}))


def backend_detail_lines(
    backend: BackendState,
    now_s: float,
    *,
    record: Sequence[Line] = (),
    ascii_only: bool = False,
) -> tuple[Line, ...]:
    """All about an RPC backend. `record` is what requests over it were like."""
    lines: list[Line] = [
        (
            BACKEND_MARKS[backend.status].span(ascii_only),
            ("  ", ""),
            (clean(backend.address), "bold"),
        ),
        labelled("", (_BACKEND_SAYS[backend.status], "muted")),
        *_fault_lines(
            backend.fault and FaultNote(backend.fault, backend.health.next_look_at_s), now_s
        ),
        labelled("held by", (_holder(backend), "")),
        labelled("known by", (_joined(backend.sources), "")),
        labelled("seen", *_seen(backend.seen_at_s, backend.latency_ms, now_s)),
        labelled("health", *_health(backend.health)),
        labelled("rpc", (clean(backend.protocol or UNKNOWN), "")),
        labelled("devices", (devices_text(backend), "")),
        labelled("memory", (memory(backend.devices), "")),
    ]
    for number, device in enumerate(backend.devices):
        lines.append(labelled("", (f"device {number}  ", "muted"), (_device(*device), "")))
    return (*lines, *_apart(record))


def _holder(backend: BackendState) -> str:
    if backend.attached_to:
        return clean(short_name(backend.attached_to, COORDINATOR_PORT))
    return "a coordinator" if backend.status is BackendStatus.ATTACHED else "nobody"


def _device(total_bytes: int, free_bytes: int) -> str:
    """A CPU says that all of its memory is free, always."""
    if total_bytes == free_bytes:
        return f"{units.size(total_bytes)} in all"
    return f"{units.size(free_bytes)} of {units.size(total_bytes)} free"


def coordinator_detail_lines(
    coordinator: CoordinatorState,
    cells: int,
    now_s: float,
    *,
    backends: Sequence[BackendState] = (),
    wait: Queue | None = None,
    record: Sequence[Line] = (),
    ascii_only: bool = False,
) -> tuple[Line, ...]:
    """All about a coordinator: what its pane says, and the rest. `wait` and `record` as those of
    a node."""
    lines: list[Line] = [
        *coordinator_lines(coordinator, cells, now_s, backends=backends, ascii_only=ascii_only),
        (),
        labelled("name", (coordinator_name(coordinator), "")),
        labelled("build", (clean(coordinator.build or UNKNOWN), "")),
        labelled("file", (clean(coordinator.model_path or UNKNOWN), "")),
        labelled("seen", *_seen(coordinator.seen_at_s, coordinator.latency_ms, now_s)),
        labelled("health", *_health(coordinator.health)),
        labelled("load", *_in_flight(coordinator.in_flight, wait, now_s)),
        *_apart(record),
    ]
    if coordinator.slots:
        lines += [(), *_slots(coordinator.slots)]
    return tuple(lines)


def _slots(slots: Sequence[Slot]) -> list[Line]:
    rows = [
        (
            str(slot.id),
            "busy" if slot.busy else "free",
            tokens(slot.used_tokens),
            tokens(slot.context_tokens),
            tokens(slot.decoded_tokens),
        )
        for slot in slots
    ]
    titles = ("SLOT", "STATE", "TOKENS", "CONTEXT", "WRITTEN")
    return table_lines(titles, rows, frozenset({0, 2, 3, 4}))


def copy_text(lines: Sequence[Line]) -> str:
    """Lines as text, for the clipboard."""
    return "\n".join(plain(line) for line in lines)
