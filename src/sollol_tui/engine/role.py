"""What one engine may do, and where it keeps what must survive it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sollol_tui.core.ids import CoordinatorUrl


class Role(NamedTuple):
    """`None` as a directory keeps nothing of that kind."""

    state_dir: Path | None = None  # mode, hand-added targets, drained nodes, coordinators of ours
    data_dir: Path | None = None  # chats, the record of requests
    supervises: bool = True  # looks after a coordinator: takes over, starts, stops
    only: CoordinatorUrl | None = None  # of the coordinators of ours; None: all
    talks: bool = True  # takes part in what SOLLOL programs tell each other over the registry
