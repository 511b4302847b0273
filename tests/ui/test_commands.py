"""The command table and the lines that name its entries."""

from __future__ import annotations

import pytest

from sollol_tui.core.ids import parse_backend_address, parse_node_url
from sollol_tui.core.state import BackendState, ClusterSnapshot, NodeState
from sollol_tui.ui.arguments import find_node, find_target, nobody
from sollol_tui.ui.command_line import Parsed, completions, parse
from sollol_tui.ui.commands import BY_WORD, COMMANDS

SNAPSHOT = ClusterSnapshot(
    nodes=(
        NodeState(parse_node_url("10.0.0.7"), name="gpu-rig"),
        NodeState(parse_node_url("10.0.0.8:11500")),
    ),
    backends=(BackendState(parse_backend_address("10.0.0.9:50052")),),
)


def understood(line: str) -> tuple[str, str]:
    parsed = parse(line)
    assert isinstance(parsed, Parsed), parsed
    return parsed.command.name, parsed.argument


def refused(line: str) -> str:
    sentence = parse(line)
    assert isinstance(sentence, str)
    return sentence


@pytest.mark.parametrize(
    ("line", "name", "argument"),
    [
        (":mode both", "mode", "both"),
        ("/rpc add 10.0.0.7:50052", "rpc add", "10.0.0.7:50052"),
        ("rpc add  10.0.0.7", "rpc add", "10.0.0.7"),
        ("RPC List", "rpc", ""),
        ("distributed both", "mode", "both"),
        ("distributed off gpu-rig", "mode", "off gpu-rig"),
        ("nodes", "nodes", ""),
        ("stats", "stats", ""),
        ("rpc discover", "refresh", ""),
        ("discover", "refresh", ""),
        ("health", "status", ""),
        (":q", "quit", ""),
        ("node add http://10.0.0.3:11434", "node add", "http://10.0.0.3:11434"),
    ],
)
def test_a_line_means_the_command_with_the_longest_name(
    line: str, name: str, argument: str
) -> None:
    assert understood(line) == (name, argument)


def test_an_unknown_command_is_answered_with_the_nearest_one() -> None:
    assert refused(":mdoe both") == "There is no command “mdoe”. Did you mean “mode”?"
    assert "“rpc add”" in refused("rpc addd 10.0.0.7")


def test_a_word_like_no_command_is_answered_with_where_to_find_all() -> None:
    assert refused("zzzzzz") == "There is no command “zzzzzz”. ^P lists all of them."


def test_a_missing_argument_is_named() -> None:
    assert refused("rpc add") == "“rpc add” needs HOST:PORT."


def test_a_needless_argument_is_refused() -> None:
    assert refused("zoom now") == "“zoom” takes nothing after it."


def test_an_empty_line_says_what_to_do() -> None:
    assert "Esc" in refused("  : ")


def test_the_beginning_of_a_name_completes_to_names_and_other_words() -> None:
    lines = completions(":r", SNAPSHOT)
    assert {"reverse", "refresh", "rpc", "rpc add", "rpc remove", "rpc list"} <= set(lines)
    assert all(line.startswith("r") for line in lines)


def test_an_argument_completes_to_what_the_cluster_has() -> None:
    assert completions("rpc remove ", SNAPSHOT)[0] == "rpc remove 10.0.0.9:50052"
    assert completions("node remove g", SNAPSHOT)[0] == "node remove gpu-rig"
    assert "mode off gpu-rig" in completions("mode o", SNAPSHOT)
    assert completions("distributed b", SNAPSHOT)[0] == "distributed both"


def test_every_completion_is_understood_or_only_lacks_its_argument() -> None:
    for line in completions("", SNAPSHOT):
        parsed = parse(line)
        assert isinstance(parsed, Parsed) or "needs" in parsed


def test_what_is_done_by_a_key_is_not_offered_and_understood_all_the_same() -> None:
    """`/retry elsewhere` and `/continue` are the words for `R` and `F5`."""
    offered = completions("", SNAPSHOT)
    for name in ("elsewhere", "again", "answer"):
        assert name not in offered
        assert understood(name) == (name, "")
    assert "retry elsewhere" in completions("retry e", SNAPSHOT)


def test_who_is_called_by_a_wrong_name_is_told_the_right_ones() -> None:
    wrong = str(nobody(SNAPSHOT, "gpu9"))
    assert wrong.startswith("There is no node and no coordinator “gpu9”. There is: gpu-rig, ")
    many = SNAPSHOT._replace(nodes=SNAPSHOT.nodes[:1] * 9, coordinators=())
    assert str(nobody(many, "x")).endswith("gpu-rig, gpu-rig and 3 more.")
    empty = SNAPSHOT._replace(nodes=(), coordinators=())
    assert str(nobody(empty, "x")).endswith("There is none yet.")


def test_a_node_is_found_by_name_short_name_and_url() -> None:
    rig = SNAPSHOT.nodes[0].url
    assert {find_node(SNAPSHOT, text) for text in ("gpu-rig", "10.0.0.7", rig)} == {rig}
    assert find_node(SNAPSHOT, "10.0.0.8") is None
    assert find_node(SNAPSHOT, "no such : thing") is None


def test_a_backend_is_found_with_and_without_its_usual_port() -> None:
    assert find_target(SNAPSHOT, "10.0.0.9") == find_target(SNAPSHOT, "10.0.0.9:50052")
    assert find_target(SNAPSHOT, "10.0.0.9") == "10.0.0.9:50052"


def test_no_word_means_two_commands() -> None:
    words = [word for command in COMMANDS for word in (command.name, *command.words)]
    assert len(words) == len(set(words)) == len(BY_WORD)


def test_every_command_has_one_help_line_without_jargon() -> None:
    for command in COMMANDS:
        assert command.help
        assert "\n" not in command.help
        assert len(command.help) <= 70


def test_each_word_of_an_argument_of_many_is_completed_and_none_twice() -> None:
    assert completions("compare gpu", SNAPSHOT) == ("compare gpu-rig",)
    assert completions("compare 10.0.0.8:11500 g", SNAPSHOT) == ("compare 10.0.0.8:11500 gpu-rig",)
    assert "compare gpu-rig gpu-rig" not in completions("compare gpu-rig ", SNAPSHOT)
    assert "compare last" in completions("compare la", SNAPSHOT)
