"""Which statement holds, and where each value came from."""

from __future__ import annotations

import pytest

from sollol_tui.core.settings_merge import (
    Resolved,
    SettingsError,
    from_variables,
    merge,
    state,
)
from sollol_tui.core.settings_old import from_old_variables


def sources(resolved: Resolved) -> dict[str, str]:
    return {origin.key: origin.source for origin in resolved.origins}


def nodes(resolved: Resolved) -> list[tuple[str, str]]:
    return [(node.url, node.source) for node in resolved.settings.nodes]


def test_the_later_value_holds_and_says_who_said_it() -> None:
    resolved = merge(
        [
            state("timeout_s", 1, "config.toml", "config"),
            state("timeout_s", "3", "SOLLOL_TUI_TIMEOUT_S", "env"),
        ]
    )
    assert resolved.settings.timeout_s == 3
    assert sources(resolved)["timeout_s"] == "SOLLOL_TUI_TIMEOUT_S"
    assert sources(resolved)["mouse"] == "default"
    assert not resolved.is_default("timeout_s")
    assert resolved.is_default("mouse")


def test_targets_of_all_sources_add_up_in_order() -> None:
    resolved = merge(
        [
            state("nodes", ["a"], "config.toml", "config"),
            state("nodes", ["b"], "OLLAMA_HOST", "env"),
            state("nodes", ["c"], "--node", "flag"),
        ]
    )
    assert nodes(resolved) == [
        ("http://a:11434", "config"),
        ("http://b:11434", "env"),
        ("http://c:11434", "flag"),
        ("http://127.0.0.1:11434", "localhost"),
    ]


def test_a_bare_url_keeps_what_the_file_tells_of_the_same_node() -> None:
    table = {"url": "a", "name": "big", "weight": 3, "headers": {"X": "y"}}
    resolved = merge(
        [
            state("nodes", [table], "config.toml", "config"),
            state("nodes", "a", "SOLLOL_TUI_NODES", "env"),
        ]
    )
    node = resolved.settings.nodes[0]
    assert (node.name, node.weight, node.headers, node.source) == ("big", 3, (("X", "y"),), "env")
    assert sources(resolved)["nodes[0]"] == "config.toml, SOLLOL_TUI_NODES"


def test_a_bare_url_keeps_how_a_coordinator_is_run_and_that_is_shown() -> None:
    table = {"url": "127.0.0.1:1", "model": "m:1", "backends": ["a"], "context_tokens": 512}
    resolved = merge(
        [
            state("coordinators", [{**table, "start": True}], "config.toml", "config"),
            state("coordinators", ["127.0.0.1:1"], "--coordinator", "flag"),
        ]
    )
    (coordinator,) = resolved.settings.coordinators
    assert (coordinator.model, coordinator.start, coordinator.source) == ("m:1", True, "flag")
    shown = next(o.shown_value for o in resolved.origins if o.key == "coordinators[0]")
    assert shown == "http://127.0.0.1:1  start  model=m:1  backends=a:50052  context_tokens=512"


def test_localhost_is_looked_at_unless_it_is_named_or_unwanted() -> None:
    assert nodes(merge([])) == [("http://127.0.0.1:11434", "localhost")]
    named = merge([state("nodes", ["http://localhost:11434"], "config.toml", "config")])
    assert nodes(named) == [("http://127.0.0.1:11434", "config")]
    unwanted = merge([state("look_at_localhost", False, "config.toml", "config")])
    assert nodes(unwanted) == []
    assert unwanted.settings.coordinators == ()


def test_the_usual_coordinator_is_looked_at_only_when_no_other_is_known() -> None:
    usual = merge([]).settings.coordinators
    assert [(c.url, c.source) for c in usual] == [("http://127.0.0.1:18080", "localhost")]
    other = merge([state("coordinators", ["box:9000"], "config.toml", "config")])
    assert [c.url for c in other.settings.coordinators] == ["http://box:9000"]


def test_header_values_are_hidden_and_their_names_shown() -> None:
    table = {"url": "a", "api_key": "sesame", "name": "big", "weight": 2}
    resolved = merge([state("nodes", [table], "config.toml", "config")])
    assert resolved.origins[0].shown_value == (
        "http://a:11434  name=big  Authorization=•••  weight=2"
    )
    assert "sesame" not in repr(resolved.origins)


def test_an_unknown_key_is_an_error_with_the_nearest_known_one() -> None:
    with pytest.raises(SettingsError) as caught:
        state("pol_interval_s", 5, "config.toml", "config")
    assert str(caught.value) == (
        "config.toml: pol_interval_s: unknown key; did you mean 'poll_interval_s'?"
    )


def test_variables_of_ours_are_read_and_a_misspelt_one_is_an_error() -> None:
    env = {
        "SOLLOL_TUI_NODES": "a, b:1",
        "SOLLOL_TUI_READ_ONLY": "yes",
        "SOLLOL_TUI_THEME": "",
        "SOLLOL_TUI_CONFIG": "/x.toml",
        "PATH": "/bin",
    }
    resolved = merge(from_variables(env))
    assert resolved.settings.read_only
    assert resolved.is_default("theme")
    assert [url for url, _ in nodes(resolved)][:2] == ["http://a:11434", "http://b:1"]
    with pytest.raises(SettingsError) as caught:
        from_variables({"SOLLOL_TUI_READONLY": "1"})
    assert str(caught.value) == (
        "SOLLOL_TUI_READONLY: no such setting; did you mean 'SOLLOL_TUI_READ_ONLY'?"
    )


def test_an_error_names_the_variable_the_key_and_the_wish() -> None:
    with pytest.raises(SettingsError) as caught:
        from_variables({"SOLLOL_TUI_MODE": "fast\x1b[2J"})
    assert str(caught.value) == (
        "SOLLOL_TUI_MODE: mode: wants one of task, model, both, off, not 'fast[2J'"
    )


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"OLLAMA_HOST": "1.2.3.4"}, "http://1.2.3.4:11434"),
        ({"OLLAMA_HOST": ":1234"}, "http://127.0.0.1:1234"),
        ({"OLLAMA_HOST": "0.0.0.0"}, "http://127.0.0.1:11434"),
        ({"OLLAMA_HOST": "https://e.com/ollama"}, "https://e.com:443/ollama"),
        ({"OLLAMA_HOST": "http://e.com"}, "http://e.com:80"),
        ({"OLLAMA_HOST": '"::1"'}, "http://[::1]:11434"),
        ({"OLLAMA_HOST": "gpu", "OLLAMA_PORT": "7000"}, "http://gpu:7000"),
        ({"OLLAMA_HOST": "gpu:1", "OLLAMA_PORT": "7000"}, "http://gpu:1"),
        ({"OLLAMA_HOST": "http://gpu", "OLLAMA_PORT": "7000"}, "http://gpu:80"),
        ({"OLLAMA_HOST": "::1", "OLLAMA_PORT": "7000"}, "http://[::1]:7000"),
        ({"OLLAMA_HOST": "[::1]", "OLLAMA_PORT": "7000"}, "http://[::1]:7000"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(env: dict[str, str], url: str) -> None:
    statements, notes = from_old_variables(env)
    assert nodes(merge(statements))[0] == (url, "env")
    assert notes == []


@pytest.mark.parametrize(
    ("text", "url"),
    [("gpu:http", "http://gpu:11434"), ("https://gpu:99999/x", "https://gpu:443/x")],
)
def test_a_port_of_ollama_host_that_is_none_gives_way_to_the_usual_one(text: str, url: str) -> None:
    statements, notes = from_old_variables({"OLLAMA_HOST": text})
    assert nodes(merge(statements))[0] == (url, "env")
    assert notes
    assert notes[0].startswith("OLLAMA_HOST: ")


def test_what_other_programs_share_is_noted_and_not_fatal() -> None:
    statements, notes = from_old_variables({"REDIS_URL": "sentinel://x", "OLLAMA_HOST": "ftp://x"})
    assert statements == []
    assert len(notes) == 2


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"SOLLOL_COORDINATOR_HOST": "10.0.0.9"}, "http://10.0.0.9:18080"),
        ({"SOLLOL_COORDINATOR_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"SOLLOL_COORDINATOR_HOST": "x", "SOLLOL_COORDINATOR_PORT": "1"}, "http://x:1"),
        ({"SOLLOL_COORDINATOR_HOST": "https://x", "SOLLOL_COORDINATOR_PORT": "1"}, "https://x:443"),
    ],
)
def test_the_coordinator_variables_name_a_coordinator(env: dict[str, str], url: str) -> None:
    statements, _ = from_old_variables(env)
    (coordinator,) = merge(statements).settings.coordinators
    assert (coordinator.url, coordinator.source) == (url, "env")


def test_a_wrong_coordinator_port_names_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"^SOLLOL_COORDINATOR_PORT: 'x' is not a port"):
        from_old_variables({"SOLLOL_COORDINATOR_PORT": "x"})


def test_the_other_old_variables_and_which_redis_wins() -> None:
    statements, notes = from_old_variables(
        {
            "SOLLOL_REDIS_URL": "redis://mine:1",
            "REDIS_URL": "redis://other:2",
            "RPC_BACKENDS": "a,b:7",
            "SOLLOL_MODEL_PATH": "/m.gguf",
            "SOLLOL_CTX_SIZE": "2048",
            "OLLAMA_MODELS": "/models",
        }
    )
    settings = merge(statements, notes).settings
    assert settings.redis_url == "redis://mine:1"
    assert [b.address for b in settings.backends] == ["a:50052", "b:7"]
    assert (settings.model_path, settings.context_tokens) == ("/m.gguf", 2048)
    assert settings.ollama_models == "/models"


def test_a_wrong_old_variable_that_only_sollol_has_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"^SOLLOL_CTX_SIZE: context_tokens: wants a whole"):
        from_old_variables({"SOLLOL_CTX_SIZE": "lots"})
