"""What was found running is started again as it was, whatever the settings say now."""

from __future__ import annotations

import pytest

from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url
from sollol_tui.core.kept_order import for_those_left, order_of_run, over_all
from sollol_tui.core.orders import Order

URL = parse_coordinator_url("127.0.0.1:18081")
ONE, TWO = parse_backend_address("10.0.0.3"), parse_backend_address("10.0.0.4")
LINE = (
    "/opt/llama-server --rpc 10.0.0.3:50052,10.0.0.4:50052 -m /m/sha256-abc --lora /m/sha256-def "
    "--alias big:70b --host 127.0.0.1 --port 18081 -c 8192 -np 2 -ngl 40 -ts 3,1 -b 512 "
    "-ctk q8_0 -ctv q8_0 --log-jsonl -lv 4"
)
ARGV = LINE.split()


def test_a_command_line_tells_all_that_a_restart_must_keep() -> None:
    order = order_of_run(Order("big"), URL, ARGV, "big:70b", (ONE, TWO))
    assert order == Order(
        "/m/sha256-abc",
        (ONE, TWO),
        (3.0, 1.0),
        40,
        4096,
        "127.0.0.1",
        18081,
        False,
        "big:70b",
        True,
        2,
        ("--lora", "/m/sha256-def", "-ctk", "q8_0", "-ctv", "q8_0"),
        or_all=True,
        projector="",
    )
    chosen = order_of_run(Order("big", (ONE, TWO)), URL, ARGV, "big:70b", (ONE, TWO))
    assert not chosen.or_all, "somebody chose these"
    assert over_all(order) == order._replace(
        backends=None, tensor_split=(), gpu_layers=None, or_all=False
    )


def test_what_it_sees_with_is_kept_and_nothing_else_taken() -> None:
    argv = [*ARGV, "--mmproj", "/m/sha256-eye", "--no-mmproj-offload"]
    assert order_of_run(None, URL, argv, "big", ()).projector == "/m/sha256-eye"
    assert order_of_run(Order(projector="/x"), URL, ARGV, "big", ()).projector == ""
    assert order_of_run(Order(projector="/x"), URL, (), "big", ()).projector == "/x"


def test_what_it_does_not_tell_is_as_it_was_asked_for() -> None:
    asked = Order("big", None, (1.0, 1.0), 12, 2048, slots=3)
    order = order_of_run(asked, URL, (), "big:70b", (ONE,))
    assert (order.model, order.alias, order.backends) == ("big", "", (ONE,))
    assert (order.tensor_split, order.gpu_layers, order.context_tokens) == ((1.0, 1.0), 12, 2048)
    assert (order.slots, order.extra, order.insists) == (3, (), True)
    assert order_of_run(None, URL, (), "big:70b", ()).model == "big:70b"


@pytest.mark.parametrize("wrong", ["-c x -np 2", "-ts a,b", "-ngl auto", "-c"])
def test_a_value_that_is_none_changes_nothing(wrong: str) -> None:
    order = order_of_run(Order(), URL, ("llama-server", *wrong.split()), "m", ())
    assert (order.context_tokens, order.tensor_split, order.gpu_layers) == (None, (), None)


@pytest.mark.parametrize(
    ("order", "answering", "is_kept"),
    [
        (Order(backends=(ONE, TWO), strict=False), 2, True),
        (Order(backends=(ONE, TWO), strict=False), 1, False),
        (Order(backends=(ONE, TWO)), 1, True),
        (Order(strict=False), 0, True),
    ],
)
def test_a_split_was_for_all_of_its_backends(order: Order, answering: int, is_kept: bool) -> None:
    split = order._replace(tensor_split=(3.0, 1.0), gpu_layers=9)
    left = for_those_left(split, answering)
    assert (left == split) is is_kept
    assert is_kept or (left.tensor_split, left.gpu_layers) == ((), None)
