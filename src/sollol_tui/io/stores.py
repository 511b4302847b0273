"""Where Ollama keeps its models on this machine, and what to do where one may not look."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sollol_tui.io.disk import Disk

VARIABLE = "OLLAMA_MODELS"
UNITS = Path("/etc/systemd/system")
_SERVICE_HOMES = ("/usr/share/ollama/.ollama/models", "/var/lib/ollama/.ollama/models")
_PACKAGED = ("/var/lib/ollama/models", "/var/snap/ollama/common/models")
_IN_UNIT = re.compile(
    rf"""^\s*Environment\s*=.*?(?:"{VARIABLE}=([^"]+)"|'{VARIABLE}=([^']+)'|\b{VARIABLE}=(\S+))""",
    re.MULTILINE,
)
_MAX_UNIT_BYTES = 1 << 16


def stores(
    env: Mapping[str, str],
    named: str = "",
    *,
    home: Path | None = None,
    platform: str = sys.platform,
    units: Path = UNITS,
    disk: Disk | None = None,
) -> tuple[Path, ...]:
    """The places of Ollama's store, the likeliest first, each once; they need not exist.

    What the settings name, `OLLAMA_MODELS`, the user's own, what the service's unit names, and the
    homes that installers and packages give the service (facts of Ollama's install script).
    """
    own = (home or Path.home()) / ".ollama" / "models"
    found = [Path(text).expanduser() for text in (named, env.get(VARIABLE, "")) if text]
    found.append(own)
    if platform != "win32":
        found += _of_units(units, disk or Disk())
        found += [Path(text) for text in (*_SERVICE_HOMES, *_PACKAGED)]
    return tuple(dict.fromkeys(found))


def _of_units(units: Path, disk: Disk) -> list[Path]:
    """The `OLLAMA_MODELS` that a systemd unit or a drop-in of it sets."""
    files = [units / "ollama.service"]
    with suppress(OSError):
        drop_ins = units / "ollama.service.d"
        files += [drop_ins / name for name in disk.names(drop_ins) if name.endswith(".conf")]
    found = []
    for file in files:
        with suppress(OSError):
            text = disk.read(file, _MAX_UNIT_BYTES).decode("utf-8", "replace")
            found += [Path("".join(groups)) for groups in _IN_UNIT.findall(text)]
    return found


def advice_to_read(path: Path, disk: Disk) -> str:
    """What lets this user read a path that is closed to him.

    Never a wider mode: `.ollama` holds Ollama's private key.
    """
    elsewhere = f"or let Ollama keep its models elsewhere ({VARIABLE})."
    if disk.windows:
        return f"Run this as the user that Ollama runs as, {elsewhere}"
    closed = _closed_directory(path, disk)
    if group := disk.reading_group(closed):
        join = f"sudo usermod -aG {group} $USER"
        return f"Join the group that may read it ({join}, then log in again), {elsewhere}"
    way = [str(p) for p in (*reversed(path.parents), path) if p.is_relative_to(closed)][:-1]
    enter = f"sudo setfacl -m u:$USER:x {' '.join(way)} && " if way else ""
    return f"Let your user in: {enter}sudo setfacl -R -m u:$USER:rX {path}; {elsewhere}"


def _closed_directory(path: Path, disk: Disk) -> Path:
    """The outermost directory on the way that keeps this user out, or the path itself."""
    return next((p for p in reversed(path.parents) if not disk.may_enter(p)), path)
