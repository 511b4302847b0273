"""A model by the path of its file: a coordinator is started for it, or a sentence says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sollol_tui.core.problems import Problem
from sollol_tui.core.state import Mode
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.text import clean

if TYPE_CHECKING:
    from sollol_tui.ui.app import SollolApp

RUN_BY_COORDINATORS = (Mode.MODEL, Mode.BOTH)


def use_file(app: SollolApp, path: str) -> None:
    """Let a GGUF file answer in the chat, once it is known that it is one."""
    chat = app.dashboard.bring_chat()
    mode = chat.mode or app.snapshot.mode
    if app.engine.settings.read_only:
        raise Refused("A file needs a coordinator, and this is for looking only.")
    if chat.target is not None:
        raise Refused("A file needs a coordinator of its own, and one node is set: /node auto.")
    if mode not in RUN_BY_COORDINATORS:
        raise Refused(f"A file needs a coordinator, and mode {mode} uses none: /mode both first.")
    app.run_worker(
        _use(app, path), group="model", description="looking at a file", exit_on_error=False
    )


async def _use(app: SollolApp, path: str) -> None:
    found = await app.engine.here.model_file(path)
    if isinstance(found, Problem):
        app.tell(f"Not chosen: {clean(found.sentence, 200)} {clean(found.next, 200)}", refused=True)
        return
    app.dashboard.bring_chat().model = found.path
    app.engine.keep_model(found.path)
    serves = any(c.model_path == found.path for c in app.snapshot.coordinators)
    how = "" if serves else "; a coordinator is started for it then"
    app.tell(f"{clean(found.name, 80)} answers from the next question on{how}.")
