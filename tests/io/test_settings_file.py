"""Files, variables and flags put together."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from sollol_tui.core.settings import Settings
from sollol_tui.core.settings_doc import MEANINGS, example_toml
from sollol_tui.core.settings_merge import Resolved, SettingsError, state
from sollol_tui.core.state import Mode
from sollol_tui.io.kept import Kept, write_kept
from sollol_tui.io.paths import config_file, state_dir
from sollol_tui.io.settings_file import load_settings


def written(text: str | bytes) -> Path:
    """Our configuration file with this content, where the program looks for it."""
    path = config_file({})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return path


def problem_of(text: str | bytes, env: Mapping[str, str] | None = None) -> str:
    path = written(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(env or {})
    return str(caught.value).replace(str(path), "config.toml")


def source_of(resolved: Resolved, key: str) -> str:
    return next(origin.source for origin in resolved.origins if origin.key == key)


def home() -> Path:
    return Path(os.environ["HOME"])


def test_without_files_and_variables_the_defaults_hold() -> None:
    resolved = load_settings({})
    usual = Settings()._replace(
        nodes=resolved.settings.nodes, coordinators=resolved.settings.coordinators
    )
    assert resolved.settings == usual
    assert [n.source for n in resolved.settings.nodes] == ["localhost"]
    assert [c.source for c in resolved.settings.coordinators] == ["localhost"]
    assert {origin.source for origin in resolved.origins} == {"default"}


def test_each_source_is_stronger_than_the_one_before_it() -> None:
    path = written('redis_url = "redis://file"\ntimeout_s = 1\npoll_interval_s = 9\ntheme = "a"\n')
    env = {
        "REDIS_URL": "redis://old",
        "SOLLOL_TUI_TIMEOUT_S": "2",
        "SOLLOL_TUI_THEME": "b",
    }
    resolved = load_settings(env, [state("theme", "c", "--theme", "flag")])
    settings = resolved.settings
    assert (settings.poll_interval_s, source_of(resolved, "poll_interval_s")) == (9, str(path))
    assert (settings.redis_url, source_of(resolved, "redis_url")) == ("redis://old", "REDIS_URL")
    assert (settings.timeout_s, source_of(resolved, "timeout_s")) == (2, "SOLLOL_TUI_TIMEOUT_S")
    assert (settings.theme, source_of(resolved, "theme")) == ("c", "--theme")


def test_our_variable_is_stronger_than_the_old_one_of_the_same_key() -> None:
    env = {"SOLLOL_TUI_REDIS_URL": "redis://new", "SOLLOL_REDIS_URL": "redis://old"}
    assert load_settings(env).settings.redis_url == "redis://new"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "timeout_s = 1\nmouse = yes\n",
            "config.toml: is not TOML: Invalid value (at line 2, column 9)",
        ),
        ("ok = 1\nok = 2", "config.toml: is not TOML: Cannot overwrite a value (at "),
        (b"theme = '\xff'", "config.toml: is not UTF-8 (at byte 9)"),
        ("poll_intervall_s = 1", "config.toml: poll_intervall_s: unknown key; did you mean 'poll_"),
        ("timeout_s = 'x'", "config.toml: timeout_s: wants a number of seconds from 0.1 to 86400"),
        ("[[nodes]]\nurl='a'\n[[nodes]]\nurl='b:x'", "config.toml: nodes[1].url: 'x' is not a po"),
        ("[nodes]\nurl='a'", "config.toml: nodes: wants a list of URLs or of tables"),
        (
            "[[nodes]]\nurl='a'\napi_key={env='GONE'}",
            "config.toml: nodes[0].api_key: the variable GONE is not set",
        ),
        (
            "[[nodes]]\nurl='a'\nheaders={X={file='gone.key'}}",
            "config.toml: nodes[0].headers.X: ",
        ),
        (
            "[[nodes]]\nurl='a'\nheaders={X={vault='x'}}",
            'config.toml: nodes[0].headers.X: wants a text, { env = "NAME" } or { file',
        ),
        ("redis_url = {}", 'config.toml: redis_url: wants a text, { env = "NAME" } or'),
    ],
)
def test_a_wrong_file_is_told_with_key_and_place(text: str | bytes, problem: str) -> None:
    assert problem_of(text).startswith(problem)


def test_a_byte_order_mark_does_not_matter() -> None:
    written(b"\xef\xbb\xbftimeout_s = 3\n")
    assert load_settings({}).settings.timeout_s == 3


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone.toml"
    with pytest.raises(SettingsError, match=r"gone\.toml: there is no such file"):
        load_settings({}, config=gone)
    with pytest.raises(SettingsError, match=r"gone\.toml: there is no such file"):
        load_settings({"SOLLOL_TUI_CONFIG": str(gone)})


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings({}, config=tmp_path)


def test_a_named_file_stands_in_for_the_usual_one(tmp_path: Path) -> None:
    written("timeout_s = 1\n")
    other = tmp_path / "other.toml"
    other.write_text("timeout_s = 7\n")
    assert load_settings({"SOLLOL_TUI_CONFIG": str(other)}).settings.timeout_s == 7
    assert load_settings({"SOLLOL_TUI_CONFIG": "/gone"}, config=other).settings.timeout_s == 7


def test_secrets_may_lie_elsewhere_and_are_never_shown() -> None:
    path = written(
        "redis_url = {env = 'THE_REDIS'}\n"
        "[[nodes]]\nurl = 'a'\napi_key = {file = 'node.key'}\n"
        "[[coordinators]]\nurl = 'b'\nheaders = {X-Key = {env = 'THE_KEY'}}\n"
    )
    (path.parent / "node.key").write_text("sesame\n")
    resolved = load_settings({"THE_REDIS": "redis://:hunter2@h", "THE_KEY": "tresor"})
    settings = resolved.settings
    assert settings.redis_url == "redis://:hunter2@h"
    assert settings.nodes[0].headers == (("Authorization", "Bearer sesame"),)
    assert settings.coordinators[0].headers == (("X-Key", "tresor"),)
    shown = repr(resolved.origins)
    assert "•••" in shown
    assert not any(secret in shown for secret in ("hunter2", "sesame", "tresor"))


@pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX")
def test_a_secret_in_a_file_that_others_may_read_is_noted() -> None:
    path = written("[[nodes]]\nurl = 'a'\napi_key = 'sesame'\n")
    assert load_settings({}).notes == ()
    path.chmod(0o644)
    (note,) = load_settings({}).notes
    assert "chmod 600" in note
    assert "sesame" not in note
    path.write_text("[[nodes]]\nurl = 'a'\napi_key = {env = 'KEY'}\n")
    assert load_settings({"KEY": "sesame"}).notes == ()


def test_paths_in_the_file_start_at_the_file_and_know_the_home_directory() -> None:
    path = written(
        "model_path = 'm.gguf'\nollama_models = '~/models'\n"
        "[[nodes]]\nurl = 'https://a'\nca_file = 'ca.pem'\n"
        "[[coordinators]]\nurl = '127.0.0.1:1'\nmodel = './n.gguf'\n"
        "[[coordinators]]\nurl = '127.0.0.1:2'\nmodel = 'a/b:7b'\n"
    )
    settings = load_settings({}).settings
    assert settings.model_path == str(path.parent / "m.gguf")
    assert settings.ollama_models == str(home() / "models")
    assert settings.nodes[0].ca_file == str(path.parent / "ca.pem")
    models = [c.model for c in settings.coordinators]
    assert models == [str(path.parent / "n.gguf"), "a/b:7b"]
    env = {"SOLLOL_MODEL_PATH": "~/other.gguf"}
    assert load_settings(env).settings.model_path == str(home() / "other.gguf")


def test_notes_of_old_variables_come_along() -> None:
    (note,) = load_settings({"REDIS_URL": "nonsense://x"}).notes
    assert note.startswith("not used: REDIS_URL: redis_url: wants redis://host:port")


def test_sollols_files_are_the_weakest_source() -> None:
    nodes = {"nodes": [{"url": "http://10.9.66.45:11434", "name": "old", "priority": 1}]}
    (home() / ".synapticllamas_nodes.json").write_text(json.dumps(nodes))
    written("nodes = ['10.9.66.46']\n")
    resolved = load_settings({})
    found = {str(node.url): node for node in resolved.settings.nodes}
    assert found["http://10.9.66.45:11434"].source == "sollol-file"
    assert found["http://10.9.66.46:11434"].source == "config"
    assert ".synapticllamas_nodes.json" in source_of(resolved, "nodes[0]")
    without = load_settings({"SOLLOL_TUI_READ_SOLLOL_FILES": "no"}).settings.nodes
    assert "http://10.9.66.45:11434" not in [node.url for node in without]


def test_sollols_mode_and_model_begin_with_and_give_way_to_what_was_chosen_here() -> None:
    said = {"model": "codellama", "model_sharding_enabled": True}
    said |= {"task_distribution_enabled": False}
    (home() / ".synapticllamas.json").write_text(json.dumps(said))
    settings = load_settings({}).settings
    assert (settings.mode, settings.model) == (Mode.MODEL, "codellama:latest")
    write_kept(state_dir(), Kept(mode=Mode.OFF, model="llama3:8b"))
    settings = load_settings({}).settings
    assert (settings.mode, settings.model) == (None, "")


@pytest.mark.parametrize(
    ("redis", "url"),
    [
        ({"redis_host": "localhost", "redis_port": 6379, "redis_db": 0}, None),
        ({"redis_host": "10.0.0.1", "redis_port": 6379}, "redis://10.0.0.1:6379"),
    ],
)
def test_sollols_redis_counts_only_when_it_is_not_the_usual_one(
    redis: dict[str, object], url: str | None
) -> None:
    (home() / ".synapticllamas.json").write_text(json.dumps(redis))
    resolved = load_settings({})
    assert resolved.is_default("redis_url") is (url is None)
    assert url is None or resolved.settings.redis_url == url


def test_every_setting_has_a_meaning() -> None:
    assert tuple(MEANINGS) == Settings._fields


def test_the_example_file_changes_nothing() -> None:
    written(example_toml())
    example = load_settings({})
    config_file({}).unlink()
    assert example == load_settings({})


def test_every_line_of_the_example_file_may_be_used() -> None:
    text = "\n".join(
        line[1:] if line.startswith("#") and not line.startswith("# ") else line
        for line in example_toml().splitlines()
    )
    path = written(text)
    (path.parent / "llama-server.key").write_text("sesame")
    settings = load_settings({"OLLAMA_EXAMPLE_KEY": "sesame"}).settings
    assert {key for key in Settings._fields if f"\n{key} = " in text} | {
        "nodes",
        "coordinators",
    } == set(Settings._fields)
    assert [node.url for node in settings.nodes][:2] == [
        "http://10.0.0.2:11434",
        "https://ollama.example.org:443/ollama",
    ]
    assert settings.coordinators[0].headers == (("Authorization", "Bearer sesame"),)
    untouched = ("poll_interval_s", "threshold_parameters", "mouse", "redis_url", "context_tokens")
    assert all(getattr(settings, key) == getattr(Settings(), key) for key in untouched)
