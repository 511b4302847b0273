"""The screen as a program of its own, for tests on a real terminal.

`python -m tests.ui.screen_program STATE_DIR [crash|worker|broken]`: shows a still cluster; `crash`
lets a handler fail after the first frame, `worker` the engine; `broken` is another cluster.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sollol_tui.core.settings import Settings
from sollol_tui.engine.engine import Engine
from sollol_tui.ui import app as app_module
from tests.ui.clusters import BROKEN, FULL
from tests.ui.stand_in import StillEngine


class FailingApp(app_module.SollolApp):
    """Fails in a handler, with a secret in a local variable."""

    def _tick(self) -> None:
        password = "a secret that nobody may see"
        raise RuntimeError(f"the test broke it ({len(password)} letters)")


def main() -> int:
    state_dir, *how = sys.argv[1:]

    def still(_settings: Settings, _state_dir: Path | None, **_: object) -> Engine:
        engine = StillEngine(BROKEN if how == ["broken"] else FULL)
        if how == ["worker"]:
            engine.failure = RuntimeError("the engine broke")
        return engine

    app_module.Engine = still  # type: ignore[assignment, attr-defined]
    if how == ["crash"]:
        app_module.SollolApp = FailingApp  # type: ignore[misc]
        app_module.TICK_S = 0.01
    return app_module.run_screen(Settings(), Path(state_dir))


if __name__ == "__main__":
    sys.exit(main())
