"""The systemd unit that `sollol-tui worker --systemd` prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_TEMPLATE = """\
# As root: write this to /etc/systemd/system/sollol-tui-worker.service, then
#   systemctl daemon-reload && systemctl enable --now sollol-tui-worker

[Unit]
Description=RPC backend for llama.cpp, kept up by sollol-tui
Wants=network-online.target
After=network-online.target

[Service]
User={user}
ExecStart={command_line}
{environment}Restart=on-failure
RestartSec=10
# wrong usage does not get better by itself
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec=20

# Its log lies in /var/lib/sollol-tui, the backend's file cache in /var/cache/sollol-tui.
StateDirectory=sollol-tui
StateDirectoryMode=0700
CacheDirectory=sollol-tui
Environment=XDG_STATE_HOME=/var/lib
Environment=LLAMA_CACHE=/var/cache/sollol-tui

# Whoever takes the backend over shall not get far. PrivateDevices and MemoryDenyWriteExecute
# are left out: GPU drivers need their devices, and compile code while they run.
# An NVIDIA GPU wants nvidia-persistenced or nvidia-modprobe to have run at boot.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077
# Private networks only, when the name server and Redis are there too:
#IPAddressDeny=any
#IPAddressAllow=localhost 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10

[Install]
WantedBy=multi-user.target"""

_SECRETS = """\
# The registry's URL holds a password: write SOLLOL_TUI_REDIS_URL=... into this file, mode 0600.
EnvironmentFile=/etc/sollol-tui/worker.env"""

_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./%-]+")


class Unit(NamedTuple):
    """What the unit runs. `is_secret`: the registry's URL must not stand in it."""

    words: tuple[str, ...]
    user: str
    variables: Mapping[str, str] = {}
    is_secret: bool = False


def unit_text(unit: Unit) -> str:
    """The unit file."""
    environment = [f"Environment={_word(f'{n}={value}')}" for n, value in unit.variables.items()]
    if unit.is_secret:
        environment.append(_SECRETS)
    return _TEMPLATE.format(
        user=_word(unit.user),
        command_line=" ".join(_word(word.replace("$", "$$")) for word in unit.words),
        environment="".join(f"{line}\n" for line in environment),
    )


def _word(text: str) -> str:
    """A word as systemd reads it: `%` begins a specifier, quotes and backslashes are its own.

    In a command line `$` begins a variable too; its caller doubles that.
    """
    text = text.replace("%", "%%")
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
