"""Textual calls handlers by the names of messages: where one was renamed, nobody is called."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

from textual.message import Message
from textual.message_pump import MessagePump

import sollol_tui.ui


def classes() -> Iterator[type[object]]:
    """Every class of the screen's modules, and those it stands on."""
    for module in pkgutil.walk_packages(sollol_tui.ui.__path__, "sollol_tui.ui."):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            yield found


def messages(kind: type[Message] = Message) -> Iterator[type[Message]]:
    """Every message that is known by now."""
    for heir in kind.__subclasses__():
        yield heir
        yield from messages(heir)


def test_every_handler_is_that_of_a_message() -> None:
    handlers = {
        (found.__qualname__, name)
        for found in classes()
        if issubclass(found, MessagePump) and found.__module__.startswith("sollol_tui")
        for name in vars(found)
        if name.startswith("on_")
    }
    known = {message.handler_name for message in messages()}
    assert len(handlers) > 20
    assert sorted((owner, name) for owner, name in handlers if name not in known) == []
