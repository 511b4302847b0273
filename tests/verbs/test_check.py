"""`sollol-tui check`: this machine and the cluster, each thing with its level and its fix."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from sollol_tui.core.plain import cell_width
from sollol_tui.core.settings_merge import SettingsError
from sollol_tui.io import binaries, stores
from sollol_tui.verbs import check as module
from sollol_tui.verbs.arguments import parse
from sollol_tui.verbs.check import check
from sollol_tui.verbs.check_settings import examination
from tests import fakes
from tests.engine.place import free_port

from .fakes import heard, voice

NOWHERE = ("--redis", "off")
NOT_HERE = {"SOLLOL_TUI_LOOK_AT_LOCALHOST": "false", "TERM": "xterm", "LANG": "C.UTF-8"}
HELP = "--host HOST\n--port PORT\n--rpc SERVERS\n--model FNAME"
SERVER = f"""\
#!/bin/sh
case $1 in
--version) echo 'version: 9000 (abc)' ;;
--list-devices) echo '  (none)' ;;
*) printf '%s' '{HELP}' ;;
esac
"""


@pytest.fixture(autouse=True)
def _only_what_the_test_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "USUAL_PLACES", ())
    monkeypatch.setattr(stores, "_SERVICE_HOMES", ())
    monkeypatch.setattr(stores, "_PACKAGED", ())
    monkeypatch.setattr(stores, "UNITS", Path("/nonexistent"))


def checked(
    tmp_path: Path, *argv: str, env: Mapping[str, str] | None = None, as_json: bool = True
) -> tuple[int, str]:
    """What `check` says with these flags, in this environment and no other."""
    spoken = voice()
    variables = {**NOT_HERE, "PATH": str(tmp_path / "bin"), **(env or {})}
    here = ("--coordinator", f"127.0.0.1:{free_port()}")
    what = examination(parse(["check", *NOWHERE, *here, *argv]), variables, tmp_path / "state")
    code = check(what, spoken, as_json=as_json, clock=lambda: 5.0)
    return code, heard(spoken)[0]


def levels(out: str) -> dict[str, str]:
    return {c["check"]: c["level"] for c in json.loads(out)["checks"]}


def told(out: str, name: str) -> dict[str, object]:
    found: dict[str, object] = next(c for c in json.loads(out)["checks"] if c["check"] == name)
    return found


def install(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "llama-server"
    path.parent.mkdir()
    path.write_text(SERVER)
    path.chmod(0o755)
    return path


def test_on_an_empty_machine_nothing_fails_and_everything_missing_is_named(tmp_path: Path) -> None:
    code, out = checked(tmp_path)
    assert code == 0
    assert levels(out) == {
        "settings": "ok",
        "state_dir": "ok",
        "sollol_files": "ok",
        "terminal": "ok",
        "llama_server": "warn",
        "rpc_server": "warn",
        "model_store": "warn",
        "model": "warn",
        "port": "ok",
        "node": "warn",
        "registry": "ok",
    }
    assert not (tmp_path / "state").exists(), "it writes nothing"


def test_each_place_of_ours_is_looked_at_and_what_it_is_set_to_run(tmp_path: Path) -> None:
    config = tmp_path / "two.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(
            f'[[coordinators]]\nurl = "http://127.0.0.1:{port}"\nmodel = "nobody:has-it"\n'
        )
        code, out = checked(tmp_path, "--config", str(config))
    assert code == 1
    ports = [c for c in json.loads(out)["checks"] if c["check"] == "port"]
    assert [c["level"] for c in ports] == ["ok", "warn"]
    assert ports[1]["subject"] == f"127.0.0.1:{port}"
    assert "taken by" in ports[1]["says"]
    assert (told(out, "model")["level"], told(out, "model")["subject"]) == ("fail", "nobody:has-it")


def test_what_was_asked_for_and_is_missing_fails(tmp_path: Path) -> None:
    code, out = checked(tmp_path, "-m", "llama3.3:70b")
    assert code == 1
    assert (levels(out)["llama_server"], levels(out)["model"]) == ("fail", "fail")


def test_a_program_is_told_with_its_version(tmp_path: Path) -> None:
    path = install(tmp_path)
    _, out = checked(tmp_path)
    assert told(out, "llama_server")["says"] == "version 9000 (abc)"
    assert told(out, "llama_server")["subject"] == str(path)


@pytest.mark.parametrize("as_json", [True, False])
async def test_a_dead_backend_is_a_failure_with_its_fix(tmp_path: Path, as_json: bool) -> None:
    import asyncio

    async with fakes.dead_url() as url:
        address = url.removeprefix("http://")
        code, out = await asyncio.to_thread(
            checked, tmp_path, "--backend", address, as_json=as_json
        )
    assert code == 1
    if as_json:
        assert told(out, "backend")["level"] == "fail"
    else:
        assert f"fail  RPC backend {address}: refuses connections" in out
        assert "→ Start it: `sollol-tui worker` on that machine" in out


def test_for_people_it_fits_eighty_columns_and_ends_with_a_sum(tmp_path: Path) -> None:
    _, out = checked(tmp_path, as_json=False)
    *lines, empty, last = out.splitlines()
    assert empty == ""
    assert last == "6 ok, 5 to look at, 0 wrong"
    assert all(line[:4].strip() in ("ok", "warn", "fail", "") for line in lines)
    assert max(cell_width(line) for line in lines if str(tmp_path) not in line) <= 80


def test_broken_settings_are_a_failure_among_others(tmp_path: Path) -> None:
    config = tmp_path / "broken.toml"
    config.write_text("nodes = 3")
    code, out = checked(tmp_path, "--config", str(config))
    assert code == 1
    assert told(out, "settings")["level"] == "fail"
    assert told(out, "settings")["subject"] == str(config)
    assert levels(out)["llama_server"] == "warn", "and the rest is checked"
    _, out = checked(tmp_path, env={"SOLLOL_TUI_MODE": "fast"})
    assert told(out, "settings")["subject"] == "SOLLOL_TUI_MODE"
    assert "wants one of task" in str(told(out, "settings")["says"])


def test_a_file_that_was_named_and_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        checked(tmp_path, "--config", str(tmp_path / "gone.toml"))


def test_every_check_has_a_title() -> None:
    assert all(name.isidentifier() for name in module.TITLES)


def test_output_that_nobody_reads_is_told_to_the_caller(tmp_path: Path) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    what = examination(parse(["check", *NOWHERE]), NOT_HERE, tmp_path / "state")
    with pytest.raises(BrokenPipeError):
        check(what, voice()._replace(out=Closed()), as_json=False)
