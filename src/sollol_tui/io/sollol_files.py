"""The files of an existing SOLLOL or SynapticLlamas set-up. They are read and never written."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from sollol_tui.core import wire
from sollol_tui.core.ids import (
    parse_backend_address,
    parse_coordinator_url,
    parse_node_url,
)
from sollol_tui.core.plain import plain_line
from sollol_tui.core.registry_shapes import (
    COORDINATOR_STAND_IN,
    backend_text,
    devices_told,
    node_text,
    shortened,
)
from sollol_tui.core.reports import FoundBackend, FoundCoordinator, FoundNode
from sollol_tui.core.state import Mode

SOURCE = "sollol-file"
SETTINGS_FILE = ".synapticllamas.json"
NODES_FILE = ".synapticllamas_nodes.json"
BACKENDS_FILE = "rpc_backends.conf"
MAX_FILE_BYTES = 1 << 20


class SollolFiles(NamedTuple):
    """What the files say. `read` are their paths, `notes` problems in plain words."""

    nodes: tuple[FoundNode, ...] = ()
    backends: tuple[FoundBackend, ...] = ()
    coordinators: tuple[FoundCoordinator, ...] = ()
    redis_url: str | None = None
    model: str | None = None
    mode: Mode | None = None
    read: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_sollol_files(home: Path | None = None, cwd: Path | None = None) -> SollolFiles:
    """Read `~/.synapticllamas.json`, `~/.synapticllamas_nodes.json` and `rpc_backends.conf`.

    The last is looked for in the working directory and at home. Without arguments: this process'
    home and working directory. A missing file is nothing; one that cannot be read is a note.
    """
    reading = _Reading()
    home = home if home is not None else _folder(Path.home)
    cwd = cwd if cwd is not None else _folder(Path.cwd)
    if home is not None:
        reading.settings(home / SETTINGS_FILE)
        reading.nodes_file(home / NODES_FILE)
    for folder in dict.fromkeys(f for f in (cwd, home) if f is not None):
        reading.backends_file(folder / BACKENDS_FILE)
    return reading.result()


class _Reading:
    """Collects what the files say, each target once."""

    def __init__(self) -> None:
        self._nodes: dict[str, FoundNode] = {}
        self._backends: dict[str, FoundBackend] = {}
        self._rest = SollolFiles()
        self._read: list[str] = []
        self._notes: list[str] = []

    def result(self) -> SollolFiles:
        return self._rest._replace(
            nodes=tuple(self._nodes.values()),
            backends=tuple(self._backends.values()),
            read=tuple(self._read),
            notes=shortened(tuple(self._notes)),
        )

    def settings(self, path: Path) -> None:
        """SynapticLlamas' settings: rewritten whole by it, so every key is mostly there."""
        found = self._json_object(path)
        for place, entry in enumerate(wire.items(found.get("rpc_backends")), 1):
            text = backend_text(entry)
            if text != COORDINATOR_STAND_IN:
                self._add_backend(path, f"rpc_backends, entry {place}", text, entry)
        self._rest = self._rest._replace(
            coordinators=self._coordinators(path, found.get("coordinator_url")),
            redis_url=_redis_url(found),
            model=wire.text(found.get("model")).strip() or None,
            mode=_mode(found),
        )

    def nodes_file(self, path: Path) -> None:
        """`{"nodes": [{"url", "name", "priority"}]}`."""
        for place, entry in enumerate(wire.items(self._json_object(path).get("nodes")), 1):
            text = node_text(entry)
            name = plain_line(wire.text(wire.fields(entry).get("name"))).strip()
            try:
                url = parse_node_url(_required(text))
            except ValueError as error:
                self._note(path, f"nodes, entry {place}: {error}")
            else:
                self._nodes.setdefault(url, FoundNode(url, SOURCE, name))

    def backends_file(self, path: Path) -> None:
        """One `host:port` per line, `#` comments."""
        for number, line in enumerate(self._text(path).splitlines(), 1):
            if text := line.partition("#")[0].strip():
                self._add_backend(path, f"line {number}", text)

    def _add_backend(self, path: Path, place: str, text: str, entry: object = None) -> None:
        try:
            address = parse_backend_address(_required(text))
        except ValueError as error:
            self._note(path, f"{place}: {error}")
            return
        told = devices_told(wire.fields(entry))
        known = self._backends.setdefault(address, FoundBackend(address, SOURCE, told=told))
        if told and not known.told:
            self._backends[address] = known._replace(told=told)

    def _coordinators(self, path: Path, value: object) -> tuple[FoundCoordinator, ...]:
        text = wire.text(value).strip()
        if not text:
            return ()
        try:
            return (FoundCoordinator(parse_coordinator_url(text), SOURCE),)
        except ValueError as error:
            self._note(path, f"coordinator_url: {error}")
            return ()

    def _json_object(self, path: Path) -> dict[str, object]:
        text = self._text(path)
        if not text.strip():
            return {}
        found = wire.parse_json(text.encode("utf-8", "replace"))
        if not isinstance(found, dict):
            self._note(path, "not a JSON object")
        return wire.fields(found)

    def _text(self, path: Path) -> str:
        """The file's text; empty when it is missing, or not to be read, which is noted."""
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
                self._note(path, "not a file")
                return ""
            if status.st_size > MAX_FILE_BYTES:
                self._note(path, f"{status.st_size} bytes are too many to read")
                return ""
            text = path.read_bytes().decode("utf-8-sig", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            self._note(path, f"cannot be read: {error.strerror}")
            return ""
        self._read.append(str(path))
        return text

    def _note(self, path: Path, problem: str) -> None:
        self._notes.append(wire.one_line(plain_line(f"{path}: {problem}")))


def _required(text: str) -> str:
    if not text.strip():
        raise ValueError("no address")
    return text


def _redis_url(found: dict[str, object]) -> str | None:
    """The Redis that is configured, the password in it; None when the file names none."""
    host = wire.text(found.get("redis_host")).strip()
    port = wire.positive(found.get("redis_port"))
    if not host and not port:
        return None
    password = wire.text(found.get("redis_password"))
    login = f":{quote(password, safe='')}@" if password else ""
    place = f"[{host}]" if ":" in host else host or "localhost"
    db = wire.positive(found.get("redis_db"))
    return f"redis://{login}{place}:{port or 6379}" + (f"/{db}" if db else "")


def _mode(found: dict[str, object]) -> Mode | None:
    """Its two switches as one of ours; None when neither is there."""
    task = found.get("task_distribution_enabled")
    sharding = found.get("model_sharding_enabled", found.get("distributed_inference_enabled"))
    if not isinstance(task, bool) and not isinstance(sharding, bool):
        return None
    modes = {
        (True, True): Mode.BOTH,
        (True, False): Mode.TASK,
        (False, True): Mode.MODEL,
        (False, False): Mode.OFF,
    }
    return modes[task is not False, sharding is True]  # the defaults of SynapticLlamas


def _folder(which: Callable[[], Path]) -> Path | None:
    try:
        return which()
    except (RuntimeError, OSError):  # no home is known; the working directory was removed
        return None
