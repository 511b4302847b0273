"""Pictures: what they are by their first bytes, how their paths are written, how they are kept."""

from __future__ import annotations

import pytest

from sollol_tui.core.images import (
    Image,
    images_json,
    kind_of,
    pasted_paths,
    paths_in,
    read_images,
    typed_paths,
)

CAT = Image("my cat.png", "png", 1234, "aGVsbG8=")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"GIF89a", "gif"),
        (b"GIF87a", "gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"<svg", None),
        (b"\x89PN", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(head: bytes, kind: str | None) -> None:
    assert kind_of(head) == kind


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/a.png", ("/a.png",)),
        ("/a.png ~/b.jpg", ("/a.png", "~/b.jpg")),
        ("'/my pictures/a.png' b.png", ("/my pictures/a.png", "b.png")),
        ('"/my pictures/a.png"', ("/my pictures/a.png",)),
        (r"/my\ pictures/a.png", ("/my pictures/a.png",)),
        ("/it's.png", ("/it's.png",)),
        ("file:///my%20pictures/a.png", ("/my pictures/a.png",)),
        ("", ()),
    ],
)
def test_paths_are_read_as_a_shell_would(text: str, paths: tuple[str, ...]) -> None:
    assert paths_in(text) == paths


def test_paths_that_are_typed_for_a_person_are_read_as_they_were() -> None:
    paths = ("/a b/it's.png", "~/c.png", "/$HOME.png")
    assert paths_in(typed_paths(paths)) == paths


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/home/me/a.PNG", ("/home/me/a.PNG",)),
        ("/home/me/my cat.png", ("/home/me/my cat.png",)),
        ("'/home/me/my cat.png'", ("/home/me/my cat.png",)),
        (r"/home/me/my\ cat.png ", ("/home/me/my cat.png",)),
        ("/a.png\n/b.jpeg\n", ("/a.png", "/b.jpeg")),
        ("/a.png /b.webp", ("/a.png", "/b.webp")),
        ("file:///a.gif", ("/a.gif",)),
        ("look at /a.png", ()),
        ("a.png", ()),
        ("/a.png and /b.png", ()),
        ("/a.txt", ()),
        ("", ()),
        ("/a.png " * 2000, ()),
    ],
)
def test_a_paste_is_taken_for_pictures_only_when_it_is_nothing_else(
    text: str, paths: tuple[str, ...]
) -> None:
    assert pasted_paths(text) == paths


def test_pictures_are_kept_and_read_again() -> None:
    assert read_images(images_json((CAT, CAT))) == (CAT, CAT)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"name":"a","kind":"exe","size_bytes":1,"data":"x"}]', "[{}]"]
)
def test_what_is_no_picture_is_left_out(text: str) -> None:
    assert read_images(text) == ()
