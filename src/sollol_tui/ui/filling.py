"""The dashboard's panes and what each of them gets of a snapshot."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from textual.dom import DOMNode
from textual.widget import Widget

from sollol_tui.core.parallel import Wish, recognise, wants_parallel
from sollol_tui.core.state import ClusterSnapshot, NodeStatus
from sollol_tui.engine.engine import Engine
from sollol_tui.ui.hints import TITLES
from sollol_tui.ui.keys import PANES
from sollol_tui.ui.panes.backends import backend_columns, backend_empty, backend_rows
from sollol_tui.ui.panes.coordinator import coordinator_lines, main_coordinator
from sollol_tui.ui.panes.events import log_line
from sollol_tui.ui.panes.nodes import node_columns, node_empty, node_rows
from sollol_tui.ui.panes.queues import queues
from sollol_tui.ui.panes.shards import held_layers
from sollol_tui.ui.panes.stats import stats_view
from sollol_tui.ui.panes.status import status_segments
from sollol_tui.ui.rates import TokenRate
from sollol_tui.ui.text import Line
from sollol_tui.ui.theme import painted
from sollol_tui.ui.widgets.event_log import EventLog
from sollol_tui.ui.widgets.lines_pane import FittedPane, LinesPane
from sollol_tui.ui.widgets.live_table import LiveTable
from sollol_tui.ui.widgets.pane import Pane
from sollol_tui.ui.widgets.strip import OneLine

if TYPE_CHECKING:
    from sollol_tui.core.statistics import Row, Stats
    from sollol_tui.ui.chat.panel import ChatPanel
    from sollol_tui.ui.prompt_menu import FileWish
    from sollol_tui.ui.widgets.completions import Choice


class Panes:
    """Six panes and the status strip. Nothing is painted that did not change."""

    def __init__(self, engine: Engine, *, is_demo: bool = False) -> None:
        self._engine = engine
        self._is_demo = is_demo
        self.is_paused = False
        self.note = ""  # what goes on beside everything else
        self._ascii = ascii_only = engine.settings.ascii
        self.status = OneLine(ascii_only=ascii_only, id="status")
        self.coordinator = LinesPane(ascii_only=ascii_only, id="coordinator")
        self.nodes = LiveTable(node_columns(ascii_only), ascii_only=ascii_only, id="nodes")
        self.rpc = LiveTable(backend_columns(ascii_only), ascii_only=ascii_only, id="rpc")
        self.events = EventLog(ascii_only=ascii_only, id="events")
        self.stats = FittedPane(ascii_only=ascii_only, id="stats")
        self.chat: ChatPanel | None = None  # it comes after the first frame, see `make_chat`
        self.chat_place = Widget(id="chat-place")
        self.by_name: dict[str, Widget] = {
            "coordinator": self.coordinator,
            "nodes": self.nodes,
            "rpc": self.rpc,
            "events": self.events,
            "stats": self.stats,
            "chat": self.chat_place,
        }
        for name in PANES:
            self._title(name)
        self._rate = TokenRate()
        self._last_entry = 0
        self._has_looked = False
        self._figures: Stats | None = None  # asked for after the first frame
        self._of_nodes: dict[str, Row] | None = None
        self._of_backends: dict[str, Row] | None = None

    def _title(self, name: str) -> None:
        line = ((f"{PANES.index(name) + 1} ", "muted"), (TITLES[name], ""))
        pane = self.by_name[name]
        if isinstance(pane, Pane):
            pane.set_title(line)
        else:
            pane.border_title = painted(line)

    def _wish(self, prompt: str) -> tuple[Wish, int]:
        """Whether a question is to be answered in parts at once, and by how many nodes."""
        nodes = sum(n.status is NodeStatus.UP for n in self._engine.store.snapshot.nodes)
        setting = self._engine.settings.parallel_answers
        return wants_parallel(setting, recognise(prompt), nodes), nodes

    def _choices(self, text: str) -> Sequence[Choice]:
        """What the prompt offers for a command that is being typed."""
        from sollol_tui.ui.prompt_menu import choices_for

        return choices_for(text, self._engine.store.snapshot)

    def _paths(self, text: str) -> Awaitable[Sequence[Choice]] | None:
        """The paths that the prompt offers, where a file may be named."""
        from sollol_tui.ui.prompt_menu import file_wish

        wish = file_wish(text)
        return None if wish is None else self._found(wish)

    async def _found(self, wish: FileWish) -> Sequence[Choice]:
        await self._engine.first_look()  # before that there is no engine to ask
        paths = await self._engine.here.paths(wish.typed, wish.files.endings)
        return [wish.choice(path) for path in paths]

    def make_chat(self) -> ChatPanel:
        """The chat in its place. It is a fifth of the screen's cost, so it is not in the first
        frame: its modules are imported here."""
        from sollol_tui.ui.chat.panel import ChatPanel
        from sollol_tui.ui.prompt_commands import target_words

        self.chat = ChatPanel(
            self._engine.ask,
            wanted_model=self._engine.last_model,
            ascii_only=self._ascii,
            id="chat",
        )
        self.chat.menu.source, self.chat.menu.slow = self._choices, self._paths
        self.chat.name_of = lambda url: target_words(self._engine.store.snapshot, url)
        self.chat.conversation.ask_parallel = self._engine.ask_parallel
        self.chat.conversation.wish = self._wish
        if self._engine.chats is not None:
            from sollol_tui.ui.chat.keeping import Keeper

            store = self._engine.store
            self.chat.conversation.keeper = Keeper(self._engine.chats, store.now_s)
            self.chat.earlier = self._engine.chats.questions
        self.by_name["chat"] = self.chat
        self._title("chat")
        self._show_models(self._engine.store.snapshot)
        return self.chat

    def _show_models(self, snapshot: ClusterSnapshot) -> None:
        if self.chat is not None:
            from sollol_tui.ui.chat.models import models_of

            self.chat.models = models_of(snapshot)

    # Focus

    def name_of(self, widget: DOMNode) -> str | None:
        """The pane that a widget is, or lies in."""
        found = {pane: name for name, pane in self.by_name.items()}
        return next((found[node] for node in widget.ancestors_with_self if node in found), None)

    def takes_focus(self, name: str) -> Widget:
        """The widget of a pane that the keys go to."""
        return self.chat.prompt if name == "chat" and self.chat else self.by_name[name]

    # Data

    def show(self, snapshot: ClusterSnapshot) -> None:
        """Hand every pane its slice."""
        now_s = self._engine.store.now_s()
        self._show_servers(snapshot, now_s)
        self._show_models(snapshot)
        entries = self._engine.store.entries_after(self._last_entry)
        if entries:
            self._last_entry = entries[-1].number
            self.events.append(log_line(entry, self._ascii) for entry in entries)
        self._show_moving(snapshot, now_s)

    def _show_servers(self, snapshot: ClusterSnapshot, now_s: float) -> None:
        """The two tables."""
        interval_s = snapshot.rules.interval_s
        self.nodes.show(
            node_rows(
                snapshot.nodes,
                interval_s=interval_s,
                figures=self._of_nodes,
                waits=queues(snapshot.requests),
                ascii_only=self._ascii,
            ),
            node_empty(snapshot.looked),
        )
        self.rpc.show(
            backend_rows(
                snapshot.backends,
                interval_s=interval_s,
                layers=held_layers(snapshot.coordinators),
                figures=self._of_backends,
                ascii_only=self._ascii,
            ),
            backend_empty(snapshot.looked),
        )
        if snapshot.looked and not self._has_looked:  # that a state is unknown is a wide word
            self._has_looked = True
            self.nodes.fit_anew()
            self.rpc.fit_anew()
        self.nodes.tick(now_s)
        self.rpc.tick(now_s)

    def tick(self, now_s: float) -> None:
        """A second went by: a sample of the speed, and ages."""
        snapshot = self._engine.store.snapshot
        self._rate.add(snapshot, now_s)
        if self._has_learned(now_s):
            self._show_servers(snapshot, now_s)
        else:
            self.nodes.tick(now_s)
            self.rpc.tick(now_s)
        self._show_moving(snapshot, now_s)

    def _show_moving(self, snapshot: ClusterSnapshot, now_s: float) -> None:
        """What changes with time alone."""
        self.status.show(
            *status_segments(
                snapshot,
                now_s,
                decode_tps=self._rate.now_tps(snapshot),
                demo=self._is_demo,
                read_only=self._engine.settings.read_only,
                paused=self.is_paused,
                note=self.note,
                ascii_only=self._ascii,
            )
        )
        self.coordinator.show(lambda cells: self._coordinator_lines(snapshot, cells, now_s))
        samples = tuple(self._rate.samples)
        self.stats.show_fitted(stats_view(snapshot, self._figures, now_s, samples=samples))

    def _coordinator_lines(
        self, snapshot: ClusterSnapshot, cells: int, now_s: float
    ) -> Sequence[Line]:
        shown = main_coordinator(snapshot.coordinators)
        return coordinator_lines(
            shown,
            cells,
            now_s,
            backends=snapshot.backends,
            others=[c for c in snapshot.coordinators if c is not shown],
            looked=snapshot.looked,
            ascii_only=self._ascii,
        )

    def _has_learned(self, now_s: float) -> bool:
        """Ask for the figures of our requests, once a second; whether they are others now."""
        figures = self._engine.stats(now_s)
        if figures is self._figures:
            return False
        self._figures = figures
        self._of_nodes = {row.key: row for row in figures.nodes}
        self._of_backends = {row.key: row for row in figures.backends}
        return True
