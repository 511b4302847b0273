"""A bare Textual app with one prompt. What every key to its letter is measured against."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Footer, Input, Static


class BarePrompt(App[None]):
    BINDINGS = [("ctrl+q", "quit", "Quit")]

    def compose(self) -> ComposeResult:
        yield Static("READY-MARK")
        yield Input()
        yield Footer()


if __name__ == "__main__":
    BarePrompt().run()
