"""The code blocks of a text, to be copied."""

from __future__ import annotations

from sollol_tui.ui.markdown.parser import parse


def code_blocks(source: str) -> list[str]:
    """The code of each fence or indented block, without its marks."""
    return [token.content for token in parse(source) if token.type in ("fence", "code_block")]
