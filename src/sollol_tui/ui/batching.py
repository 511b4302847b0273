"""The batch of this run of the program: at most one, which goes on whatever is on the screen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from textual.worker import Worker

from sollol_tui.core.ids import coordinator_words
from sollol_tui.ui.refused import Refused

if TYPE_CHECKING:
    from sollol_tui.engine.batch_run import BatchOrder, BatchRun
    from sollol_tui.ui.app import SollolApp
    from sollol_tui.ui.panes.batch import BatchView


class Batching:
    """Begins, holds and ends batches for the app.

    Args:
        state_dir: where locks lie; None: none can be begun.
    """

    def __init__(self, app: SollolApp, state_dir: Path | None) -> None:
        self._app = app
        self._state_dir = state_dir
        self._run: BatchRun | None = None  # the one that goes on, or the last one
        self._worker: Worker[None] | None = None

    @property
    def is_going(self) -> bool:
        """Whether one goes on, also while it is paused or its files are being read."""
        return self._worker is not None and not self._worker.is_finished

    @property
    def has_run(self) -> bool:
        """Whether there is one to show."""
        return self._run is not None

    @property
    def counted(self) -> str:
        """`12 of 40`."""
        if self._run is None:
            return "nothing yet"
        now = self._run.progress()
        return f"{now.settled} of {now.total}"

    # What the screen shows and asks for

    @property
    def title(self) -> str:
        return self._run.order.prompts.name if self._run is not None else ""

    def view(self) -> BatchView:
        from sollol_tui.ui.panes.batch import BatchView

        run = self._run
        assert run is not None, "shown before there is one"
        spread = [(_name_of(self._app, url), count) for url, count in run.spread.items()]
        return BatchView(
            run.progress(),
            str(run.order.out),
            run.parallel,
            sorted(spread, key=lambda pair: (-pair[1], pair[0])),
            run.bad,
            run.failures,
            _why(run),
        )

    def begin(self, order: BatchOrder) -> None:
        """Begin one, and show it when its files have been read. Raises `Refused`."""
        if self.is_going:
            raise Refused(f"A batch is going on, {self.counted} done: /batch shows it.")
        if self._state_dir is None:
            raise Refused("Nothing is kept in this run: a batch has no place for its lock.")
        self._worker = self._app.run_worker(
            self._work(order, self._state_dir),
            group="batch",
            description="the batch",
            exit_on_error=False,
        )

    def pause(self) -> None:
        """Begin no prompt more, or go on."""
        if self._run is not None:
            self._run.pause(self._run.state != "paused")
            self._note()

    def stop(self) -> None:
        """Stop it; what is settled stays, and the same order goes on from there."""
        if self._worker is not None:
            self._worker.cancel()

    def again(self, *, failed: bool) -> None:
        """Go on with the last one; `failed`: ask those again that have no whole answer."""
        if self._run is None or self.is_going:
            return
        now = self._run.progress()
        if now.failed if failed else now.left:
            self.begin(self._run.order._replace(retry_failed=failed))

    # The work

    async def _work(self, order: BatchOrder, state_dir: Path) -> None:
        from sollol_tui.engine.batch_run import BatchRefused, BatchRun

        run = BatchRun(order, state_dir)
        try:
            await asyncio.to_thread(run.open)
            self._run = run
            self._show()
            await run.run(self._app.engine, heard=lambda _: self._note())
        except BatchRefused as refusal:
            self._hand_back(run, str(refusal))
            return
        except OSError:
            pass  # the run says so, and why
        finally:
            run.close()
            self._note()
        self._tell_end(run)

    def _show(self) -> None:
        from sollol_tui.ui.screens.batch import BatchScreen

        if not isinstance(self._app.screen, BatchScreen):
            show(self._app)

    def _hand_back(self, run: BatchRun, reason: str) -> None:
        """What cannot begin is written again, with the reason."""
        from sollol_tui.ui import dialogs
        from sollol_tui.ui.batch_commands import line_of

        first = f" Line {run.bad[0].line}: {run.bad[0].reason}." if run.bad else ""
        said = f"No batch was begun: {reason}.{first}"
        dialogs.ask_command(self._app, line_of(run.order), said)

    def _note(self) -> None:
        from sollol_tui.ui.panes.batch import batch_note

        note = batch_note(self._run.progress()) if self._run is not None else ""
        self._app.dashboard.panes.note = note

    def _tell_end(self, run: BatchRun) -> None:
        from sollol_tui.ui.panes.batch import end_sentence

        sentence = end_sentence(run.progress(), str(run.order.out), _why(run))
        is_well = run.state == "done"
        self._app.engine.store.log("info" if is_well else "error", "app", "", sentence)
        self._app.tell(sentence, refused=not is_well)


def show(app: SollolApp) -> None:
    """Open the batch's screen."""
    from sollol_tui.ui.screens.batch import BatchScreen

    app.open(BatchScreen(app.batching, ascii_only=app.engine.settings.ascii))


def _name_of(app: SollolApp, target: str) -> str:
    from sollol_tui.ui.panes.coordinator import coordinator_name
    from sollol_tui.ui.panes.nodes import node_name

    node, coordinator = app.snapshot.node(target), app.snapshot.coordinator(target)
    if node is not None:
        return node_name(node)
    if coordinator is None:
        return target
    return coordinator_words(coordinator_name(coordinator))


def _why(run: BatchRun) -> str:
    return run.problem or (str(run.given_up) if run.given_up is not None else "")
