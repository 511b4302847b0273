"""What the prompt offers: names and arguments of commands, paths where a file may be named."""

from __future__ import annotations

import pytest

from sollol_tui.core.images import ENDINGS
from sollol_tui.ui.prompt_commands import IMAGE_ENDINGS
from sollol_tui.ui.prompt_menu import choices_for, file_wish, last_word
from tests.ui.clusters import FULL, QWEN


def _texts(line: str) -> list[str]:
    return [choice.text for choice in choices_for(line, FULL)]


def test_what_a_chat_is_about_comes_first() -> None:
    assert _texts("/")[:4] == ["/model ", "/node ", "/mode ", "/image "]
    assert _texts("/re")[:2] == ["/retry ", "/rename "]
    assert _texts(":mo")[:2] == [":model ", ":mode "]


def test_arguments_come_from_the_cluster_after_the_help_of_their_command() -> None:
    choices = choices_for("/model q", FULL)
    assert choices[0].text == ""
    assert choices[0].about == "Choose the model that answers in the chat"
    assert choices[1].text == f"/model {QWEN.name}"


def test_another_word_for_a_command_is_offered_only_where_its_name_is_not() -> None:
    assert "/models " not in _texts("/mod")
    assert _texts("/hea") == ["/health"]


@pytest.mark.parametrize("text", ["model", "//etc", "::", "", "what is /etc?"])
def test_what_is_no_command_has_no_choices(text: str) -> None:
    assert choices_for(text, FULL) == []


def test_a_command_without_choices_says_what_it_does() -> None:
    (only,) = choices_for("/system be short", FULL)
    assert (only.text, only.label) == ("", "system [TEXT]")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", (0, "")),
        ("a b", (2, "b")),
        ("'a b", (0, "a b")),
        ("x 'a b' ", (8, "")),
        (r"a\ b", (0, "a b")),
        ("x \"it's", (2, "it's")),
        ("'/my pics/'c", (0, "/my pics/c")),
    ],
)
def test_the_last_word_is_found_also_in_open_quotes(text: str, word: tuple[int, str]) -> None:
    assert last_word(text) == word


@pytest.mark.parametrize(
    ("text", "path", "taken"),
    [
        ("/image /p/c", "/p/cat.png", "/image /p/cat.png"),
        ("/image ~/c", "~/cat.png", "/image ~/cat.png"),
        ("/image a.png '/p/my c", "/p/my cat.png", "/image a.png '/p/my cat.png'"),
        (r"/image /p/my\ c", "/p/my cat.png", "/image '/p/my cat.png'"),
        ("/model ~/my models/t", "~/my models/t.gguf", "/model ~/my models/t.gguf"),
    ],
)
def test_a_path_is_completed_and_quoted_where_it_must(text: str, path: str, taken: str) -> None:
    wish = file_wish(text)
    assert wish is not None
    assert path.startswith(wish.typed)
    assert wish.choice(path).text == taken


@pytest.mark.parametrize(
    "text", ["/image", "/image c", "/image /a.png ", "/mode /x", "/nothing /x", "image /x"]
)
def test_where_no_path_is_typed_none_is_looked_for(text: str) -> None:
    assert file_wish(text) is None


def test_a_directory_is_gone_on_with() -> None:
    wish = file_wish("/image /p")
    assert wish is not None
    assert wish.choice("/pics/").goes_on
    assert not wish.choice("/pic.png").goes_on


def test_the_endings_are_those_of_pictures() -> None:
    assert IMAGE_ENDINGS == ENDINGS
