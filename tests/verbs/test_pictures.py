"""`sollol-tui chat --image PATH`: files that are pictures, for a model that sees."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from sollol_tui.core.asks import ChatMessage, Delta
from sollol_tui.core.ids import parse_node_url
from sollol_tui.core.images import MOST_IMAGES
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, NodeModel, NodeState
from sollol_tui.verbs.arguments import parse
from sollol_tui.verbs.chat import EXIT_COMPLETE, EXIT_NOTHING, chat
from sollol_tui.verbs.pictures import read_pictures
from tests.verbs.fakes import FakeEngine, heard, voice
from tests.verbs.test_chat import DONE, ROUTED

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
SNAPSHOT = ClusterSnapshot(
    nodes=(
        NodeState(
            parse_node_url("a"),
            models=(
                NodeModel("m:latest", capabilities=("completion",)),
                NodeModel("gemma3:12b", capabilities=("completion", "vision")),
            ),
        ),
    )
)


def test_the_flag_may_be_repeated() -> None:
    arguments = parse(["chat", "--image", "a.png", "--image", "b c.jpg", "-m", "m", "what?"])
    assert arguments.images == ("a.png", "b c.jpg")
    assert arguments.prompt == ("what?",)
    assert parse(["chat", "what?"]).images == ()


def test_pictures_are_read_as_base64_in_their_order(tmp_path: Path) -> None:
    one, two = tmp_path / "1.png", tmp_path / "2"
    one.write_bytes(PNG)
    two.write_bytes(b"\xff\xd8\xff\xe0")
    read = read_pictures([str(one), str(two)])
    assert [base64.b64decode(text) for text in read] == [PNG, b"\xff\xd8\xff\xe0"]


def test_what_cannot_be_sent_is_named(tmp_path: Path) -> None:
    text = tmp_path / "a.png"
    text.write_text("no image")
    assert read_pictures([str(text)]) == (
        f"--image {text}: it is no image (PNG, JPEG, WebP or GIF)"
    )
    assert read_pictures(["/nowhere/x.png"]) == "--image /nowhere/x.png: there is no such file"
    assert str(MOST_IMAGES) in read_pictures(["x"] * (MOST_IMAGES + 1))


@pytest.mark.parametrize("sight", [True, None])
def test_pictures_go_with_the_question(sight: bool | None) -> None:
    engine, spoken = FakeEngine(SNAPSHOT, [ROUTED, Delta("a cat"), DONE]), voice()
    engine.sight = sight
    settings = Settings(model="gemma3:12b")
    assert chat(lambda: engine, settings, "what?", spoken, images=("aGk=",)) == EXIT_COMPLETE
    assert engine.asked[0].messages == (ChatMessage("user", "what?", ("aGk=",)),)


def test_a_model_that_does_not_see_is_not_asked_and_those_that_do_are_named() -> None:
    engine, spoken = FakeEngine(SNAPSHOT, [ROUTED, Delta("a cat"), DONE]), voice()
    engine.sight = False
    settings = Settings(model="m:latest")
    assert chat(lambda: engine, settings, "what?", spoken, images=("aGk=",)) == EXIT_NOTHING
    assert engine.asked == []
    said = heard(spoken)[1]
    assert "m:latest does not see images; these here do: gemma3:12b" in said
