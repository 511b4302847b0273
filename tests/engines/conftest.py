"""Fixtures of the engine tests: the lab, or a skip that says how to get it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from .lab import HOW_TO_GET_IT, Lab, find_lab
from .servers import RpcBackend


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The real servers and models of this machine."""
    found = find_lab()
    if found is None:
        pytest.skip(HOW_TO_GET_IT)
    return found


@pytest.fixture(scope="session")
def ollama_lab(lab: Lab) -> Lab:
    """The lab of a machine that could build Ollama."""
    if lab.ollama is None:
        pytest.skip("the lab has no Ollama: run `python3 tests/engines/lab.py` with go at hand")
    return lab


@pytest.fixture(scope="session", autouse=True)
def _no_backend_is_killed_by_us() -> Iterator[None]:
    """Over all tests of this run: who dies of a broken pipe died because of us."""
    yield
    killed = RpcBackend.deaths.count(-signal.SIGPIPE)
    assert not killed, f"{killed} of {len(RpcBackend.deaths)} lost backends died of SIGPIPE"
