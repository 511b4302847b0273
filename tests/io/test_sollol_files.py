"""The files of an existing SOLLOL or SynapticLlamas set-up."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sollol_tui.core.state import Mode
from sollol_tui.io.sollol_files import MAX_FILE_BYTES, SollolFiles, read_sollol_files

SETTINGS = ".synapticllamas.json"
NODES = ".synapticllamas_nodes.json"
BACKENDS = "rpc_backends.conf"

# As SynapticLlamas writes it, every key.
DEFAULTS: dict[str, object] = {
    "mode": None,
    "collaborative_mode": False,
    "model": "llama3.2",
    "strategy": None,
    "task_distribution_enabled": True,
    "model_sharding_enabled": False,
    "rpc_backends": [],
    "redis_logging_enabled": False,
    "redis_host": "localhost",
    "redis_port": 6379,
    "redis_db": 0,
    "redis_password": None,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "someone"
    folder.mkdir()
    return folder


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def settings(home: Path, cwd: Path, **changes: object) -> SollolFiles:
    (home / SETTINGS).write_text(json.dumps({**DEFAULTS, **changes}, indent=2))
    return read_sollol_files(home, cwd)


def test_no_files_say_nothing(home: Path, cwd: Path) -> None:
    assert read_sollol_files(home, cwd) == SollolFiles()


def test_the_settings_as_synaptic_llamas_writes_them(home: Path, cwd: Path) -> None:
    assert settings(home, cwd) == SollolFiles(
        redis_url="redis://localhost:6379",
        model="llama3.2",
        mode=Mode.TASK,
        read=(str(home / SETTINGS),),
    )


def test_the_settings_of_a_cluster(home: Path, cwd: Path) -> None:
    found = settings(
        home,
        cwd,
        coordinator_url="http://10.0.0.1:18080/",
        rpc_backends=[
            {"host": "10.0.0.2", "port": 50052},
            {"host": "10.0.0.3", "port": "50053", "gpu_names": ["NVIDIA L4"]},
            {"host": "coordinator", "port": 0},
            {"host": "127.0.0.1", "port": 50052},
        ],
        redis_host="10.0.0.9",
        redis_db=2,
        redis_password="p@ss/word",
    )
    assert [(b.address, b.source, b.told) for b in found.backends] == [
        ("10.0.0.2:50052", "sollol-file", ""),
        ("10.0.0.3:50053", "sollol-file", "L4"),
        ("127.0.0.1:50052", "sollol-file", ""),
    ]
    assert [(c.url, c.source) for c in found.coordinators] == [
        ("http://10.0.0.1:18080", "sollol-file")
    ]
    assert found.redis_url == "redis://:p%40ss%2Fword@10.0.0.9:6379/2"
    assert found.notes == ()


@pytest.mark.parametrize(
    ("switches", "mode"),
    [
        ({"task_distribution_enabled": True, "model_sharding_enabled": True}, Mode.BOTH),
        ({"task_distribution_enabled": True, "model_sharding_enabled": False}, Mode.TASK),
        ({"task_distribution_enabled": False, "model_sharding_enabled": True}, Mode.MODEL),
        ({"task_distribution_enabled": False, "model_sharding_enabled": False}, Mode.OFF),
        ({"distributed_inference_enabled": True}, Mode.BOTH),  # the old name
        ({"model_sharding_enabled": False}, Mode.TASK),
        ({"model_sharding_enabled": "yes"}, None),
        ({}, None),
    ],
)
def test_the_two_switches_are_one_mode(
    home: Path, cwd: Path, switches: dict[str, object], mode: Mode | None
) -> None:
    (home / SETTINGS).write_text(json.dumps(switches))
    assert read_sollol_files(home, cwd).mode is mode


def test_the_nodes_file_gives_nodes_with_their_names(home: Path, cwd: Path) -> None:
    nodes = [
        {"url": "http://10.0.0.1:11434", "name": "gpu\x1b[31m box", "priority": 0},
        {"url": "http://10.0.0.1:11434/", "name": "again"},
        {"host": "10.0.0.2", "port": "11500"},
        {"name": "nowhere"},
        {"url": "ftp://10.0.0.3"},
    ]
    (home / NODES).write_text(json.dumps({"nodes": nodes}))
    found = read_sollol_files(home, cwd)
    assert [(n.url, n.source, n.name) for n in found.nodes] == [
        ("http://10.0.0.1:11434", "sollol-file", "gpu[31m box"),
        ("http://10.0.0.2:11500", "sollol-file", ""),
    ]
    assert found.notes == (
        f"{home / NODES}: nodes, entry 4: no address",
        f"{home / NODES}: nodes, entry 5: 'ftp://10.0.0.3': only http and https are spoken here",
    )


def test_the_backends_file_is_read_where_one_works_and_at_home(home: Path, cwd: Path) -> None:
    (cwd / BACKENDS).write_bytes(
        b"\xef\xbb\xbf# workers\r\n10.0.0.1:50052\r\n\r\n  10.0.0.2:50053  # attic\nbad port:x\n"
    )
    (home / BACKENDS).write_text("10.0.0.1:50052\n10.0.0.3\n")
    found = read_sollol_files(home, cwd)
    assert [b.address for b in found.backends] == [
        "10.0.0.1:50052",
        "10.0.0.2:50053",
        "10.0.0.3:50052",
    ]
    assert found.read == (str(cwd / BACKENDS), str(home / BACKENDS))
    (note,) = found.notes
    assert note.startswith(f"{cwd / BACKENDS}: line 5: ")


def test_the_backends_file_is_read_once_when_one_works_at_home(home: Path) -> None:
    (home / BACKENDS).write_text("10.0.0.1:50052\n")
    assert read_sollol_files(home, home).read == (str(home / BACKENDS),)


def test_a_backend_in_two_files_is_one_with_what_is_told_of_it(home: Path, cwd: Path) -> None:
    (cwd / BACKENDS).write_text("10.0.0.3:50052\n")
    entries = [{"host": "10.0.0.3"}, {"host": "10.0.0.3", "gpu_names": ["NVIDIA L4"]}]
    (backend,) = settings(home, cwd, rpc_backends=entries).backends
    assert backend.told == "L4"


@pytest.mark.parametrize("content", ["{", "[]", "null", '"x"'])
def test_a_file_that_is_no_json_object_is_noted(home: Path, cwd: Path, content: str) -> None:
    (home / SETTINGS).write_text(content)
    found = read_sollol_files(home, cwd)
    assert found.notes == (f"{home / SETTINGS}: not a JSON object",)


def test_an_empty_file_says_nothing(home: Path, cwd: Path) -> None:
    (home / SETTINGS).write_text("\n")
    assert read_sollol_files(home, cwd) == SollolFiles(read=(str(home / SETTINGS),))


def test_values_of_wrong_types_are_unknown(home: Path, cwd: Path) -> None:
    found = settings(
        home,
        cwd,
        model=7,
        rpc_backends={"host": "x"},
        coordinator_url=["x"],
        redis_host=None,
        redis_port="many",
        task_distribution_enabled=1,
        model_sharding_enabled=None,
    )
    assert found == SollolFiles(read=found.read)


def test_a_wrong_coordinator_url_is_noted(home: Path, cwd: Path) -> None:
    found = settings(home, cwd, coordinator_url="ftp://10.0.0.1")
    assert found.coordinators == ()
    assert "coordinator_url: " in found.notes[0]


def test_what_is_no_file_or_too_large_is_noted_and_not_opened(home: Path, cwd: Path) -> None:
    os.mkfifo(home / SETTINGS)
    (home / NODES).mkdir()
    (home / BACKENDS).write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    found = read_sollol_files(home, cwd)
    assert found.read == ()
    assert found.notes == (
        f"{home / SETTINGS}: not a file",
        f"{home / NODES}: not a file",
        f"{home / BACKENDS}: {MAX_FILE_BYTES + 1} bytes are too many to read",
    )


def test_a_file_that_may_not_be_read_is_noted(
    home: Path, cwd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (home / SETTINGS).write_text("{}")
    monkeypatch.setattr(Path, "read_bytes", denied)
    found = read_sollol_files(home, cwd)
    assert found.notes == (f"{home / SETTINGS}: cannot be read: Permission denied",)
    assert found.read == ()


def test_without_arguments_it_is_the_persons_home_and_working_directory(
    home: Path, cwd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(cwd)
    (cwd / BACKENDS).write_text("10.0.0.1:50052\n")
    (home / SETTINGS).write_text("{}")
    assert read_sollol_files().read == (str(home / SETTINGS), str(cwd / BACKENDS))


def test_a_working_directory_that_was_removed_is_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removed() -> Path:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", removed)
    assert read_sollol_files(home) == SollolFiles()


def test_nothing_is_written(home: Path, cwd: Path) -> None:
    settings(home, cwd, rpc_backends=[{"host": "127.0.0.1", "port": 50052}])
    before = (home / SETTINGS).read_bytes()
    read_sollol_files(home, cwd)
    assert (home / SETTINGS).read_bytes() == before
    assert sorted(p.name for p in (*home.iterdir(), *cwd.iterdir())) == [SETTINGS]
