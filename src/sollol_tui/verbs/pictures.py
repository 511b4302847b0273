"""The pictures of `sollol-tui chat --image PATH`."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.images import MOST_IMAGES, Image
from sollol_tui.core.plain import plain_line
from sollol_tui.core.routing import SEES
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.io.images import read_image


def read_pictures(paths: Sequence[str]) -> tuple[str, ...] | str:
    """The files in base64, or a sentence why one of them cannot be sent."""
    if len(paths) > MOST_IMAGES:
        return f"at most {MOST_IMAGES} images go with a question"
    read = [read_image(path) for path in paths]
    for each in read:
        if not isinstance(each, Image):
            return f"--image {plain_line(each.path)}: {each.why}"
    return tuple(each.data for each in read if isinstance(each, Image))


def blindness(model: str, snapshot: ClusterSnapshot) -> Fault:
    """That a model takes no pictures, and which ones here do."""
    seeing = {m.name for node in snapshot.nodes for m in node.models if SEES in m.capabilities}
    seeing |= {c.model for c in snapshot.coordinators if c.sees and c.model}
    which = f"these here do: {', '.join(sorted(seeing))}" if seeing else "no model here does"
    return Fault(FaultKind.BAD_REQUEST, f"{model} does not see images; {which}")
