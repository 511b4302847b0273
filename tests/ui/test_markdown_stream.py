"""Streamed Markdown: whatever the pieces, the lines are those of the whole."""

from __future__ import annotations

import pytest

from sollol_tui.ui.markdown import cuts
from sollol_tui.ui.markdown.stream import MarkdownLines
from sollol_tui.ui.text import Line, clean_block, line_width, plain
from tests.ui.corpus import CORPORA, nasty, one_paragraph, pieces

WIDTHS = (40, 78, 114)
ONE_PIECE = 10**6


def _runs(markdown: MarkdownLines) -> list[list[tuple[str, str]]]:
    """All lines, coloured; neighbouring spans of one style are one."""
    while markdown.colour_next():
        pass
    return [_joined(line) for line in (*markdown.final, *markdown.tail)]


def _joined(line: Line) -> list[tuple[str, str]]:
    spans: list[tuple[str, str]] = []
    for text, style in line:
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + text, style)
        elif text:
            spans.append((text, style))
    return spans


def _whole(text: str, cells: int) -> list[list[tuple[str, str]]]:
    markdown = MarkdownLines(cells)
    markdown.finish(text)
    return _runs(markdown)


def _streamed(text: str, cells: int, size: int, seed: int = 0) -> list[list[tuple[str, str]]]:
    markdown = MarkdownLines(cells)
    for piece in pieces(text, size, seed):
        markdown.feed(piece)
    markdown.finish()
    return _runs(markdown)


@pytest.mark.parametrize("cells", WIDTHS)
@pytest.mark.parametrize("kind", CORPORA)
def test_a_streamed_answer_has_the_text_and_styles_of_the_whole(kind: str, cells: int) -> None:
    text = CORPORA[kind](3000)
    whole = _whole(text, cells)
    for size in (4, 30, 300, ONE_PIECE):
        assert _streamed(text, cells, size) == whole


@pytest.mark.parametrize(
    "seeds", [range(start, start + 30) for start in range(0, 240, 30)], ids=str
)
def test_nasty_documents_stream_like_the_whole(
    seeds: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuts, "ROWS_CUT", 2)
    for seed in seeds:
        cuts_paragraphs = seed % 2 == 1
        monkeypatch.setattr(cuts, "PARAGRAPH_CUT", 120 if cuts_paragraphs else ONE_PIECE)
        text = clean_block(nasty(seed, underlines=not cuts_paragraphs))
        cells = WIDTHS[seed // 2 % 3]
        whole = _whole(text, cells)
        for size in ((2, 60), (3, 12), (4, 25))[seed % 3]:
            assert _streamed(text, cells, size, seed) == whole, f"seed {seed}, pieces of {size}"


@pytest.mark.parametrize(
    "text",
    [
        "1. a\n1. b\n   ```\n   x\n   ```\n1. c\n   > q\n1. d\n",
        "> ```\n> a\n> b\n> c\n\n> d\n> e\n> f\n\n> ```\n",
        "- ```\n  a\n  b\n  c\n\nd\n\n- e\n",
        "- ```\n  a\n  ```\n  " + "long " * 60 + "\n\n  next\n",
        "wide | " + "word " * 60 + "| cell\n---|---|---\n1|2|3\n",
        "an **open " + "word " * 60 + "mark** closes\n",
        "a `tick " + "word " * 60 + "closes` late\n",
        "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 9 + "| a much wider cell | 2 |\n\nend\n",
        "- a\n\n  | a |\n  |---|\n" + "  | 1 |\n" * 9 + "- b\n",
        "> - ```\n>   a\n>   b\n>   c\n>\n> x\n",
        "> - ```\n>   a\n>   b\n>   c\n> x\n",
        "| a | b |\n|---|:-:|\n| 1 |\n| 2 |\n1. one\n" + "long " * 40 + "\n",
        "> ```\n> a = 1\n> b\n> c\nout\n" + "long " * 40 + "\n",
        "````md\n```py\nx\n```\n````\n\nend\n",
    ],
)
def test_what_may_still_change_is_not_final(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "ROWS_CUT", 2)
    monkeypatch.setattr(cuts, "PARAGRAPH_CUT", 120)
    for size in (1, 2, 5):
        for seed in range(3):
            assert _streamed(text, 40, size, seed) == _whole(text, 40)


@pytest.mark.parametrize("kind", CORPORA)
def test_the_part_that_is_parsed_again_does_not_grow_with_the_answer(kind: str) -> None:
    markdown, longest = MarkdownLines(78), 0
    for piece in pieces(CORPORA[kind](12_000), 20):
        markdown.feed(piece)
        longest = max(longest, len(markdown._source))
    assert longest < cuts.PARAGRAPH_CUT + 100
    assert len(markdown.tail) < 0.2 * len(markdown)


def test_final_lines_never_change_but_for_the_colours_of_code() -> None:
    markdown, before = MarkdownLines(60), list[str]()
    for piece in pieces(CORPORA["mixed"](6000), 9):
        markdown.feed(piece)
        after = [plain(line) for line in markdown.final]
        assert after[: len(before)] == before
        markdown.colour_next()
        assert [plain(line) for line in markdown.final] == after
        before = after


@pytest.mark.parametrize("cells", [8, 20, *WIDTHS])
def test_no_line_is_wider_than_the_room(cells: int) -> None:
    for seed in range(0, 60, 2):
        text = nasty(seed, underlines=True).replace("|", "/")  # tables are cut by the painter
        markdown = MarkdownLines(cells)
        markdown.finish(clean_block(text))
        deepest = 12  # markers of deep boxes take their room even where there is none
        assert all(line_width(line) <= max(cells, deepest + 4) for line in markdown.final)


def test_a_fence_is_coloured_when_it_closes_and_not_before() -> None:
    markdown = MarkdownLines(40)
    markdown.feed("Look:\n\n```python\nreturn 1\n")
    assert not markdown.colour_next()
    markdown.feed("```\n")
    assert markdown.colour_next()
    assert ("return", "code keyword") in [span for line in markdown.final for span in line]


def test_a_very_long_fence_keeps_one_colour() -> None:
    markdown = MarkdownLines(40)
    markdown.feed("```python\n" + "return 1\n" * 201 + "```\n\nafter\n")
    assert not markdown.has_uncoloured


def test_an_underline_that_comes_too_late_leaves_the_paragraph_a_paragraph() -> None:
    markdown = MarkdownLines(60)
    for piece in pieces(one_paragraph(3000) + "\n---\n", 30):
        markdown.feed(piece)
    markdown.finish()
    assert all(style == "" for line in markdown.final for _, style in line)
