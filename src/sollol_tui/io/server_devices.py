"""The GPUs that a llama-server finds on this machine."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from pathlib import Path

from sollol_tui.core.server_flags import LocalDevice, parse_devices

WITHIN_S = 20.0  # a first start may have to compile GPU kernels


def local_devices(binary: Path) -> tuple[LocalDevice, ...]:
    """What `--list-devices` prints, asked once for each build; nothing when it does not answer."""
    try:
        changed_ns = binary.stat().st_mtime_ns
    except OSError:
        return ()
    return _listed(binary, changed_ns)


@lru_cache(maxsize=8)
def _listed(binary: Path, changed_ns: int) -> tuple[LocalDevice, ...]:
    env = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    env.pop("LLAMA_ARG_RPC", None)  # it would connect to backends
    try:
        asked = subprocess.run(
            (str(binary), "--list-devices"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=env,
            timeout=WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_devices(asked.stdout.decode("utf-8", "replace"))
