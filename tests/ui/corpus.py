"""Answers to stream: believable ones of a wanted length, and nasty ones put together at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

_TALK = (
    "a coordinator holds the weights and hands layers to its backends while each node answers for "
    "itself and the router looks at queues first then at measured speed so that a slow machine is "
    "used but never waited for when another one is free to take what comes next"
)
_WORDS = _TALK.split()


def _sentence(dice: random.Random, words: int) -> str:
    text = " ".join(dice.choice(_WORDS) for _ in range(words))
    return f"{text.capitalize()}."


def _python(dice: random.Random, functions: int) -> str:
    return "".join(
        f"def step_{dice.randrange(999)}(rows, limit={n}):\n"
        f"    total = sum(rows) * {n}  # {dice.choice(_WORDS)}\n"
        f"    return total if total > limit else '{dice.choice(_WORDS)}'\n"
        for n in range(functions)
    )


def _section(dice: random.Random, number: int) -> str:
    kind = number % 5
    if kind == 0:
        return f"## Part {number}\n\n{_sentence(dice, 45)} It calls `score()` and **waits**.\n\n"
    if kind == 1:
        items = (f"- **{dice.choice(_WORDS)}**: {_sentence(dice, 9)}\n" for _ in range(5))
        return "".join(items) + "\n"
    if kind == 2:
        return f"```python\n{_python(dice, 5)}```\n\n"
    if kind == 3:
        rows = (
            f"| node-{n} | {dice.random():.2f} | {dice.randrange(900)} ms |\n" for n in range(6)
        )
        return "| node | score | latency |\n|---|---:|:-:|\n" + "".join(rows) + "\n"
    return f"{_sentence(dice, 50)} Look at *this* and at [that](http://example.org/x).\n\n"


def mixed(length: int) -> str:
    """Headings, paragraphs, lists, code and tables."""
    dice, text, number = random.Random(1), "", 0
    while len(text) < length:
        text += _section(dice, number)
        number += 1
    return text[:length]


def one_list(length: int) -> str:
    dice = random.Random(2)
    items = (f"{n}. **point {n}** {_sentence(dice, 11)}\n" for n in range(1, length // 40))
    return "".join(items)[:length]


def one_fence(length: int) -> str:
    return ("```python\n" + _python(random.Random(3), length // 100))[:length]


def one_paragraph(length: int) -> str:
    return _sentence(random.Random(4), length // 3)[:length]


CORPORA: dict[str, Callable[[int], str]] = {
    "mixed": mixed,
    "list": one_list,
    "fence": one_fence,
    "paragraph": one_paragraph,
}

_NESTING = [
    "- item\n",
    "- item two **x**\n",
    "  - nested\n",
    "    - third level\n",
    "   - odd indent\n",
    "  continued\n",
    "1. one\n",
    "2. two\n",
    "7) other list\n",
    "   - under one\n",
    "> quote\n",
    "> - in a quote\n",
    "> - again\n",
    ">\n",
    "> > deeper\n",
    "\n",
    "\n",
    "```py\n",
    "x = 'code'  # here\n",
    "```\n",
    "  ```\n",
    "  inner = 1\n",
    "   ```\n",
    "> ```\n",
    "> in_quote()\n",
]
_PIECES = [
    *_NESTING,
    "# Head\n",
    "#### Small head\n",
    "plain text **bold** and `code`\n",
    "more words here * star\n",
    "lazy line\n",
    "| a | b |\n|---|:-:|\n",
    "| 1 | 2 |\n",
    "| a longer cell | **q** |\n",
    "***\n",
    "    indented\n",
    "<div>\n",
    "<think>\n",
    "2\n",
    "-   wide marker\n",
    "    in wide\n",
    "10. ten\n",
    "    in ten\n",
    "~~~\n",
    "~~~~ json\n",
    '{"key": [1, true]}\n',
    "[ref]: http://x\n",
    "[ref]\n",
    "![picture](a.png) [link](http://u) <http://auto>\n",
    "hard break  \n",
    "another\\\n",
    "日本語のテキスト、日本語。 テキスト\n",
    "żółć — ümlaut … “quotes”\n",
    "* star item\n",
    "+ plus\n",
    "long " * 60 + "\n",
    "w *em* x ~~gone~~ " * 20 + "\n",
    "  " + "nested words " * 40 + "\n",
    "[x](y `unclosed\n",
    "end of **strong\n",
    "2 * 3 ~450 nm snake_case a_b [1] x] " + "plain " * 30 + "_not open_ ~~gone~~ *em*\n",
    "open [bracket " + "long " * 30 + "closes](http://here)\n",
    "odd ** stars * and_ marks_ " * 9 + "_here_ __there__ **all** * \n",
    "begin **bold " + "long " * 40 + "end** of it\n",
    "&#x202e;&amp;&copy;\n",
]
_UNDERLINES = ["===\n", "---\n", "-\n"]
"""Under a paragraph that has been cut they come too late."""


def nasty(seed: int, *, underlines: bool) -> str:
    """A document of random pieces; every third one is mostly nesting."""
    dice = random.Random(seed)
    pool = _NESTING if seed % 3 == 0 else [*_PIECES, *_UNDERLINES] if underlines else _PIECES
    return "".join(dice.choice(pool) for _ in range(dice.randint(3, 50)))


def pieces(text: str, size: int, seed: int = 0) -> Iterator[str]:
    """The text in random pieces of about `size` characters."""
    dice, at = random.Random(seed), 0
    while at < len(text):
        step = dice.randint(1, 2 * size)
        yield text[at : at + step]
        at += step
