"""Colours for code blocks: comments, strings, keywords, numbers, names of the common languages.

Its patterns are linear in the length of the code, whatever the code is: a model's answer must not
be able to hold the screen up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from sollol_tui.ui.markdown.lines import cut_spans
from sollol_tui.ui.text import Span

HIGHLIGHTED_LINES = 200
HIGHLIGHTED_CHARACTERS = 20_000
"""A longer block keeps one colour."""

_DOUBLE = r'"(?:[^"\\\n]|\\.)*"?'
_SINGLE = r"'(?:[^'\\\n]|\\.)*'?"
_BACKTICK = r"`(?:[^`\\]|\\.)*`?"
_TRIPLE = r'"""(?:[^\\]|\\.)*?(?:"""|\Z)' + r"|'''(?:[^\\]|\\.)*?(?:'''|\Z)"
_SLASHES = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_HASH = r"(?<![^\s;(])\#[^\n]*"
_NUMBER = r"\b(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\w*"
_WORD = r"[A-Za-z_$@][\w$]*"
_KEY = r"^[ \t]*(?:- +)*[\w.$/-]+(?=[ \t]*[:=])|^\[[^\]\n]*\]"


class Grammar(NamedTuple):
    """What is coloured in a family of languages. The patterns are tried in the order of fields."""

    comment: str = ""
    name: str = ""  # keys, tags
    string: str = f"{_DOUBLE}|{_SINGLE}"
    added: str = ""
    removed: str = ""
    keywords: str = ""
    any_case: bool = False
    words: bool = True  # numbers and words count


_C_WORDS = (
    "if else for while do switch case default break continue return goto struct union enum typedef "
    "static const extern inline volatile sizeof void int char short long float double unsigned "
    "signed bool auto true false NULL "
)
_OBJECT_WORDS = (
    "class public private protected new this super extends implements interface abstract final "
    "override virtual import package try catch finally throw throws null instanceof "
)

_PYTHON = Grammar(
    r"\#[^\n]*",
    string=rf"(?:\b[rbufRBUF]{{1,2}})?(?:{_TRIPLE}|{_DOUBLE}|{_SINGLE})",
    keywords="and as assert async await break case class continue def del elif else except finally "
    "for from global if import in is lambda match nonlocal not or pass raise return try while with "
    "yield True False None self",
)
_C = Grammar(
    rf"{_SLASHES}|^[ \t]*\#[^\n]*",
    keywords=f"{_C_WORDS}{_OBJECT_WORDS}namespace template typename using delete operator friend "
    "constexpr nullptr decltype noexcept static_cast int8_t int32_t int64_t uint8_t uint32_t "
    "uint64_t size_t string",
)
_JAVA = Grammar(
    _SLASHES,
    string=rf"{_TRIPLE}|{_DOUBLE}|{_SINGLE}",
    keywords=f"{_C_WORDS}{_OBJECT_WORDS}boolean byte String var val fun let when object data "
    "sealed companion is as in out where get set async await foreach using namespace internal "
    "readonly partial record yield func guard protocol extension self nil some any init deinit",
)
_SCRIPT = Grammar(
    _SLASHES,
    string=f"{_DOUBLE}|{_SINGLE}|{_BACKTICK}",
    keywords="async await break case catch class const continue debugger default delete do else "
    "enum export extends false finally for from function get if implements import in instanceof "
    "interface keyof let new null of private protected public readonly return set static super "
    "switch this throw true try type typeof undefined var void while yield any number string "
    "boolean unknown never as declare namespace",
)
_GO = Grammar(
    _SLASHES,
    string=f"{_DOUBLE}|{_SINGLE}|`[^`]*`?",
    keywords="break case chan const continue default defer else fallthrough for func go goto if "
    "import interface map package range return select struct switch type var nil true false string "
    "int int64 int32 uint64 uint32 byte rune error bool float64 float32 any make len append",
)
_RUST = Grammar(
    _SLASHES,
    string=rf"{_DOUBLE}|'(?:[^'\\\n]|\\[^\n]{{1,8}})'",
    keywords="as async await break const continue crate dyn else enum extern false fn for if impl "
    "in let loop match mod move mut pub ref return self Self static struct super trait true type "
    "unsafe use where while bool char f32 f64 i8 i16 i32 i64 isize u8 u16 u32 u64 usize str String "
    "Option Some None Result Ok Err Vec Box",
)
_SHELL = Grammar(
    _HASH,
    name=r"\$\{[^}\n]*\}?|\$\w+|(?<=\s)--?[A-Za-z][\w-]*",
    string=rf'"(?:[^"\\]|\\.)*"?|{_SINGLE}',
    keywords="if then else elif fi for while until do done case esac in function return exit "
    "export local set unset source alias sudo cd echo eval exec trap shift read true false",
)
_SQL = Grammar(
    r"--[^\n]*|/\*.*?(?:\*/|\Z)",
    keywords="select from where and or not in is null as join left right inner outer full on group "
    "by order having limit offset insert into values update set delete create table index view "
    "drop alter add column primary key foreign references unique default check constraint union "
    "all distinct exists between like case when then else end with asc desc begin commit rollback "
    "integer text varchar boolean timestamp serial",
    any_case=True,
)
_CONFIG = Grammar(
    rf"{_HASH}|^[ \t]*;[^\n]*",
    name=_KEY,
    keywords="true false null yes no on off",
)
_JSON = Grammar(
    _SLASHES,
    name=r'"(?:[^"\\\n]|\\.)*"(?=\s*:)',
    string=_DOUBLE,
    keywords="true false null",
)
_MARKUP = Grammar(
    r"<!--.*?(?:-->|\Z)", name=r"</?[A-Za-z!?][\w:.-]*|/?>", string=r'(?<==)"[^"]*"?', words=False
)
_STYLE = Grammar(
    r"/\*.*?(?:\*/|\Z)|//[^\n]*",
    name=r"[.#@&$][\w-]+|(?<![\w-])[\w-]+(?=\s*:)",
    keywords="important inherit",
)
_DIFF = Grammar(
    r"^(?:@@|diff|index|---|\+\+\+)[^\n]*",
    string="",
    added=r"^\+[^\n]*",
    removed=r"^-[^\n]*",
    words=False,
)
_RUBY = Grammar(
    _HASH,
    name=r"(?<![:\w]):[A-Za-z_]\w*|@\w+",
    keywords="begin break case class def do else elsif end ensure false for if in module next nil "
    "not or and redo require rescue retry return self super then true undef unless until when "
    "while yield attr_accessor puts",
)
_LUA = Grammar(
    r"--\[\[.*?(?:\]\]|\Z)|--[^\n]*",
    keywords="and break do else elseif end false for function goto if in local nil not or repeat "
    "return then true until while",
)
_DOCKER = Grammar(
    _HASH,
    keywords="FROM RUN CMD LABEL EXPOSE ENV ADD COPY ENTRYPOINT VOLUME USER WORKDIR ARG ONBUILD "
    "STOPSIGNAL HEALTHCHECK SHELL AS include define endef ifeq ifneq else endif",
)

_LANGUAGES: dict[Grammar, str] = {
    _PYTHON: "python py python3 pyi pycon",
    _C: "c cpp c++ cc h hpp cuda cu objc glsl",
    _JAVA: "java kotlin kt scala csharp cs c# swift dart groovy php",
    _SCRIPT: "javascript js jsx typescript ts tsx node mjs",
    _GO: "go golang",
    _RUST: "rust rs zig",
    _SHELL: "bash sh shell zsh fish console shell-session powershell ps1 bat",
    _SQL: "sql postgresql mysql sqlite",
    _CONFIG: "yaml yml toml ini conf cfg properties env nginx systemd hcl terraform",
    _JSON: "json jsonc json5 jsonl",
    _MARKUP: "html xml svg vue xhtml",
    _STYLE: "css scss less tcss",
    _DIFF: "diff patch",
    _RUBY: "ruby rb elixir ex crystal",
    _LUA: "lua",
    _DOCKER: "dockerfile docker makefile make",
}
_GRAMMARS = {word: grammar for grammar, words in _LANGUAGES.items() for word in words.split()}


def highlight(language: str, code: Sequence[str]) -> Iterator[list[Span]]:
    """The spans of each line of a code block. Their texts joined are the line."""
    grammar = _GRAMMARS.get(language.lower())
    text = "\n".join(code)
    if grammar is None or len(text) > HIGHLIGHTED_CHARACTERS:
        yield from ([(line, "code")] for line in code)
        return
    yield from cut_spans(list(_spans(grammar, text)), _line_bounds(code))


def _line_bounds(code: Sequence[str]) -> Iterable[tuple[int, int]]:
    start = 0
    for line in code:
        yield start, start + len(line)
        start += len(line) + 1


def _spans(grammar: Grammar, text: str) -> Iterator[Span]:
    keywords = _keywords(grammar)
    done = 0
    for match in _pattern(grammar).finditer(text):
        kind, (start, end) = match.lastgroup or "", match.span()
        if kind == "word":
            word = match[0].lower() if grammar.any_case else match[0]
            is_call = text[end : end + 1] == "("
            kind = "keyword" if word in keywords else "call" if is_call else ""
        if kind and end > start:
            yield text[done:start], "code"
            yield text[start:end], f"code {kind}"
            done = end
    yield text[done:], "code"


@cache
def _keywords(grammar: Grammar) -> frozenset[str]:
    return frozenset(grammar.keywords.split())


@cache
def _pattern(grammar: Grammar) -> re.Pattern[str]:
    kinds = [
        ("comment", grammar.comment),
        ("name", grammar.name),
        ("string", grammar.string),
        ("added", grammar.added),
        ("removed", grammar.removed),
    ]
    if grammar.words:
        kinds += [("number", _NUMBER), ("word", _WORD)]
    groups = (f"(?P<{kind}>{pattern})" for kind, pattern in kinds if pattern)
    return re.compile("|".join(groups), re.DOTALL | re.MULTILINE)
