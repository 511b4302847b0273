"""Secrets in the configuration file: given there, or kept elsewhere and named there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from sollol_tui.core.plain import without_password
from sollol_tui.core.settings_merge import SettingsError

Table: TypeAlias = dict[str, object]

_WANTED = 'wants a text, { env = "NAME" } or { file = "path" }'


class SecretReader:
    """Puts secrets in the place of the references to them, for one configuration file.

    Places for secrets are `redis_url`, `coordinator_api_key`, and `api_key` and the values of
    `headers` of a target.
    A reference is `{ env = "NAME" }`, or `{ file = "path" }` relative to the configuration file.
    """

    def __init__(self, config_file: Path, env: Mapping[str, str]) -> None:
        self._file = config_file
        self._env = env
        self._holds_secret = False

    def resolve(self, raw: Table) -> Table:
        """The table with every reference replaced. Raises `SettingsError`."""
        resolved = dict(raw)
        if "redis_url" in raw:
            resolved["redis_url"] = self._redis_url(raw["redis_url"])
        if (key := raw.get("coordinator_api_key")) not in (None, "", "random"):
            resolved["coordinator_api_key"] = self._secret(key, "coordinator_api_key")
        for key in ("nodes", "coordinators"):
            entries = raw.get(key)
            if isinstance(entries, list):
                resolved[key] = [
                    self._target(entry, f"{key}[{index}]") for index, entry in enumerate(entries)
                ]
        return resolved

    def notes(self) -> list[str]:
        """A warning when the file holds a secret and others may read it."""
        try:
            open_to_others = os.name == "posix" and self._file.stat().st_mode & 0o077
        except OSError:
            return []
        if not (self._holds_secret and open_to_others):
            return []
        return [f'{self._file} holds a secret that others may read: "chmod 600" it']

    def _redis_url(self, value: object) -> object:
        if isinstance(value, str):
            self._holds_secret |= without_password(value) != value
        return self._secret(value, "redis_url") if isinstance(value, dict) else value

    def _target(self, entry: object, place: str) -> object:
        if not isinstance(entry, dict):
            return entry
        resolved = dict(entry)
        if "api_key" in entry:
            resolved["api_key"] = self._secret(entry["api_key"], f"{place}.api_key")
        headers = entry.get("headers")
        if isinstance(headers, dict):
            resolved["headers"] = {
                name: self._secret(value, f"{place}.headers.{name}")
                for name, value in headers.items()
            }
        return resolved

    def _secret(self, value: object, key: str) -> object:
        if not isinstance(value, dict):
            self._holds_secret = True
            return value
        if len(value) == 1:
            (kind, name), *_ = value.items()
            if kind == "env" and isinstance(name, str):
                return self._from_variable(name, key)
            if kind == "file" and isinstance(name, str):
                return self._from_file(name, key)
        raise SettingsError(str(self._file), key, _WANTED)

    def _from_variable(self, name: str, key: str) -> str:
        if not self._env.get(name):
            raise SettingsError(str(self._file), key, f"the variable {name} is not set")
        return self._env[name].strip()

    def _from_file(self, name: str, key: str) -> str:
        path = self._file.parent / Path(name).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            problem = f"{path} cannot be read: {error.strerror}"
            raise SettingsError(str(self._file), key, problem) from None
        except UnicodeDecodeError:
            raise SettingsError(str(self._file), key, f"{path} is not UTF-8") from None
