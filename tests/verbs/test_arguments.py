"""The command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.orders import Order
from sollol_tui.core.settings import BackendSetting, NodeSetting, Settings
from sollol_tui.core.settings_merge import SettingsError, merge
from sollol_tui.core.state import Mode
from sollol_tui.verbs.arguments import UsageError, parse
from sollol_tui.verbs.coordinator_options import CoordinatorOptions, with_model
from sollol_tui.verbs.demo_look import with_look


def test_nothing_is_the_screen() -> None:
    assert parse([]).verb == "screen"
    assert parse(["--ascii"]).verb == "screen"


def test_flags_may_stand_before_and_after_the_command() -> None:
    found = parse(["--node", "a", "--mode", "task", "status", "--node", "b", "--mode", "both"])
    resolved = merge(found.flags)
    assert [node.url for node in resolved.settings.nodes][:2] == [
        "http://a:11434",
        "http://b:11434",
    ]
    assert resolved.settings.nodes[0].source == "flag"
    assert resolved.settings.mode is Mode.BOTH
    assert [o.source for o in resolved.origins if o.key == "mode"] == ["--mode"]


def test_every_flag_is_a_setting() -> None:
    argv = "--node a --backend b --coordinator c --redis off --mode off --no-mouse --ascii"
    settings = merge(parse([*argv.split(), "--read-only", "--theme", "x"]).flags).settings
    assert settings.nodes[0].url == "http://a:11434"
    assert settings.backends == (BackendSetting(settings.backends[0].address, "flag"),)
    assert settings.coordinators[0].url == "http://c:18080"
    assert (settings.redis_url, settings.mode, settings.theme) == ("", Mode.OFF, "x")
    assert (settings.mouse, settings.ascii, settings.read_only) == (False, True, True)


def test_the_configuration_file_may_be_named_before_and_after() -> None:
    assert parse(["--config", "a.toml", "status"]).config == Path("a.toml")
    assert parse(["status", "--config", "a.toml"]).config == Path("a.toml")
    assert parse(["config", "show", "--config", "a.toml"]).config == Path("a.toml")
    assert parse(["status"]).config is None


def test_a_chat_asks_one_node_only() -> None:
    found = parse(["--node", "a", "chat", "-m", "llama3", "--node", "b", "--json", "why", "blue"])
    assert found.target == "http://b:11434"
    assert found.prompt == ("why", "blue")
    assert found.as_json
    settings = merge(found.flags).settings
    assert settings.model == "llama3:latest"
    assert NodeSetting(settings.nodes[0].url, source="flag") in settings.nodes
    assert "http://b:11434" not in [node.url for node in settings.nodes]


def test_a_dash_is_a_prompt() -> None:
    assert parse(["chat", "-m", "x", "-"]).prompt == ("-",)


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["--nod", "x"], "unrecognized arguments|expected|invalid choice"),
        (
            ["status", "--nope\x1b"],
            r"unrecognized arguments: --nope \(see sollol-tui status --help\)$",
        ),
        (["--node"], "argument --node: expected one argument"),
        (["config"], "the following arguments are required: WHAT"),
        (["demo", "--node", "x"], "unrecognized arguments|invalid choice"),
        (["--node", "x", "demo"], "the demo has a cluster of its own, --node is not for it"),
        (["--config", "x", "demo"], "the demo has a cluster of its own, --config is not for it"),
        (["chat", "--node", "ftp://x", "why"], "--node: 'ftp://x': only http and https"),
        (["coordinator"], "the following arguments are required: WHAT"),
        (["coordinator", "plan", "-m", " "], "-m/--model: the model's name is empty"),
        (["coordinator", "run", "--backends", ","], "wants host:port,host:port"),
        (["coordinator", "run", "--backends", "a/b"], "'a/b' is not host:port"),
        (["coordinator", "plan", "--tensor-split", "3,x"], "'3,x' is no list of shares"),
        (["coordinator", "plan", "--tensor-split", "0,0"], "'0,0' is no list of shares"),
        (["coordinator", "plan", "--tensor-split", "nan,1"], "'nan,1' is no list of shares"),
        (["coordinator", "plan", "--context", "10"], "'10' is not a number of tokens"),
        (["coordinator", "plan", "--gpu-layers", "-1"], "expected one argument|not a number"),
        (["coordinator", "stop", "-m", "x"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_one_sentence(argv: list[str], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(argv)
    assert re.search(problem, str(caught.value))
    assert str(caught.value).isprintable()


def test_a_wrong_value_names_the_flag() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(["--mode", "fast"])
    assert str(caught.value) == ("--mode: mode: wants one of task, model, both, off, not 'fast'")


@pytest.mark.parametrize(
    "argv",
    [[], ["status"], ["chat"], ["config"], ["config", "show"], ["config", "example"], ["paths"],
     ["demo"]],
)  # fmt: skip
def test_help_is_there_and_fits_a_terminal(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        parse([*argv, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: sollol-tui")
    assert max(len(line) for line in out.splitlines()) <= 80


def test_the_demo_takes_over_how_the_screen_looks_and_nothing_else() -> None:
    flags = parse(["demo", "--ascii", "--mode", "task"]).flags
    env = {"SOLLOL_TUI_THEME": "sollol-light", "SOLLOL_TUI_REDIS_URL": "redis://mine"}
    settings = with_look(Settings(redis_url=""), env, flags)
    assert settings == Settings(redis_url="", theme="sollol-light", ascii=True, mode=Mode.TASK)


def test_a_coordinator_is_wished_for_in_words() -> None:
    argv = "coordinator plan -m llama3 --backends a,b:50053,a --context 4096 --tensor-split 3,1"
    found = parse([*argv.split(), "--gpu-layers", "0", "--json", "--backend", "c"])
    assert (found.verb, found.as_json) == ("coordinator", True)
    assert found.coordinator is not None
    assert found.coordinator.order == Order(
        "llama3", (BackendAddress("a:50052"), BackendAddress("b:50053")), (3.0, 1.0), 0, 4096
    )
    assert [b.address for b in merge(found.flags).settings.backends] == ["c:50052"]


def test_without_wishes_all_that_is_free_is_taken() -> None:
    found = parse(["coordinator", "run"]).coordinator
    assert found is not None
    assert found.order == Order()
    assert found.wants_only_a_model
    alone = parse(["coordinator", "run", "--backends", "none"]).coordinator
    assert alone is not None
    assert alone.order.backends == ()
    assert not alone.wants_only_a_model


@pytest.mark.parametrize("what", ["status", "stop"])
def test_looking_and_stopping_take_settings_only(what: str) -> None:
    found = parse(["coordinator", what, "--coordinator", "127.0.0.1:19000"])
    assert found.coordinator == CoordinatorOptions(what)  # type: ignore[arg-type]
    assert merge(found.flags).settings.coordinators[0].url == "http://127.0.0.1:19000"


def test_a_model_asked_for_by_name_is_stronger_than_the_path_of_the_settings() -> None:
    settings = Settings(model_path="/models/other.gguf")
    assert with_model(settings, "llama3").model_path == ""
    assert with_model(settings, "").model_path == "/models/other.gguf"


def test_check_and_chat_take_their_flags() -> None:
    assert parse(["check", "-m", "llama3"]).model == "llama3"
    assert parse(["check"]).model == ""
    assert parse(["chat", "-m", "x", "--keep", "why"]).keep
    assert not parse(["chat", "-m", "x", "why"]).keep
