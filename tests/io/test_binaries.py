"""Finding llama.cpp's programs, and reading what they can from their own help."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.settings import Settings
from sollol_tui.io import binaries
from sollol_tui.io.binaries import (
    Binary,
    find_llama_server,
    find_rpc_server,
    read_help,
    read_version,
    supports_rpc,
)

PLAIN = "----- common params -----\n-m,    --model FNAME  model path\n--host HOST  ip\n--port PORT"
WITH_RPC = f"{PLAIN}\n--rpc SERVERS   comma-separated list of RPC servers"
BACKEND = "Usage: rpc [options]\n\noptions:\n  -H, --host HOST   host\n  -p, --port PORT   port"
MISSING_LIBRARY = "error while loading shared libraries: libggml.so: cannot open shared object file"


@pytest.fixture(autouse=True)
def _only_our_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "USUAL_PLACES", ("~/llama.cpp/build*/bin", "~/nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path))


def program(path: Path, help_text: str = WITH_RPC, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{help_text}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return path


def path_of(*folders: Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join(map(str, folders))}


def found(result: Binary | Problem) -> Path:
    assert isinstance(result, Binary), result
    return result.path


def problem(result: Binary | Problem) -> Problem:
    assert isinstance(result, Problem)
    return result


# Where they are looked for


def test_path_comes_before_the_usual_places(tmp_path: Path) -> None:
    usual = program(tmp_path / "llama.cpp/build-cuda/bin/llama-server")
    assert found(find_llama_server(Settings(), path_of())) == usual
    first = program(tmp_path / "first/llama-server")
    assert found(find_llama_server(Settings(), path_of(tmp_path / "first"))) == first


def test_the_old_name_of_the_backend_will_do(tmp_path: Path) -> None:
    old = program(tmp_path / "bin/rpc-server", BACKEND)
    assert found(find_rpc_server(Settings(), path_of(tmp_path / "bin"))) == old
    new = program(tmp_path / "bin/ggml-rpc-server", BACKEND)
    result = find_rpc_server(Settings(), path_of(tmp_path / "bin"))
    assert found(result) == new
    assert isinstance(result, Binary)
    assert "--host" in result.help


def test_the_programs_are_found_beside_each_other(tmp_path: Path) -> None:
    build = tmp_path / "src/build/bin"
    backend, server = program(build / "ggml-rpc-server", BACKEND), program(build / "llama-server")
    assert found(find_rpc_server(Settings(llama_server=str(server)), path_of())) == backend
    link = tmp_path / "bin/llama-server"
    link.parent.mkdir()
    link.symlink_to(server)
    assert found(find_rpc_server(Settings(), path_of(link.parent))) == backend


def test_what_the_settings_name_is_the_only_one_that_counts(tmp_path: Path) -> None:
    program(tmp_path / "bin/llama-server")
    named = program(tmp_path / "own/my-server")
    env = path_of(tmp_path / "bin")
    assert found(find_llama_server(Settings(llama_server="~/own/my-server"), env)) == named
    assert found(find_llama_server(Settings(llama_server="~/bin"), env)).parent == tmp_path / "bin"
    missing = problem(find_llama_server(Settings(llama_server="~/gone/llama-server"), env))
    assert missing.cause is Cause.NO_BINARY
    assert missing.subject == "~/gone/llama-server"
    assert "there is no such program" in missing.evidence[1]
    (tmp_path / "text").write_text("")
    not_one = problem(find_llama_server(Settings(llama_server="~/text"), env))
    assert "it is not a program" in not_one.evidence[1]


def test_when_there_is_none_it_says_where_it_looked(tmp_path: Path) -> None:
    missing = problem(find_rpc_server(Settings(), path_of(tmp_path / "a", tmp_path / "b")))
    assert missing.cause is Cause.NO_BINARY
    assert missing.evidence == (
        "looked for ggml-rpc-server and rpc-server",
        f"in PATH: {tmp_path}/a, {tmp_path}/b",
        "in ~/llama.cpp/build*/bin, ~/nowhere",
    )
    assert 'rpc_server = "/path/to/ggml-rpc-server"' in missing.next
    assert missing.sentence == "ggml-rpc-server is not installed here, or does not run."


# Which one is taken


def test_a_server_without_rpc_is_passed_over_for_one_that_has_it(tmp_path: Path) -> None:
    program(tmp_path / "a/llama-server", PLAIN)
    with_rpc = program(tmp_path / "b/llama-server")
    env = path_of(tmp_path / "a", tmp_path / "b")
    assert found(find_llama_server(Settings(), env)) == with_rpc


def test_a_server_without_rpc_is_told_apart_from_none(tmp_path: Path) -> None:
    program(tmp_path / "a/llama-server", MISSING_LIBRARY, 127)
    plain = program(tmp_path / "b/llama-server", PLAIN)
    result = problem(find_llama_server(Settings(), path_of(tmp_path / "a", plain.parent)))
    assert (result.cause, result.subject) == (Cause.NO_RPC_SUPPORT, str(plain))
    assert "-DGGML_RPC=ON" in result.next


def test_ollamas_own_server_is_never_taken(tmp_path: Path) -> None:
    ollamas = program(tmp_path / "lib/ollama/llama-server")
    link = tmp_path / "bin/llama-server"
    link.parent.mkdir()
    link.symlink_to(ollamas)
    result = problem(find_llama_server(Settings(), path_of(ollamas.parent, link.parent)))
    assert result.cause is Cause.NO_BINARY


def test_one_that_does_not_run_says_why(tmp_path: Path) -> None:
    broken = program(tmp_path / "bin/ggml-rpc-server", MISSING_LIBRARY, 127)
    result = problem(find_rpc_server(Settings(), path_of(broken.parent)))
    assert (result.cause, result.subject) == (Cause.NO_BINARY, str(broken))
    assert result.evidence == (MISSING_LIBRARY,)
    broken.write_text("no program")
    result = problem(find_rpc_server(Settings(), path_of(broken.parent)))
    assert result.cause is Cause.NO_BINARY


# Reading the help


def test_the_help_tells_whether_rpc_is_in_it() -> None:
    assert supports_rpc(WITH_RPC)
    assert not supports_rpc(PLAIN)
    assert not supports_rpc("see --rpc-something, and what a remote procedure call (--rpc) is")


def test_a_program_that_goes_on_for_ever_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    hangs = program(tmp_path / "hangs")
    hangs.write_text("#!/bin/sh\nsleep 1000 &\nsleep 1000\n")
    result = read_help(hangs, within_s=0.2)
    assert isinstance(result, Fault)
    assert result.kind is FaultKind.TIMEOUT


def test_endless_output_is_cut(tmp_path: Path) -> None:
    endless = program(tmp_path / "endless")
    endless.write_text("#!/bin/sh\nexec yes\n")
    result = read_help(endless)
    assert isinstance(result, str)
    assert len(result) == binaries.MAX_HELP_BYTES


def test_what_it_says_on_its_error_stream_counts_and_bytes_do_no_harm(tmp_path: Path) -> None:
    noisy = program(tmp_path / "noisy")
    noisy.write_text("#!/bin/sh\nprintf 'a\\377b' >&2\n")
    assert read_help(noisy) == "a\ufffdb"


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (
            "version: 0.6.0-dev (build 0, commit unknown)\nbuilt with GNU",
            "0.6.0-dev (build 0, commit unknown)",
        ),
        ("load_backend: loaded\nversion: 5123 (a1b2\x1b[2J)", "5123 (a1b2[2J)"),
        ("error: unknown argument: --version", ""),
    ],
)
def test_a_program_tells_its_version_or_none(tmp_path: Path, said: str, version: str) -> None:
    assert read_version(program(tmp_path / "llama-server", said)) == version
    assert read_version(tmp_path / "gone") == ""
