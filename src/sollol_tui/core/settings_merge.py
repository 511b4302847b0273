"""Many sources, one set of settings: which statement holds, and where each value came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

from sollol_tui.core.ids import parse_coordinator_url, parse_node_url
from sollol_tui.core.plain import HIDDEN, plain_line
from sollol_tui.core.settings import (
    BackendSetting,
    CoordinatorSetting,
    NodeSetting,
    Settings,
)
from sollol_tui.core.settings_read import (
    READERS,
    TARGET_KEYS,
    BadValueError,
    nearest,
    read_value,
    shown_value,
)

PREFIX = "SOLLOL_TUI_"
DEFAULT = "default"
_OURS_BUT_NO_SETTING = ("SOLLOL_TUI_CONFIG",)

TargetSetting: TypeAlias = NodeSetting | CoordinatorSetting | BackendSetting


class SettingsError(Exception):
    """Settings cannot be used: which source (file, variable or flag), which key, what is wanted.

    `key` is empty when the whole source is unusable.
    """

    def __init__(self, source: str, key: str, problem: str) -> None:
        super().__init__(source, key, problem)
        self.source = source
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        key = f" {self.key}:" if self.key else ""
        return plain_line(f"{self.source}:{key} {self.problem}")


class Statement(NamedTuple):
    """One source says what one key is."""

    key: str
    value: object
    said_by: str  # the file, variable or flag, as people know it


class Origin(NamedTuple):
    """One value as people may see it, and where it came from."""

    key: str  # a field of `Settings`, or `nodes[0]`
    shown_value: str
    source: str


class Resolved(NamedTuple):
    """The settings that hold. `notes` are sentences about what was not used, and why."""

    settings: Settings
    origins: tuple[Origin, ...]
    notes: tuple[str, ...] = ()

    def is_default(self, key: str) -> bool:
        """Whether nobody said anything about the key."""
        return all(o.source == DEFAULT for o in self.origins if o.key == key)


def state(key: str, raw: object, said_by: str, source: str) -> Statement:
    """The statement of one raw value. `source` is the short word that a target carries.

    Raises `SettingsError`.
    """
    if key not in READERS:
        raise SettingsError(said_by, plain_line(key), f"unknown key{nearest(key, READERS)}")
    try:
        value = read_value(key, raw)
    except BadValueError as bad:
        raise SettingsError(said_by, f"{key}{bad.place}", bad.problem) from None
    if key in TARGET_KEYS:
        targets = cast("tuple[TargetSetting, ...]", value)
        value = tuple(target._replace(source=source) for target in targets)
    return Statement(key, value, said_by)


def from_variables(env: Mapping[str, str]) -> list[Statement]:
    """What the `SOLLOL_TUI_*` variables say; an empty one counts as not set.

    Raises `SettingsError`, also for one that is no setting: a misspelt `READ_ONLY` must not pass.
    """
    found = []
    for name, value in env.items():
        if name.startswith(PREFIX) and name not in _OURS_BUT_NO_SETTING and value:
            key = name.removeprefix(PREFIX).lower()
            if key not in READERS:
                names = [f"{PREFIX}{known.upper()}" for known in READERS]
                raise SettingsError(name, "", f"no such setting{nearest(name, names)}")
            found.append(state(key, value, name, "env"))
    return found


def merge(statements: Iterable[Statement], notes: Iterable[str] = ()) -> Resolved:
    """The settings after all statements, later ones stronger.

    A value replaces the one before it. Targets add up: every source may name some, and when two
    name the same one, the later completes the earlier and gives it its source.
    """
    values: dict[str, object] = {}
    said_by: dict[str, str] = {}
    targets: dict[str, _Targets] = {key: _Targets() for key in TARGET_KEYS}
    for statement in statements:
        if statement.key in targets:
            targets[statement.key].add(statement)
        else:
            values[statement.key] = statement.value
            said_by[statement.key] = statement.said_by
    if values.get("look_at_localhost", True):
        _look_at_localhost(targets)
    found = {key: tuple(group.settings.values()) for key, group in targets.items()}
    settings = Settings(**cast("dict[str, Any]", values | found))
    return Resolved(settings, tuple(_origins(settings, said_by, targets)), tuple(notes))


class _Targets:
    """The targets of one key, by URL or address, and who named each."""

    def __init__(self) -> None:
        self.settings: dict[str, TargetSetting] = {}
        self.said_by: dict[str, list[str]] = {}

    def add(self, statement: Statement) -> None:
        for target in cast("tuple[TargetSetting, ...]", statement.value):
            name = target[0]
            old = self.settings.get(name)
            self.settings[name] = target if old is None else _completed(target, old)
            speakers = self.said_by.setdefault(name, [])
            if statement.said_by not in speakers:
                speakers.append(statement.said_by)


def _completed(new: TargetSetting, old: TargetSetting) -> TargetSetting:
    """The new statement with what only the old one tells: a bare URL keeps name and headers."""
    missing = {
        field: getattr(old, field)
        for field, default in new._field_defaults.items()
        if field != "source" and getattr(new, field) == default
    }
    return new._replace(**missing)


def _look_at_localhost(targets: Mapping[str, _Targets]) -> None:
    """Ollama's usual place on this machine, and the coordinator's unless another is known."""
    node = NodeSetting(parse_node_url(""), source="localhost")
    coordinator = CoordinatorSetting(parse_coordinator_url(""), source="localhost")
    if node.url not in targets["nodes"].settings:
        targets["nodes"].add(Statement("nodes", (node,), DEFAULT))
    if not targets["coordinators"].settings:
        targets["coordinators"].add(Statement("coordinators", (coordinator,), DEFAULT))


def _origins(
    settings: Settings, said_by: Mapping[str, str], targets: Mapping[str, _Targets]
) -> Iterable[Origin]:
    for key in Settings._fields:
        if key not in targets:
            yield Origin(key, shown_value(settings, key), said_by.get(key, DEFAULT))
            continue
        group = targets[key]
        if not group.settings:
            yield Origin(key, "–", DEFAULT)
        for index, (name, target) in enumerate(group.settings.items()):
            yield Origin(f"{key}[{index}]", _shown_target(target), ", ".join(group.said_by[name]))


def _shown_run(target: CoordinatorSetting) -> Iterable[str]:
    """How one of ours is to be run."""
    if target.start:
        yield "start"
    if target.model:
        yield f"model={plain_line(target.model)}"
    if target.backends is not None:
        yield f"backends={','.join(target.backends) or 'none'}"
    if target.context_tokens is not None:
        yield f"context_tokens={target.context_tokens}"


def _shown_target(target: TargetSetting) -> str:
    """A target in one line: its place, then what is not as usual; header values are hidden."""
    parts = [plain_line(target[0])]
    if not isinstance(target, BackendSetting):
        parts += [f"name={plain_line(target.name)}"] if target.name else []
        parts += [f"{plain_line(name)}={HIDDEN}" for name, _ in target.headers]
        parts += [f"ca_file={plain_line(target.ca_file)}"] if target.ca_file else []
    if isinstance(target, NodeSetting) and target.weight != 1.0:
        parts.append(f"weight={target.weight:g}")
    if isinstance(target, CoordinatorSetting):
        parts += _shown_run(target)
    return "  ".join(parts)
