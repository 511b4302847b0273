"""A small app around one widget of the chat, with the product's looks, and answers on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

from sollol_tui.core.asks import AskEvent, AskRequest, RouteDecision
from sollol_tui.core.state import Mode
from sollol_tui.ui.theme import DEFAULT_THEME, THEMES, semantic_colours, stylesheets

RIG, SPARK = "http://10.0.0.5:11434", "http://10.0.0.6:11434"


class Host(App[None]):
    """Shows one widget. `told` are the messages that reached the app."""

    CSS_PATH = stylesheets()

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DEFAULT_THEME
        self.widget = widget
        self.told = list[Message]()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return semantic_colours(self.current_theme)

    def compose(self) -> ComposeResult:
        yield self.widget

    async def _on_message(self, message: Message) -> None:
        self.told.append(message)
        await super()._on_message(message)


class Answers:
    """A cluster that says what it is told to. `say` ends with an event that ends an answer."""

    def __init__(self) -> None:
        self.requests = list[AskRequest]()
        self.closed = 0
        self._streams = list[AsyncIterator[AskEvent]]()  # kept: they end when they are closed
        self._events = asyncio.Queue[AskEvent | BaseException | None]()

    def say(self, *events: AskEvent | BaseException | None) -> None:
        """Events to come; None ends the stream without its end, an exception is raised."""
        for event in events:
            self._events.put_nowait(event)

    def ask(self, request: AskRequest) -> AsyncIterator[AskEvent]:
        self.requests.append(request)
        self._streams.append(self._stream())
        return self._streams[-1]

    async def _stream(self) -> AsyncIterator[AskEvent]:
        try:
            while (event := await self._events.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self.closed += 1


def decision(number: int, name: str, url: str, reason: str = "model loaded") -> RouteDecision:
    return RouteDecision(f"r{number}.1", "llama3.2:3b", Mode.TASK, url, "node", name, reason, ())


def shown(app: App[None]) -> list[str]:
    """The lines on the screen, as a person reads them."""
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


async def until(pilot: Pilot[None], is_so: Callable[[], bool], within_s: float = 10.0) -> None:
    """Let the app go on until something is so."""
    async with asyncio.timeout(within_s):
        await pilot.pause(0.0)
        while not is_so():
            await asyncio.sleep(0.005)
            pilot.app.screen._on_timer_update()


async def until_shown(pilot: Pilot[None], *texts: str) -> None:
    """Until all the texts are on the screen."""
    await until(pilot, lambda: all(text in "\n".join(shown(pilot.app)) for text in texts))


async def resize(pilot: Pilot[None], width: int, height: int) -> None:
    """Another size of the terminal, which Textual takes over a moment later."""
    await pilot.resize_terminal(width, height)
    await until(pilot, lambda: pilot.app._resize_timer is None)
    await pilot.pause()
