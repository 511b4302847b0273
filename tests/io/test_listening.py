"""Ports of this host, with real sockets."""

from __future__ import annotations

import os
import socket

import pytest

from sollol_tui.core.worker_ends import PortLook
from sollol_tui.io.listening import (
    address_towards,
    clients_of,
    free_port,
    is_listening,
    look_at_port,
    own_addresses,
    who_listens,
)

HOST = "127.0.0.1"


def listener() -> socket.socket:
    sock = socket.create_server((HOST, 0))
    sock.listen()
    return sock


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def test_a_port_on_which_somebody_listens_is_taken_and_names_him() -> None:
    with listener() as sock:
        look = look_at_port(HOST, port_of(sock))
        assert look.state == "taken"
        assert f"(pid {os.getpid()})" in look.holder
        assert look_at_port("0.0.0.0", port_of(sock)).state == "taken"
        port = port_of(sock)
    assert look_at_port(HOST, port) == PortLook("free")


def test_a_port_of_connections_that_just_ended_can_be_had() -> None:
    with listener() as sock:
        port = port_of(sock)
        with socket.create_connection((HOST, port)):
            served, _ = sock.accept()
            served.close()
    assert look_at_port(HOST, port) == PortLook("free")


def test_an_address_of_no_interface_is_not_here() -> None:
    look = look_at_port("203.0.113.9", 50052)
    assert look == PortLook("not_here", own_addresses=own_addresses())


def test_a_port_that_may_not_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert look_at_port(HOST, 80) == PortLook("denied")


def test_the_wanted_port_is_taken_when_it_is_free() -> None:
    with listener() as sock:
        assert free_port(HOST, port_of(sock)) != port_of(sock)
    wanted = free_port(HOST)
    assert free_port(HOST, wanted) == wanted


def test_who_listens_on_a_free_port_is_nobody() -> None:
    assert who_listens(free_port(HOST)) == ""


def test_a_process_listens_and_serves_its_clients() -> None:
    with listener() as sock:
        port = port_of(sock)
        assert is_listening(os.getpid(), port)
        assert clients_of(os.getpid(), port) == ()
        with socket.create_connection((HOST, port)) as client:
            served, _ = sock.accept()
            with served:
                assert clients_of(os.getpid(), port) == (HOST,)
                assert clients_of(os.getpid(), port_of(client)) == (HOST,)
    assert not is_listening(os.getpid(), port)


def test_a_process_that_has_ended_listens_nowhere() -> None:
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(child, 0)
    assert not is_listening(child, 1)
    assert clients_of(child, 1) == ()


def test_the_way_to_loopback_starts_on_loopback() -> None:
    assert address_towards(HOST) == HOST
    assert address_towards("a..b") == ""
    assert address_towards() in {"", *own_addresses()}
