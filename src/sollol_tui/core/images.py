"""Pictures that go with a question: what is kept of one, and how paths to them are written."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit

from sollol_tui.core import wire

Kind: TypeAlias = Literal["png", "jpeg", "webp", "gif"]

MOST_BYTES = 20 * 1024 * 1024
"""Of one picture: as base64 in a request it is a third more."""

MOST_IMAGES = 8
"""With one question; all of them are sent again with each later one."""

HEAD_BYTES = 16
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")


class Image(NamedTuple):
    """A picture. `data` is its file in base64, as servers take it."""

    name: str
    kind: Kind
    size_bytes: int
    data: str


class ImageRefused(NamedTuple):
    """Why a path gives no picture, in plain words."""

    path: str
    why: str


def kind_of(head: bytes) -> Kind | None:
    """What picture a file is, by its first bytes; None: none that models take."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return None


def paths_in(text: str) -> tuple[str, ...]:
    """The paths that were typed, as a shell would part them: quotes and backslashes hold blanks
    together. A text whose quotes do not close is one path. `file://` addresses become paths."""
    try:
        words = shlex.split(text.replace("\n", " "))
    except ValueError:
        words = [text.strip()]
    return tuple(_local(word) for word in words if word)


def pasted_paths(text: str) -> tuple[str, ...]:
    """The pictures that a paste consists of, and nothing else: what a terminal writes when files
    are dropped on it. Empty when something else is in it."""
    if len(text) > 8192 or not text.strip():
        return ()
    whole = text.strip()
    is_one = not any(sign in whole for sign in ("'", '"', "\\", "\n", " /", " ~"))
    if is_one and _is_picture(whole):  # its blanks as they are
        return (_local(whole),)
    paths = paths_in(text)
    return paths if paths and all(map(_is_picture, paths)) else ()


def typed_paths(paths: Iterable[str]) -> str:
    """The paths as `paths_in` reads them."""
    return " ".join(shlex.quote(path) for path in paths)


def images_json(images: tuple[Image, ...]) -> str:
    """The pictures as a list of objects, data and all."""
    return json.dumps([image._asdict() for image in images], separators=(",", ":"))


def read_images(text: str) -> tuple[Image, ...]:
    """What `images_json` wrote, without what cannot be read."""
    found = wire.items(wire.parse_json(text.encode("utf-8", "replace")))
    read = (_image(wire.fields(entry)) for entry in found)
    return tuple(image for image in read if image is not None)


def _image(said: dict[str, object]) -> Image | None:
    data, size = wire.text(said.get("data")), wire.count(said.get("size_bytes"))
    for kind in _KINDS:
        if said.get("kind") == kind and data and size is not None:
            return Image(wire.text(said.get("name")), kind, size, data)
    return None


_KINDS: tuple[Kind, ...] = ("png", "jpeg", "webp", "gif")


def _local(word: str) -> str:
    return unquote(urlsplit(word).path) if word.startswith("file://") else word


def _is_picture(path: str) -> bool:
    named = path.casefold().endswith(ENDINGS)
    return named and path.startswith(("/", "~", "./", "../", "file://"))
