"""What each setting means, in one sentence, and an example file made from that."""

from __future__ import annotations

from sollol_tui.core.settings import Settings
from sollol_tui.core.settings_read import TARGET_KEYS, plain_value

MEANINGS: dict[str, str] = {
    "nodes": "Ollama servers: a list of URLs, or [[nodes]] tables with url, name, headers, "
    "api_key, weight, ca_file.",
    "coordinators": "llama-servers: a list of URLs, or [[coordinators]] tables with url, name, "
    "headers, api_key, ca_file; of those that are run here also start, model, backends, "
    "context_tokens.",
    "backends": "RPC backends (ggml-rpc-server): a list of host:port.",
    "redis_url": 'The Redis that SOLLOL clusters register in; "off" for none.',
    "mode": "How requests are spread: task, model, both or off; not set: as in the last run.",
    "look_at_localhost": "Look at 127.0.0.1:11434, and at 127.0.0.1:18080 when no other "
    "coordinator is known.",
    "read_sollol_files": "Read the files of an existing SOLLOL or SynapticLlamas.",
    "poll_interval_s": "Seconds between two looks at a target.",
    "timeout_s": "Seconds that a look may take in all.",
    "failures_to_down": "So many failed looks in a row make a target down.",
    "successes_to_up": "So many good looks in a row bring it back.",
    "backoff_max_s": "A target that is down is looked at again after at most so many seconds.",
    "threshold_parameters": 'Mode both: models from this size on go to the coordinator; "13B" '
    "will do.",
    "first_token_limit_s": "A request without a first token for so many seconds has stalled; "
    "more when the model has to be loaded first.",
    "token_gap_limit_s": "A request without a next token for so many seconds has stalled.",
    "model": "The model that chats begin with; not set: the last one (`chat` wants -m then).",
    "model_path": "A GGUF file for the coordinator; not set: found through Ollama's store.",
    "context_tokens": "The coordinator's context.",
    "ollama_models": "Where Ollama keeps its models; not set: where it usually does.",
    "theme": "The colours; not set: those chosen last, at first sollol-dark.",
    "mouse": "Whether the mouse does anything.",
    "ascii": "Use no characters beyond ASCII to draw.",
    "read_only": "Look and chat only: nothing is started, stopped or changed.",
    "llama_server": "llama.cpp's llama-server, or the folder it lies in; not set: it is looked "
    "for.",
    "rpc_server": "llama.cpp's ggml-rpc-server, or the folder it lies in; not set: it is looked "
    "for.",
    "coordinator_slots": "So many requests the coordinator that is started here answers at once.",
    "coordinator_api_key": "The key that the coordinator that is started here asks of its "
    'clients; "random": a new one for each start; not set: none.',
    "restart_hung": "Start a hung coordinator of ours anew without asking.",
    "on_quit": "What becomes of a coordinator of ours when the screen is left: ask, stay or stop.",
    "publish": "Tell SOLLOL's dashboards of our requests and targets, through the registry.",
    "parallel_answers": "On the screen, a long question that several nodes can answer in parts at "
    "once: offer, always or never.",
}

_EXAMPLES = {
    "mode": '"task"',
    "model": '"llama3.2:3b"',
    "model_path": '"~/models/llama-2-13b.Q4_K_M.gguf"',
    "ollama_models": '"/usr/share/ollama/.ollama/models"',
    "theme": '"sollol-light"',
    "llama_server": '"~/llama.cpp/build/bin/llama-server"',
    "rpc_server": '"~/llama.cpp/build/bin/ggml-rpc-server"',
    "backends": '["10.0.0.3", "10.0.0.4:50053"]',
}

_HEAD = """\
# Settings of sollol-tui. To change one, take away the # before it.
# Stronger than this file: the old variables (OLLAMA_HOST, SOLLOL_…), SOLLOL_TUI_<KEY>, flags.
# "sollol-tui config show" tells what holds and where it came from.
"""

_TABLES = """\
# Targets of all sources add up. A key or header value is better kept elsewhere:
# { env = "NAME" }, or { file = "path" } relative to this file. redis_url can do that too.

#[[nodes]]
#url = "http://10.0.0.2:11434"
#name = "gpu box"
#weight = 2.0

#[[nodes]]
#url = "https://ollama.example.org/ollama"
#headers = { X-Team = "blue" }
#api_key = { env = "OLLAMA_EXAMPLE_KEY" }
#ca_file = "example-ca.pem"

#[[coordinators]]
#url = "http://10.0.0.9:18080"
#name = "big one"
#api_key = { file = "llama-server.key" }

#[[coordinators]]
#url = "http://127.0.0.1:18081"
#model = "llama3.3:70b"
#backends = ["10.0.0.3", "10.0.0.4:50053"]
#context_tokens = 16384
#start = true
"""


def example_toml() -> str:
    """A configuration file with every key, all of them commented out and at their defaults."""
    keys = [key for key in Settings._fields if key not in TARGET_KEYS or key in _EXAMPLES]
    entries = [f"# {MEANINGS[key]}\n#{key} = {_value(key)}\n" for key in keys]
    return "\n".join([_HEAD, *entries, _TABLES])


def settings_table() -> str:
    """The table of all settings in the README, as Markdown."""
    rows = [f"| `{key}` | {_default(key)} | {MEANINGS[key]} |" for key in Settings._fields]
    return "\n".join(["| key | default | meaning |", "| --- | --- | --- |", *rows])


def _default(key: str) -> str:
    default = Settings._field_defaults[key]
    return "–" if default in (None, "", ()) else f"`{plain_value(default)}`"


def _value(key: str) -> str:
    """The default as TOML, or an example where the default is nothing."""
    if key in _EXAMPLES:
        return _EXAMPLES[key]
    text = plain_value(Settings._field_defaults[key])
    return f'"{text}"' if isinstance(Settings._field_defaults[key], str) else text
