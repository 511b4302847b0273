"""What stands inside a paragraph: emphasis, code, links and images as spans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sollol_tui.ui.text import Span, clean

if TYPE_CHECKING:
    from markdown_it.token import Token


def inline_spans(tokens: Sequence[Token], base: str = "") -> list[Span]:
    """The spans of a paragraph's inner tokens; `base` is the style that all of them have.

    Links are not opened: their address is written behind their text. The parser decodes entities
    such as `&#x202e;`, so texts are made harmless here once more.
    """
    spans = list[Span]()
    styles = [base] if base else []
    links = list[tuple[int, str]]()  # where the text of an open link begins, and its address
    for token in tokens:
        if token.nesting == 1:
            styles.append(token.type.removesuffix("_open"))
            if token.type == "link_open":
                links.append((len(spans), str(token.attrs.get("href", ""))))
        elif token.nesting == -1:
            styles.pop()
            if token.type == "link_close":
                spans += _address(spans, *links.pop(), " ".join([*styles, "muted"]))
        else:
            spans.append(_span(token, " ".join(styles)))
    return spans


def _span(token: Token, style: str) -> Span:
    if token.type == "softbreak":
        return " ", style
    if token.type == "hardbreak":
        return "\n", style
    if token.type == "code_inline":
        return _harmless(token.content), f"{style} codespan".lstrip()
    if token.type == "image":
        return _harmless(
            f"[image: {token.content}] ({token.attrs['src']})"
        ), f"{style} link".lstrip()
    return _harmless(token.content), style


def _address(spans: Sequence[Span], start: int, href: str, style: str) -> list[Span]:
    shown = "".join(text for text, _ in spans[start:])
    return [] if shown == href.removeprefix("mailto:") else [(f" ({_harmless(href)})", style)]


def _harmless(text: str) -> str:
    return clean(text, len(text))
