"""The smallest useful Textual app: one text and a footer. What every start is measured against."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Footer, Static


class Bare(App[None]):
    BINDINGS = [("ctrl+q", "quit", "Quit")]

    def compose(self) -> ComposeResult:
        yield Static("READY-MARK")
        yield Footer()


if __name__ == "__main__":
    Bare().run()
