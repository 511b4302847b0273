"""How Markdown looks: markers, quotes, tables, code, links, foreign characters."""

from __future__ import annotations

import pytest

from sollol_tui.ui.markdown.code import highlight
from sollol_tui.ui.markdown.lines import breaks, chop, wrap
from sollol_tui.ui.markdown.stream import MarkdownLines
from sollol_tui.ui.text import Span, clean_block, plain


def _lines(text: str, cells: int = 40) -> list[str]:
    markdown = MarkdownLines(cells)
    markdown.finish(clean_block(text))
    return [plain(line).rstrip() for line in markdown.final]


def _spans(text: str, cells: int = 40) -> list[Span]:
    markdown = MarkdownLines(cells)
    markdown.finish(clean_block(text))
    while markdown.colour_next():
        pass
    return [span for line in markdown.final for span in line]


def test_lists_have_bullets_by_depth_and_numbers_as_written() -> None:
    text = "- a\n  - b\n    - c\n\n3. three\n1. four\n"
    assert _lines(text) == ["• a", "  ◦ b", "    ▪ c", "", "3. three", "4. four"]


def test_wrapped_text_stays_inside_its_item_and_quote() -> None:
    assert _lines("> - one two three four\n>\n> next", 14) == [
        "▌ • one two",
        "▌   three four",
        "▌",
        "▌ next",
    ]


def test_blocks_are_parted_by_one_empty_line() -> None:
    assert _lines("# Head\ntext\n***\n- x\n\n\n\nend") == [
        "Head",
        "",
        "text",
        "",
        "─" * 40,
        "",
        "• x",
        "",
        "end",
    ]


def test_tables_fit_their_cells_and_wrap_in_narrow_rooms() -> None:
    table = "| node | load |\n|---|--:|\n| gpu | 2 |\n| a longer name | 10 |\n"
    assert _lines(table) == [
        "node          │ load",
        "──────────────┼─────",
        "gpu           │    2",
        "a longer name │   10",
    ]
    assert _lines(table, 15)[-2:] == ["a longer │   10", "name     │"]


def test_code_is_shown_whole_and_labelled() -> None:
    shown = _lines("```py\nabcdefghijklmnop = 1\n\ty\n```\n", 12)
    assert shown == [" py", " abcdefghij", " klmnop = 1", "     y"]


def test_html_is_text() -> None:
    text = "before\n\n<think>\nhm <b>x</b>\n</think>\n"
    assert _lines(text) == ["before", "", "<think> hm <b>x</b> </think>"]


def test_a_link_shows_where_it_leads() -> None:
    assert _lines("[docs](http://a.b/c) <http://d.e>") == ["docs (http://a.b/c) http://d.e"]
    assert _lines("![cat](c.png)") == ["[image: cat] (c.png)"]
    assert _lines("[click](javascript:alert(1))") == ["[click](javascript:alert(1))"]


@pytest.mark.parametrize(
    "text",
    [
        "a\x1b[31mb \x9b31m \x00 \u202edcba",
        "&#x1b; &#27; &#x202e; &#0; &#x9b; &#10;",
        "`\x1b]0;title\x07` and `&#x202e;`",
        "[l](\x1bx) [b]x[/b] [/x] \u2028 c\r\nd",
        "```\x1b[2J\n\x1b[2J\x85\u2067\n```\n",
        "| \x1bc |\n|--|\n| \u2067 &#x202e; |\n",
        "# \x07 head\n> \x08 quote\n1. \x0c item\n",
        "e\u0301\u0301\u0301\u0301\u0301\u0301\u0301 \ud800 \ufeff \ue000",
    ],
)
def test_nothing_in_an_answer_can_steer_the_terminal(text: str) -> None:
    for char in "".join(_lines(text)):
        assert char.isprintable(), repr(char)
        assert char not in "\u202e\u2067\ufeff"


def test_square_brackets_stay_text() -> None:
    assert _lines("[q4_0] [/x] [bold]y[/bold]") == ["[q4_0] [/x] [bold]y[/bold]"]


def test_emphasis_becomes_styles() -> None:
    spans = _spans("a **b *c*** `d` ~~e~~\n\n## f\n\n> g")
    assert spans[1:4:2] == [("b ", "strong"), (" ", "")]
    for span in [
        ("c", "strong em"),
        ("d", "codespan"),
        ("e", "s"),
        ("f", "h2"),
        ("g", "quote"),
        ("▌ ", "bar"),
    ]:
        assert span in spans


def test_rows_break_at_blanks_and_long_words_are_cut() -> None:
    assert _wrapped("one two three", 7) == ["one two", "three"]
    assert _wrapped("abcdefgh ij", 3) == ["abc", "def", "gh", "ij"]
    assert _wrapped("a  b\n  c", 3) == ["a ", "b", "  c"]


def test_wide_characters_break_anywhere_but_not_before_a_full_stop() -> None:
    assert _wrapped("ab 日本語日本語", 9) == ["ab 日本語", "日本語"]
    assert _wrapped("日本語。x", 6) == ["日本", "語。x"]
    assert _wrapped("日", 1) == ["日"]


def _wrapped(text: str, cells: int) -> list[str]:
    assert breaks(text, cells)[0][0] == 0
    return ["".join(part for part, _ in row) for row in wrap([(text, "")], cells)]


def test_every_row_but_the_last_stays_when_text_is_added() -> None:
    text = "some words 日本語 that, wrap — and żółć    go on and on without an end"
    for cells in (5, 9, 17):
        rows = _wrapped(text, cells)
        for end in range(1, len(text)):
            begun = _wrapped(text[:end], cells)
            assert rows[: len(begun) - 1] == begun[:-1]


def test_chopped_code_loses_nothing() -> None:
    for text in ("", "x = 1", "日本語 = 'wide' * 3" * 3):
        assert "".join(chop(text, 7)) == text


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("python", "def f(x):  # why\n", [("def", "keyword"), ("f", "call"), ("# why", "comment")]),
        ("py", 's = """a\nb"""', [('"""a', "string"), ('b"""', "string")]),
        ("js", "const a = `x ${y}` // n", [("const", "keyword"), ("`x ${y}`", "string")]),
        ("bash", "curl -s $URL # go", [("-s", "name"), ("$URL", "name"), ("# go", "comment")]),
        ("json", '{"a": "b", "n": 1e3}', [('"a"', "name"), ('"b"', "string"), ("1e3", "number")]),
        ("yaml", "a-b: true # c", [("a-b", "name"), ("true", "keyword"), ("# c", "comment")]),
        ("SQL", "SELECT 1 -- x", [("SELECT", "keyword"), ("1", "number"), ("-- x", "comment")]),
        ("diff", "@@ 1\n+a\n-b", [("@@ 1", "comment"), ("+a", "added"), ("-b", "removed")]),
        ("html", '<a href="x">', [("<a", "name"), ('"x"', "string"), (">", "name")]),
    ],
)
def test_code_is_coloured(language: str, code: str, expected: list[tuple[str, str]]) -> None:
    spans = [span for line in highlight(language, code.split("\n")) for span in line]
    assert [(text, f"code {style}") for text, style in expected] == [
        span for span in spans if span in [(t, f"code {s}") for t, s in expected]
    ]


@pytest.mark.parametrize("language", ["python", "js", "bash", "css", "yaml", "html", "no-such", ""])
def test_colours_never_change_the_code(language: str) -> None:
    evil = [
        '"""' * 50 + "\\",
        "'" * 99,
        "-" * 5000,
        "# \" ' ` /* <!-- " * 40,
        "",
        "\\" * 77,
        "$" * 3000,
    ]
    shown = ["".join(text for text, _ in line) for line in highlight(language, evil)]
    assert shown == evil
