"""The dashboard: six panes on one flat grid, in a layout that fits the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widget import Widget

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.engine.engine import Engine
from sollol_tui.ui import arrangement, message_commands
from sollol_tui.ui.coordinator_menu import own_coordinator
from sollol_tui.ui.filling import Panes
from sollol_tui.ui.hints import TITLES, key_hints, tab_segments
from sollol_tui.ui.keys import DASHBOARD_KEYS, PANES
from sollol_tui.ui.live_keys import key_of
from sollol_tui.ui.messages import CommandGiven
from sollol_tui.ui.panes.coordinator import main_coordinator, says_much
from sollol_tui.ui.panes.phases import is_coming, waits_to_retry
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.screens.steady import SteadyScreen
from sollol_tui.ui.subjects import Subject, subject_of
from sollol_tui.ui.theme import CHAT_SHEETS, stylesheets
from sollol_tui.ui.widgets.cursor_pane import CursorPane
from sollol_tui.ui.widgets.event_log import EventLog
from sollol_tui.ui.widgets.live_table import LiveTable
from sollol_tui.ui.widgets.strip import OneLine, Segment

if TYPE_CHECKING:
    from sollol_tui.ui.chat.panel import ChatPanel

FIRST = "nodes"
PRESSED = {"run": "stats", "tps": "stats", "redis": "status", "age": "refresh", "demo": "help"}
PRESSED |= {"read-only": "", "quit.always": "quit"}
"""What a click on a segment does, where its id is not the command itself."""


class DashboardScreen(SteadyScreen[None]):
    """Knows which pane is shown and has the focus, and does what keys ask of panes."""

    BINDINGS: ClassVar[list[BindingType]] = [*DASHBOARD_KEYS]
    AUTO_FOCUS = f"#{FIRST}"
    BLANK = True  # its panes cover it

    def __init__(self, engine: Engine, *, is_demo: bool = False) -> None:
        super().__init__()
        self._engine = engine
        self.panes: Panes = Panes(engine, is_demo=is_demo)
        self.current = FIRST
        self._last_list = FIRST  # where leaving the prompt leads back to
        self._is_zoomed = False
        self._heights = ""
        self._was_resumed = False
        ascii_only = engine.settings.ascii
        self._tabs = OneLine(gap=0, ascii_only=ascii_only, id="tabs")
        self._keys = OneLine(ascii_only=ascii_only, id="keys")
        self._too_small = OneLine(ascii_only=ascii_only, id="too-small")

    # Layout

    def compose(self) -> ComposeResult:
        """In the order of the grid's cells: the chat stands where its column begins."""
        self._arrange()
        panes = self.panes
        yield panes.status
        if self.has_class("-one"):
            yield self._tabs
        yield from (panes.coordinator, panes.chat_place, panes.nodes, panes.rpc)
        yield from (panes.stats, panes.events, self._keys)
        if self.has_class("-tiny"):
            yield self._too_small

    def on_mount(self) -> None:
        self.bindings_updated_signal.subscribe(self, lambda _screen: self.show_keys())
        self.show_keys()
        self.show_snapshot(self._engine.store.snapshot)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Its first time, the screen need not be styled again: it was, when it was mounted."""
        event.refresh_styles = event.refresh_styles and self._was_resumed
        self._was_resumed = True

    def on_resize(self, _event: events.Resize) -> None:
        self._arrange()
        self.call_after_refresh(self._keep_focus)

    def _keep_focus(self) -> None:
        """A pane that had to be hidden lost its focus: what is shown now takes it."""
        if self.focused is None and not self.has_class("-tiny"):
            self.set_focus(self.panes.takes_focus(self.current))

    def _arrange(self) -> None:
        columns, rows = self.app.size
        classes = arrangement.classes(columns, rows, shown=self.current, is_zoomed=self._is_zoomed)
        classes |= {f"-show-{pane}": pane == self.current for pane in PANES}
        self.update_classes(classes, animate=False)
        self._fit_rows()
        self._bring_lines()
        self._tabs.show(tab_segments(self.current))
        need = "×".join(map(str, arrangement.LEAST))
        self._too_small.show([Segment(((f"need {need}, have {columns}×{rows}", "warn"),))])

    def _bring_lines(self) -> None:
        """The lines that only some sizes have are mounted when they are first wanted: what is not
        there costs no time (4 ms of the first frame)."""
        if not (self.is_mounted and self.is_attached):  # a last resize may come when it has gone
            return
        if self.has_class("-one") and not self._tabs.is_attached:
            self.mount(self._tabs, after=self.panes.status)
        if self.has_class("-tiny") and not self._too_small.is_attached:
            self.mount(self._too_small)

    def _fit_rows(self) -> None:
        """The heights of two and of three columns follow what there is to show."""
        heights, rows = "", self.app.size.height
        snapshot = self._engine.store.snapshot
        shown = main_coordinator(snapshot.coordinators)
        is_serving = shown is not None and says_much(shown)
        shards = len(shown.shards.devices) if shown is not None and shown.shards else 0
        if self.has_class("-two"):
            heights = arrangement.rows_of_two(
                rows,
                is_serving=is_serving,
                shards=shards,
                nodes=len(snapshot.nodes),
                backends=len(snapshot.backends),
            )
        elif self.has_class("-three"):
            heights = arrangement.rows_of_three(rows, is_serving=is_serving, shards=shards)
        if heights != self._heights:
            self._heights = heights
            self.styles.grid_rows = heights or None

    # Data

    def show_snapshot(self, snapshot: ClusterSnapshot) -> None:
        self.panes.show(snapshot)
        self._fit_rows()

    def show_paused(self, is_paused: bool) -> None:
        self.panes.is_paused = is_paused
        self.panes.tick(self._engine.store.now_s())

    def tick(self, now_s: float) -> None:
        """A second went by: ages."""
        self.panes.tick(now_s)

    # Focus

    def bring_chat(self) -> ChatPanel:
        """The chat, put into its place the first time."""
        chat = self.panes.chat
        if chat is None:
            self.app.stylesheet.read_all([Path(sheet) for sheet in stylesheets(*CHAT_SHEETS)])
            self.app.stylesheet.parse()
            chat = self.panes.make_chat()
            self.mount(chat, after=self.panes.chat_place)
            self.panes.chat_place.remove()
            chat.conversation.again_key = lambda: key_of(self, "again")
            self.call_after_refresh(self._keep_focus)
        return chat

    def show_pane(self, pane: str) -> None:
        """Show a pane and give it the focus; the chat's prompt in the case of the chat."""
        if pane == "chat":
            self.bring_chat()
        self._set_current(pane)
        self.set_focus(self.panes.takes_focus(pane))  # at once: what is typed next is meant for it

    def step_pane(self, by: int) -> None:
        self.show_pane(PANES[(PANES.index(self.current) + by) % len(PANES)])

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        pane = self.panes.name_of(event.widget)
        if pane is not None:
            self._set_current(pane)

    def _set_current(self, pane: str) -> None:
        if pane != "chat":
            self._last_list = pane
        if pane != self.current:
            self.current = pane
            self._arrange()

    def show_keys(self) -> None:
        """Write the key line anew: it says what works where the focus is."""
        self._keys.show(*key_hints(self, message_commands.idle(self.panes.chat)))

    @on(LiveTable.RowChosen)
    @on(EventLog.RowChosen)
    def choose_row(self, event: CursorPane.RowMessage) -> None:
        event.stop()
        self.post_message(CommandGiven("detail"))

    def on_asking_model_wanted(self, event: Message) -> None:
        event.stop()
        self.post_message(CommandGiven("model"))

    @on(OneLine.Pressed)
    def press(self, event: OneLine.Pressed) -> None:
        event.stop()
        line = PRESSED.get(event.segment_id, event.segment_id)
        if line:
            self.post_message(CommandGiven(line))

    # What keys ask of the pane that has the focus

    @property
    def pane(self) -> Widget:
        return self.panes.by_name[self.current]

    @property
    def is_answering(self) -> bool:
        """Whether an answer is being written."""
        return self.panes.chat is not None and self.panes.chat.is_streaming

    def can(self, command: str) -> bool:
        """Whether a command means something for the pane that has the focus."""
        if command in ("sort", "reverse"):
            return isinstance(self.pane, LiveTable)
        if command == "filter":
            return isinstance(self.pane, LiveTable | EventLog)
        if command in ("errors", "answer"):
            return isinstance(self.pane, EventLog)
        if command == "log":
            return self.current == "coordinator"
        if command == "drain":
            changes = not self._engine.settings.read_only
            return changes and self.current == "nodes" and self.subject() is not None
        if command in ("detail", "actions", "copy"):
            subject = self.subject()
            return subject is not None and (command == "actions" or bool(subject.copied))
        return True

    def subject(self) -> Subject | None:
        """What the cursor is on."""
        pane = self.pane
        key = pane.cursor_key if isinstance(pane, CursorPane) else None
        return subject_of(self.current, key, self._engine.store)

    def filterable(self) -> LiveTable | EventLog:
        pane = self.pane
        if isinstance(pane, LiveTable | EventLog):
            return pane
        raise Refused(f"There is nothing to filter in {TITLES[self.current]}.")

    def sort_pane(self, *, reverse: bool = False) -> None:
        pane = self.pane
        if not isinstance(pane, LiveTable):
            raise Refused(f"There is nothing to sort in {TITLES[self.current]}.")
        if reverse:
            pane.sort_reverse()
        else:
            pane.sort_next()

    def toggle_errors(self) -> None:
        self.show_pane("events")
        self.panes.events.toggle_errors()

    def toggle_zoom(self) -> None:
        self._is_zoomed = not self._is_zoomed
        self._arrange()

    @property
    def is_retry_awaited(self) -> bool:
        """Whether the pane with the focus shows a coordinator that waits for its next try."""
        own = own_coordinator(self._engine.store.snapshot)
        return self.current == "coordinator" and own is not None and waits_to_retry(own)

    def go_back(self) -> None:
        """One level: the start that is going on, the filter, the answer that is written, the
        prompt, the zoom."""
        pane = self.pane
        own = own_coordinator(self._engine.store.snapshot)
        if self.current == "coordinator" and own is not None and is_coming(own):
            self.post_message(CommandGiven("coordinator stop"))
        elif isinstance(pane, LiveTable | EventLog) and pane.filter_text:
            pane.filter("")
        elif self.current == "chat" and self.is_answering:
            self.bring_chat().stop()
        elif self.current == "chat":
            self.show_pane(self._last_list)
        elif self._is_zoomed:
            self.toggle_zoom()
        elif self.has_class("-one"):
            self.show_pane(FIRST)
