"""The app: wires the engine to the screens, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from rich.text import Text
from textual import on
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.scrollbar import ScrollBarRender
from textual.widget import AwaitMount
from textual.worker import Worker, WorkerState

from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.engine.engine import Engine
from sollol_tui.ui import crash, dialogs, giving
from sollol_tui.ui.commands import BY_NAME
from sollol_tui.ui.keys import APP_KEYS
from sollol_tui.ui.live_keys import is_typed
from sollol_tui.ui.messages import CommandGiven, CopyAsked, SnapshotChanged, Told
from sollol_tui.ui.screens.dashboard import DashboardScreen
from sollol_tui.ui.text import clean, clean_block
from sollol_tui.ui.theme import (
    DEFAULT_THEME,
    FIRST_SHEETS,
    THEMES,
    semantic_colours,
    stylesheets,
)

if TYPE_CHECKING:
    from sollol_tui.ui.chat.conversation import Conversation

Answer = TypeVar("Answer")

TICK_S = 1.0
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
SIGNAL_EXIT = 128  # a shell's rule: 128 + the signal's number


class SollolApp(App[None]):
    """One cluster on one screen. Holds the engine; everything shown comes from its snapshot."""

    TITLE = "sollol-tui"
    CSS_PATH = stylesheets(*FIRST_SHEETS)
    BINDINGS: ClassVar[list[BindingType]] = [*APP_KEYS]
    ENABLE_COMMAND_PALETTE = False  # ours is a command like all others

    def __init__(
        self, engine: Engine, state_dir: Path | None = None, *, demo: bool = False
    ) -> None:
        super().__init__()
        self.engine = engine
        self.demo = demo
        self.paused = False
        self.dashboard: DashboardScreen = DashboardScreen(engine, is_demo=demo)
        self._state_dir = state_dir
        self._opening: AwaitMount | None = None
        for theme in THEMES:
            self.register_theme(theme)
        wanted = engine.settings.theme
        self.theme = wanted if wanted in self.available_themes else DEFAULT_THEME
        self.set_class(engine.settings.ascii, "-ascii")
        if engine.settings.ascii:
            ScrollBarRender.VERTICAL_BARS = [" "] * len(ScrollBarRender.VERTICAL_BARS)
        self.stylesheet.set_variables(self.get_css_variables())
        self._are_styles_new = True

    @property
    def snapshot(self) -> ClusterSnapshot:
        return self.engine.store.snapshot

    # Start and end

    def get_default_screen(self) -> Screen[None]:
        return self.dashboard

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return semantic_colours(self.current_theme)

    def refresh_css(self, animate: bool = True) -> None:
        """Textual asks for this at its start, too; there the styles were just made, for this theme
        (8 ms of the first frame)."""
        if self._are_styles_new:
            self._are_styles_new = False
        else:
            super().refresh_css(animate)

    def on_load(self) -> None:
        for number in SIGNALS:
            with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
                asyncio.get_running_loop().add_signal_handler(
                    number, partial(self.exit, return_code=SIGNAL_EXIT + number)
                )

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
        self.run_worker(
            self._follow_engine(),
            name="engine",
            group="engine",
            description="the engine",
            exit_on_error=False,
        )

    async def _follow_engine(self) -> None:
        async with self.engine.running() as store:
            self.post_message(SnapshotChanged(store.snapshot))
            async for snapshot in store.changes():
                self.post_message(SnapshotChanged(snapshot))

    def _tick(self) -> None:
        """A second went by on the screen that is seen: ages get older."""
        tick = getattr(self.screen, "tick", None)
        if tick is not None:
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

    def tell_bug(self, what: str, error: BaseException) -> None:
        """A bug that does not end the program: said, logged, and reported in a file."""
        path = crash.write_report(error, self._state_dir)
        where = f" The report is {path}." if path else ""
        sentence = f"A bug stopped {what}: {error!r}.{where}"
        self.engine.store.log("error", "app", "", sentence)
        self.tell(sentence, refused=True)

    def _fatal_error(self) -> None:
        """Textual prints local variables here; a person gets one sentence and a file instead."""
        error = self._exception or RuntimeError("unknown")
        path = crash.write_report(error, self._state_dir)
        self._exit_renderables.append(Text(crash.sentence(error, path)))
        self._close_messages_no_wait()

    # Commands

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        yield from giving.palette_entries(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of commands that mean nothing where the focus is are not there, nor are letters
        where they are text."""
        if action not in ("command", "letter") or not parameters:
            return super().check_action(action, parameters)
        if action == "letter" and is_typed(self.focused, "a"):
            return False
        return self.dashboard.can(str(parameters[0]))

    async def action_command(self, name: str) -> None:
        giving.give(self, BY_NAME[name])
        if self._opening is not None:
            opening, self._opening = self._opening, None
            await opening
            focus_first(self.screen)

    async def action_letter(self, name: str) -> None:
        await self.action_command(name)

    def open(
        self, screen: Screen[Answer], then: Callable[[Answer | None], None] | None = None
    ) -> None:
        """Push a dialog; what is typed from now on is meant for it."""
        self._opening = self.push_screen(screen, then)

    def run_line(self, line: str | None) -> None:
        giving.give_line(self, line)

    def on_conversation_decision_wanted(self, event: Conversation.DecisionWanted) -> None:
        dialogs.show_decision(self, event.decision_id)

    @on(CommandGiven)
    def give_command(self, message: CommandGiven) -> None:
        self.run_line(message.line)

    def tell(self, sentence: str, *, refused: bool = False) -> None:
        """Answer what the person just did."""
        severity: SeverityLevel = "warning" if refused else "information"
        self.notify(clean_block(sentence), severity=severity, markup=False)

    @on(Told)
    def show_told(self, message: Told) -> None:
        self.tell(message.sentence, refused=message.refused)

    @on(CopyAsked)
    def copy(self, message: CopyAsked) -> None:
        self.copy_to_clipboard(message.text)
        self.tell(f"Copied {clean(message.what, 60)}.")


def focus_first(screen: Screen[object]) -> None:
    """Give a new screen its focus now, not when its turn comes."""
    if screen.focused is None:
        wanted = screen.query(screen.AUTO_FOCUS or "*")
        screen.set_focus(next((widget for widget in wanted if widget.focusable), None))


def run_screen(settings: Settings, state_dir: Path | None, demo: bool = False) -> int:
    """Show the cluster until the person leaves; returns the exit code (0, or why it ended)."""
    app = SollolApp(Engine(settings, state_dir), state_dir, demo=demo)
    app.run(mouse=settings.mouse)
    return app.return_code or 0
