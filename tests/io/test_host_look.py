"""Whether a host answers at all."""

from __future__ import annotations

import socket

import pytest

from sollol_tui.core.ids import port_of
from sollol_tui.io import host_look
from sollol_tui.io.host_look import host_answers
from tests import fakes

PATIENCE_S = 5.0


async def test_a_refused_connection_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fakes.dead_url() as dead:
        monkeypatch.setattr(host_look, "CLOSED_PORT", port_of(dead))
        assert await host_answers("127.0.0.1", PATIENCE_S) is True


async def test_so_is_an_accepted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fakes.silent() as open_port:
        monkeypatch.setattr(host_look, "CLOSED_PORT", port_of(open_port))
        assert await host_answers("127.0.0.1", PATIENCE_S) is True


async def test_silence_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fakes.black_hole() as hole:
        monkeypatch.setattr(host_look, "CLOSED_PORT", port_of(hole))
        assert await host_answers("127.0.0.1", 0.1) is False


async def test_a_name_that_nobody_knows_was_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await host_answers("no-such-host.invalid", PATIENCE_S) is None
