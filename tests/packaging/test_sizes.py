"""Signs of health that a reader can count: how long functions, classes and modules are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "sollol_tui"

FUNCTION_LINES = 60
CLASS_LINES = 250
MODULE_LINES = 400


def too_long(name: str, text: str) -> Iterator[str]:
    if (lines := text.count("\n")) > MODULE_LINES:
        yield f"{name}: {lines} lines, {MODULE_LINES} at most"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            limit = FUNCTION_LINES
        elif isinstance(node, ast.ClassDef):
            limit = CLASS_LINES
        else:
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > limit:
            yield f"{name}:{node.lineno} {node.name}: {length} lines, {limit} at most"


def test_no_function_class_or_module_is_longer_than_the_house_allows() -> None:
    found = [
        sentence
        for path in sorted(SOURCE.rglob("*.py"))
        for sentence in too_long(str(path.relative_to(SOURCE)), path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_what_is_too_long_is_named_with_its_place() -> None:
    body = "    pass\n" * FUNCTION_LINES
    assert list(too_long("x.py", f"def long() -> None:\n{body}")) == [
        "x.py:1 long: 61 lines, 60 at most"
    ]
    assert list(too_long("x.py", "a = 1\n" * 401)) == ["x.py: 401 lines, 400 at most"]
