"""The Markdown parser: loaded with the first message, not with the screen (it costs 16 ms)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.token import Token


def parse(source: str) -> Sequence[Token]:
    """The tokens of clean source text."""
    return _parser().parse(source)


def parse_inline(text: str) -> Sequence[Token]:
    """The tokens inside one paragraph."""
    return _parser().parseInline(text)[0].children or []


@cache
def _parser() -> MarkdownIt:
    """CommonMark with tables and strike-through.

    Raw HTML is text: a model's `<think>` or `<details>` must not vanish. Reference links are text
    too: they would need the whole document, and a block could not be final before the last one.
    """
    from markdown_it import MarkdownIt

    rules = MarkdownIt("commonmark", {"html": False})
    return rules.enable(["table", "strikethrough"]).disable("reference")
