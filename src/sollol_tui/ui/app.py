"""The app: wires the engine to the screens, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.engine.engine import Engine
from sollol_tui.ui import coordination, giving, leaving, message_commands
from sollol_tui.ui.base import BaseApp
from sollol_tui.ui.batching import Batching
from sollol_tui.ui.commands import BY_NAME
from sollol_tui.ui.keys import APP_KEYS
from sollol_tui.ui.live_keys import is_typed
from sollol_tui.ui.messages import CommandGiven, CopyAsked, SnapshotChanged, Told
from sollol_tui.ui.screens.dashboard import DashboardScreen
from sollol_tui.ui.text import clean

if TYPE_CHECKING:
    from sollol_tui.ui.chat.conversation import Conversation
    from sollol_tui.ui.compare_columns import Compared

TICK_S = 1.0
END_S = 15.0  # a coordinator that is stopped takes up to 4 s


class SollolApp(BaseApp):
    """One cluster on one screen. Holds the engine; everything shown comes from its snapshot."""

    TITLE = "sollol-tui"
    BINDINGS: ClassVar[list[BindingType]] = [*APP_KEYS]

    def __init__(
        self, engine: Engine, state_dir: Path | None = None, *, demo: bool = False
    ) -> None:
        settings = engine.settings
        super().__init__(engine.last_theme, ascii_only=settings.ascii, state_dir=state_dir)
        self.engine = engine
        self.paused = False
        self.is_leaving = False  # what has to end before the program does is being ended
        self.batching = Batching(self, state_dir)
        self.compared: Sequence[Compared] = ()  # what the last comparison came to
        self._engine_ended = asyncio.Event()
        self._engine_ended.set()
        self.dashboard: DashboardScreen = DashboardScreen(engine, is_demo=demo)

    def watch_theme(self, theme: str) -> None:
        """Colours that somebody chose are those of the next run, too."""
        if self.is_running and theme != self.engine.last_theme:
            self.engine.keep_theme(theme)

    @property
    def snapshot(self) -> ClusterSnapshot:
        return self.engine.store.snapshot

    # Start and end

    def get_default_screen(self) -> Screen[None]:
        return self.dashboard

    def on_mount(self) -> None:
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """After the first frame: the chat, the engine, and what the garbage collector need not
        look at again."""
        if not self.dashboard.is_attached:  # who quits at once is not kept
            return
        self.dashboard.bring_chat()
        gc.enable()
        gc.freeze()
        self.set_interval(TICK_S, self._tick)
        if (wanted := self.engine.settings.theme) and wanted not in self.available_themes:
            self.tell(f"No colours are called “{wanted}”; T lists those there are.", refused=True)
        self.run_worker(
            self._follow_engine(),
            name="engine",
            group="engine",
            description="the engine",
            exit_on_error=False,
        )

    async def _follow_engine(self) -> None:
        self._engine_ended.clear()
        try:
            async with self.engine.running() as store:
                if self.engine.settings.on_quit == "ask":  # whoever cannot be asked leaves it
                    self.engine.leave_coordinator(True)
                coordination.start_wanted(self)
                self.post_message(SnapshotChanged(store.snapshot))
                async for snapshot in store.changes():
                    self.post_message(SnapshotChanged(snapshot))
        finally:
            self._engine_ended.set()

    async def on_unmount(self) -> None:
        """The engine ends in order: what it started must not be cut off in the middle of that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await self._engine_ended.wait()

    async def action_quit(self) -> None:
        leaving.leave_coordinator(self)
        await self.opened()

    def _tick(self) -> None:
        """A second went by, also on a screen under a dialog: it is seen, and its curve goes on."""
        for screen in self.screen_stack:
            if tick := getattr(screen, "tick", None):
                tick(self.engine.store.now_s())

    def pause(self, paused: bool) -> None:
        """Hold the looking at servers, or go on with it."""
        self.paused = paused
        self.engine.pause(paused)
        self.dashboard.show_paused(paused)

    @on(SnapshotChanged)
    def show_snapshot(self, message: SnapshotChanged) -> None:
        for screen in self.screen_stack:
            show = getattr(screen, "show_snapshot", None)
            if show is not None:
                show(message.snapshot)

    @on(Worker.StateChanged)
    def show_worker_error(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.tell_bug(event.worker.description, event.worker.error)

    def on_conversation_crashed(self, event: Conversation.Crashed) -> None:
        self.tell_bug("an answer", event.error)

    def tell_bug(self, what: str, error: BaseException) -> str:
        sentence = super().tell_bug(what, error)
        self.engine.store.log("error", "app", "", sentence)
        self.post_message(SnapshotChanged(self.engine.store.snapshot))  # also when the engine ended
        return sentence

    # Commands

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        yield from giving.palette_entries(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of commands that mean nothing where the focus is are not there."""
        if action not in ("command", "writing") or not parameters:
            return super().check_action(action, parameters)
        if self.screen is not self.dashboard:  # they are meant for the dashboard
            return False
        if action == "writing" and is_typed(self.focused, "a"):
            return False
        return self.dashboard.can(str(parameters[0]))

    async def action_command(self, name: str) -> None:
        giving.give(self, BY_NAME[name])
        await self.opened()

    async def action_writing(self, name: str) -> None:
        """A command after which a text is written: see `keys.writing_key`."""
        await self.action_command(name)

    def run_line(self, line: str | None) -> None:
        giving.give_line(self, line)

    def on_session_view_decision_wanted(self, event: Conversation.DecisionWanted) -> None:
        message_commands.show_decisions(self, event.turn)

    @on(CommandGiven)
    def give_command(self, message: CommandGiven) -> None:
        self.run_line(message.line)

    @on(Told)
    def show_told(self, message: Told) -> None:
        self.tell(message.sentence, refused=message.refused)

    @on(CopyAsked)
    def copy(self, message: CopyAsked) -> None:
        self.copy_to_clipboard(message.text)
        self.tell(f"Copied {clean(message.what, 60)}.")


def run_screen(
    settings: Settings, state_dir: Path | None, demo: bool = False, data_dir: Path | None = None
) -> int:
    """Show the cluster until the person leaves; returns the exit code (0, or why it ended).

    The record of requests and chats is kept in `data_dir`; None keeps nothing.
    """
    app = SollolApp(Engine(settings, state_dir, data_dir=data_dir), state_dir, demo=demo)
    app.run(mouse=settings.mouse)
    return app.return_code or 0
