"""Fixtures of the engine tests: the lab, or a skip that says how to get it."""

from __future__ import annotations

import pytest

from .lab import HOW_TO_GET_IT, Lab, find_lab


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
