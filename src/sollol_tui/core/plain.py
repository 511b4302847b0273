"""Text from outside in a form that a terminal shows and does not obey.

Model names, hosts, errors, logs and model output come from other machines: an escape sequence in
them could write over the screen, a bidi override could make one name look like another.
"""

from __future__ import annotations

from unicodedata import category, combining, east_asian_width

HIDDEN = "•••"

# C0 and C1 controls, the bidi embeddings, overrides and isolates, line and paragraph separators,
# lone surrogates (they cannot be written as UTF-8). Marks and joiners stay: scripts need them.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SEPARATORS = (0x2028, 0x2029)
_BLOCK = dict.fromkeys((*_CONTROLS, *_BIDI)) | dict.fromkeys(_SEPARATORS, "\n")
_BLOCK |= {ord("\n"): "\n", ord("\t"): "\t"}
_LINE = _BLOCK | dict.fromkeys((*map(ord, "\n\t\r\v\f"), *_SEPARATORS), " ")


def plain_line(text: str) -> str:
    """The text as one line: no control codes, no bidi overrides; breaks and tabs are spaces."""
    if text.isascii() and text.isprintable():
        return text
    return _without_surrogates(text.translate(_LINE))


def plain_block(text: str) -> str:
    """The text without control codes and bidi overrides; newline and tab stay."""
    return _without_surrogates(text.translate(_BLOCK))


def without_password(url: str) -> str:
    """A URL as it may be shown: the password, and a query that may hold one, are `•••`."""
    scheme, separator, rest = url.partition("://")
    place, question, query = (rest if separator else url).partition("?")
    start = f"{scheme}{separator}" if separator else ""
    if "@" in query:  # a password may hold a question mark: who knows where it ends
        return plain_line(f"{start}{HIDDEN}")
    if place.count("[") != place.count("]"):
        return HIDDEN  # it is no URL, and who knows what it holds
    login, at, host = place.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{user}{colon}{HIDDEN if colon else ''}{at}{host}"
    return plain_line(f"{start}{shown}{question}{HIDDEN if query else ''}")


def cell_width(text: str) -> int:
    """How many terminal cells the text takes: wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def cut(text: str, cells: int) -> str:
    """The text within so many cells; `…` ends what was cut."""
    if cell_width(text) <= cells:
        return text
    used, kept = 0, []
    for character in text:
        used += _cells(character)
        if used > cells - 1:
            break
        kept.append(character)
    return "".join(kept) + "…" if cells > 0 else ""


def _cells(character: str) -> int:
    if combining(character) or category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
