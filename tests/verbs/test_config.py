"""`sollol-tui config` and `sollol-tui paths`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sollol_tui.core.settings import Settings
from sollol_tui.core.settings_doc import example_toml
from sollol_tui.core.settings_merge import state
from sollol_tui.io.paths import config_file
from sollol_tui.verbs.config import show_config, show_example
from sollol_tui.verbs.paths import show_paths

from .fakes import heard, resolved, voice

SECRET = state("nodes", [{"url": "a", "api_key": "sesame"}], "config.toml", "config")
REDIS = state("redis_url", "redis://:hunter2@h", "REDIS_URL", "env")


def test_every_value_is_shown_with_its_source_and_no_secret() -> None:
    spoken = voice()
    assert show_config(resolved(SECRET, REDIS, notes=["odd"]), spoken, as_json=False) == 0
    out, err = heard(spoken)
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert lines["nodes[0]"] == ["http://a:11434", "Authorization=•••", "config.toml"]
    assert lines["redis_url"] == ["redis://:•••@h", "REDIS_URL"]
    assert lines["mode"] == ["–", "default"]
    assert {key.partition("[")[0] for key in lines} == set(Settings._fields)
    assert "sesame" not in out
    assert "hunter2" not in out
    assert err == "note: odd\n"


def test_the_json_has_the_same() -> None:
    spoken = voice()
    show_config(resolved(SECRET, notes=["odd"]), spoken, as_json=True)
    told = json.loads(heard(spoken)[0])
    assert told["schema"] == 1
    assert told["values"][0] == {
        "key": "nodes[0]",
        "value": "http://a:11434  Authorization=•••",
        "source": "config.toml",
    }
    assert told["notes"] == ["odd"]


def test_the_example_is_printed_as_it_is() -> None:
    spoken = voice()
    assert show_example(spoken) == 0
    assert heard(spoken) == (example_toml(), "")


def test_paths_say_where_and_whether() -> None:
    path = config_file({})
    path.parent.mkdir(parents=True)
    path.touch()
    spoken = voice()
    assert show_paths({}, None, spoken) == 0
    lines = heard(spoken)[0].splitlines()
    assert lines[0] == f"configuration         {path}"
    state_dir = Path(os.environ["HOME"]) / "state" / "sollol-tui"
    assert lines[1] == f"state                 {state_dir}  (not there)"


def test_paths_follow_a_named_configuration_file() -> None:
    spoken = voice()
    show_paths({"SOLLOL_TUI_CONFIG": "/one.toml"}, None, spoken)
    show_paths({"SOLLOL_TUI_CONFIG": "/one.toml"}, Path("/two.toml"), spoken)
    found = [line.split()[1] for line in heard(spoken)[0].splitlines() if "configuration" in line]
    assert found == ["/one.toml", "/two.toml"]
