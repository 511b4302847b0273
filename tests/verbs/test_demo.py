"""The demo's cluster, and the verbs over it: the command, the engine and servers for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sollol_tui.demo.cluster import Cluster, DemoError
from sollol_tui.verbs import demo
from sollol_tui.verbs.demo import RunningCluster, start_cluster, with_passing_dir

pytestmark = pytest.mark.xdist_group("demo verbs")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    running = start_cluster()
    yield running
    running.close()


def command(cluster: RunningCluster, *argv: str) -> list[str]:
    settings = cluster.settings
    flags = [f"--node={node.url}" for node in settings.nodes]
    flags += [f"--backend={backend.address}" for backend in settings.backends]
    flags += [f"--coordinator={coordinator.url}" for coordinator in settings.coordinators]
    return [sys.executable, "-m", "sollol_tui.cli", *flags, "--redis=off", *argv]


def run(cluster: RunningCluster, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(cluster, *argv),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "SOLLOL_TUI_LOOK_AT_LOCALHOST": "no"},
    )


def test_status_of_a_whole_cluster_is_well(cluster: RunningCluster) -> None:
    found = run(cluster, "status", "--json")
    told = json.loads(found.stdout)
    assert found.returncode == 0
    assert {node["status"] for node in told["nodes"]} == {"up"}
    assert told["nodes"][0]["sources"] == ["flag"]
    # This host may run other people's coordinators: those are shown too.
    backends = {backend["address"]: backend["status"] for backend in told["backends"]}
    ours = [backends[setting.address] for setting in cluster.settings.backends]
    assert sorted(ours) == ["attached", "attached", "idle"]
    coordinators = {coordinator["url"]: coordinator for coordinator in told["coordinators"]}
    coordinator = coordinators[cluster.settings.coordinators[0].url]
    assert (coordinator["status"], coordinator["owner"]) == ("ready", "adopted")


def test_status_of_a_dead_target_is_not_well(cluster: RunningCluster) -> None:
    found = run(cluster, "--node=http://127.0.0.1:1", "status")
    assert found.returncode == 1
    assert found.stdout.splitlines()[-1] == ("1 of 8 configured do not answer: http://127.0.0.1:1")


def test_a_chat_is_answered_by_the_one_node_that_was_named(cluster: RunningCluster) -> None:
    url = cluster.settings.nodes[0].url
    found = run(cluster, "chat", "-m", "llama3.2:3b", "--node", url, "Hi")
    assert found.returncode == 0
    assert len(found.stdout) > 20
    assert found.stderr.startswith("→ ")
    assert f"({url})" in found.stderr.splitlines()[0]
    assert " tok/s · " in found.stderr.splitlines()[-1]


def test_ctrl_c_keeps_what_came_and_says_so(cluster: RunningCluster) -> None:
    with subprocess.Popen(
        command(cluster, "chat", "-m", "llama3.2:3b", "--json", "Why is the sky blue?"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        events = []
        for line in process.stdout:
            events.append(json.loads(line))
            kinds = [event["event"] for event in events]
            is_first_delta = kinds[-1] == "delta" and kinds.count("delta") == 1
            if is_first_delta or kinds[-1] == "failed":
                process.send_signal(signal.SIGINT)  # one more at the end must do no harm
        assert process.wait() == 130
        assert process.stderr.read() == ""
    text = "".join(event["text"] for event in events if event["event"] == "delta")
    assert events[-1] == {
        "event": "failed",
        "cause": "stopped",
        "evidence": "",
        "kept_chars": len(text),
    }


def test_closing_the_cluster_ends_its_servers() -> None:
    running = start_cluster()
    (address, *_) = running.settings.backends
    running.close()
    found = subprocess.run(
        [sys.executable, "-m", "sollol_tui.cli", "--backend", address.address, "status"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SOLLOL_TUI_LOOK_AT_LOCALHOST": "no", "SOLLOL_TUI_REDIS_URL": "off"},
    )
    assert found.returncode == 1
    assert "down" in found.stdout


def test_a_cluster_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Cluster):
        async def __aenter__(self) -> Cluster:
            raise DemoError("gpu-rig did not start: no room")

    monkeypatch.setattr(demo, "Cluster", Broken)
    with pytest.raises(DemoError, match="no room"):
        start_cluster()


def test_the_demos_state_goes_with_it_unless_a_crash_report_lies_there() -> None:
    seen: list[Path] = []

    def well(place: Path) -> int:
        seen.append(place)
        (place / "state.json").touch()
        return 0

    def crashed(place: Path) -> int:
        seen.append(place)
        (place / "crash-1.txt").touch()
        return 1

    assert (with_passing_dir(well), with_passing_dir(crashed)) == (0, 1)
    assert [place.exists() for place in seen] == [False, True]
    (seen[1] / "crash-1.txt").unlink()
    seen[1].rmdir()
