"""A llama-server's command line."""

from __future__ import annotations

import pytest

from sollol_tui.core.server_argv import (
    ServerArgs,
    looks_like_llama,
    parse_server_argv,
    without_secrets,
)


def read(line: str, **env: str) -> ServerArgs:
    return parse_server_argv(["/opt/bin/llama-server", *line.split()], env)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ServerArgs()),
        ("-m a.gguf --port 18080", ServerArgs(port=18080, model_path="a.gguf")),
        ("--model /m/a.gguf -a small", ServerArgs(model_path="/m/a.gguf", alias="small")),
        ("--alias=x --port=0", ServerArgs(alias="x", port=0)),
        ("--port 1 --port 2", ServerArgs(port=2)),
        ("--port many", ServerArgs()),
        ("--port 70000", ServerArgs()),
        ("--host 0.0.0.0,127.0.0.1", ServerArgs(host="0.0.0.0")),
        ("--host /run/llama.sock", ServerArgs(host="/run/llama.sock")),
        ("--rpc 10.0.0.1:50052", ServerArgs(backends=("10.0.0.1:50052",))),  # type: ignore[arg-type]
        ("--rpc", ServerArgs()),
        ("-m", ServerArgs()),
    ],
)
def test_the_flags_mean_what_llama_cpp_reads(line: str, expected: ServerArgs) -> None:
    assert read(line) == expected


def test_every_rpc_flag_adds_backends_and_what_is_no_address_is_left_out() -> None:
    args = read("--rpc Gpu1:50052,10.0.0.2:50053,http://x --rpc ,gpu1:50052,localhost:1")
    assert args.backends == ("gpu1:50052", "10.0.0.2:50053", "127.0.0.1:1")


def test_the_variables_are_read_and_the_command_line_wins_but_for_backends() -> None:
    args = read(
        "--port 2 --rpc b:2",
        LLAMA_ARG_PORT="1",
        LLAMA_ARG_MODEL="/m.gguf",
        LLAMA_ARG_RPC="a:1",
        LLAMA_API_KEY="secret",
    )
    assert (args.port, args.model_path, args.backends) == (2, "/m.gguf", ("a:1", "b:2"))


def test_keys_and_tokens_are_hidden() -> None:
    shown = without_secrets(
        ["llama-server", "--api-key", "a", "--api_key=b", "-hft", "c", "--port", "1", "--hf-token"]
    )
    assert shown == (
        *("llama-server", "--api-key", "•••", "--api_key=•••", "-hft", "•••"),
        *("--port", "1", "--hf-token"),
    )


def test_a_secret_that_is_like_a_flag_is_hidden_and_nothing_after_it() -> None:
    assert without_secrets(["x", "--api-key", "--api-key", "--port"]) == (
        *("x", "--api-key", "•••", "--port"),
    )


@pytest.mark.parametrize(
    ("argv", "like"),
    [
        (["/opt/llama.cpp/server"], False),
        (["/opt/bin/llama-swap-server"], True),
        (["C:\\tools\\Llama.exe"], True),
        (["server", "--rpc", "a:1"], True),
        (["server", "--rpc=a:1"], True),
        (["server", "-m", "/models/x.gguf"], True),
        (["nginx", "-g", "daemon off;"], False),
        ([], False),
    ],
)
def test_a_server_under_another_name_is_told_by_its_arguments(argv: list[str], like: bool) -> None:
    assert looks_like_llama(argv) is like
