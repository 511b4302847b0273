"""What a person can set: every value, its default and its meaning."""

from __future__ import annotations

from typing import NamedTuple

from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.state import Mode

Headers = tuple[tuple[str, str], ...]


class NodeSetting(NamedTuple):
    """An Ollama node by hand: `[[nodes]]` in the file."""

    url: NodeUrl
    name: str = ""
    headers: Headers = ()  # sent with every request: Authorization, Host, …
    weight: float = 1.0  # larger takes more requests
    ca_file: str = ""  # trusted certificates for https, when not the system's
    source: str = "config"


class CoordinatorSetting(NamedTuple):
    """A llama-server by hand: `[[coordinators]]` in the file.

    One on this host that says how it is to be run is ours; others are watched and used.
    """

    url: CoordinatorUrl
    name: str = ""
    headers: Headers = ()
    ca_file: str = ""
    source: str = "config"
    start: bool = False  # with the screen
    model: str = ""  # a name or a path; empty: the one that is asked for
    backends: tuple[BackendAddress, ...] | None = None  # None: all that are free
    context_tokens: int | None = None  # None: as the others

    @property
    def says_how(self) -> bool:
        """Whether it says how it is to be run."""
        said = self.backends is not None or self.context_tokens is not None
        return self.start or bool(self.model) or said


class BackendSetting(NamedTuple):
    """An RPC backend by hand: an entry of `backends` in the file."""

    address: BackendAddress
    source: str = "config"


class Settings(NamedTuple):
    """All settings, resolved: defaults < SOLLOL's files < our file < old variables <
    `SOLLOL_TUI_*` < command line."""

    nodes: tuple[NodeSetting, ...] = ()
    coordinators: tuple[CoordinatorSetting, ...] = ()
    backends: tuple[BackendSetting, ...] = ()
    redis_url: str = "redis://127.0.0.1:6379"  # empty: no registry
    mode: Mode | None = None  # None: the mode of the last run, or the first time what is there
    look_at_localhost: bool = True
    read_sollol_files: bool = True
    poll_interval_s: float = 5.0
    timeout_s: float = 2.0
    failures_to_down: int = 3
    successes_to_up: int = 2
    backoff_max_s: float = 60.0
    threshold_parameters: float = 13e9  # mode both: from here on the coordinator answers
    first_token_limit_s: float = 300.0  # no first token for so long: stalled
    token_gap_limit_s: float = 60.0  # no next token for so long: stalled
    model: str = ""  # the chat's model; empty: the last one, or the first there is
    model_path: str = ""  # a GGUF for the coordinator
    context_tokens: int = 8192  # the coordinator's context
    ollama_models: str = ""  # Ollama's store; empty: where Ollama keeps it
    theme: str = ""
    mouse: bool = True
    ascii: bool = False  # no glyphs beyond ASCII
    read_only: bool = False  # look and chat only: nothing is started, stopped or changed
    llama_server: str = ""  # the program for coordinators; empty: it is looked for
    rpc_server: str = ""  # the program for RPC backends; empty: it is looked for
    coordinator_slots: int = 1  # requests that the coordinator answers at the same time
    coordinator_api_key: str = ""  # asked of its clients; "random": made anew for each start
    restart_hung: bool = False  # a hung coordinator is started anew without asking
    on_quit: str = "ask"  # what becomes of a coordinator of ours: ask, stay, stop
    publish: bool = True  # tell SOLLOL's dashboards of our requests, through the registry
    parallel_answers: str = "offer"  # long questions to several nodes at once: offer, always, never
