"""Questions that wait: each can be reached from the prompt, changed, moved and dropped."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from sollol_tui.core.asks import Delta
from sollol_tui.core.images import Image
from sollol_tui.ui.chat.queue import Question, Queue
from sollol_tui.ui.chat.status import queue_lines
from sollol_tui.ui.text import plain
from tests.ui.chat_host import shown, until, until_shown
from tests.ui.test_chat_panel import DONE, ROUTED, Chat

CAT = Image("cat.png", "png", 1200, "aGk=")


def _queue(*texts: str) -> Queue:
    queue = Queue()
    for text in texts:
        queue.add(Question(text))
    return queue


def _texts(queue: Queue) -> list[str]:
    return [question.text for question in queue]


def test_questions_come_in_their_order_unless_held() -> None:
    queue = _queue("a", "b")
    queue.hold()
    assert queue.is_held
    assert queue.next() is None
    queue.release()
    assert queue.next() == Question("a")
    assert queue.next() == Question("b")
    assert queue.next() is None
    queue.hold()
    assert not queue.is_held  # nothing waits


def test_picking_goes_from_the_last_to_the_first_and_out_on_both_sides() -> None:
    queue = _queue("a", "b")
    assert [queue.pick(-1) for _ in range(3)] == ["b", "a", None]
    assert queue.pick(-1) == "b"
    assert queue.pick(1) is None
    assert queue.picked is None


def test_a_picked_question_is_changed_in_its_place_and_an_empty_one_dropped() -> None:
    queue = _queue("a", "b", "c")
    queue.pick_at(1)
    queue.keep_images((CAT,))
    queue.keep("B!")
    assert list(queue)[1] == Question("B!", (CAT,))
    queue.pick_at(1)
    queue.keep("  ")
    assert _texts(queue) == ["a", "c"]
    assert queue.picked is None


def test_a_picked_question_is_moved_but_not_beyond_the_ends() -> None:
    queue = _queue("a", "b", "c")
    queue.pick_at(2)
    for _ in range(5):
        queue.move(-1)
    assert _texts(queue) == ["c", "a", "b"]
    assert queue.current == Question("c")
    queue.move(1)
    assert _texts(queue) == ["a", "c", "b"]


def test_the_first_one_is_not_asked_while_it_is_changed() -> None:
    queue = _queue("a", "b")
    queue.pick_at(0)
    assert queue.next() is None
    queue.pick_at(1)
    assert queue.next() == Question("a")
    assert queue.picked == 0
    assert queue.next() is None
    queue.leave()
    assert queue.next() == Question("b")


def test_lines_stand_around_the_picked_question_and_count_the_others() -> None:
    queue = _queue(*"abcdefg")
    assert [plain(line) for line in queue_lines(queue, 78)] == [
        "next  a",
        "next  b",
        "next  c  +4 more",
    ]
    queue.pick_at(4)
    assert [plain(line) for line in queue_lines(queue, 78)] == [
        "next  d  +3 before",
        "edit  e",
        "next  f  +1 more",
    ]
    assert plain(queue_lines(_queue("x " * 60, "y " * 60, "z " * 60, "last"), 40)[2]).endswith(
        "z z …  +1 more"
    )
    queue.hold()
    assert plain(queue_lines(queue, 78)[0]).startswith("held  d")


@pytest.fixture
def chat() -> Chat:
    return Chat()


async def _waiting(chat: Chat, pilot: Pilot[None], *texts: str) -> None:
    """An answer is being written, and these wait."""
    await chat.ask(pilot, "first")
    for text in texts:
        await chat.ask(pilot, text)
    await until_shown(pilot, *(f"next  {text}" for text in texts[:3]))


async def test_up_walks_through_the_queue_and_enter_keeps_the_change_there(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await _waiting(chat, pilot, "a", "b", "c")
        await pilot.press("up", "up")
        assert chat.panel.prompt.text == "b"
        await until_shown(pilot, "edit  b", "waiting question 2 of 3", "Enter keeps", "drops it")
        await pilot.press("exclamation_mark", "enter")
        await until_shown(pilot, "next  b!")
        assert chat.panel.prompt.text == ""
        assert _texts(chat.panel.queue) == ["a", "b!", "c"]
        assert chat.asked == ["first"]


async def test_beyond_the_queue_come_the_questions_of_before(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await _waiting(chat, pilot, "a")
        await pilot.press("up")
        assert chat.panel.prompt.text == "a"
        await pilot.press("up")
        assert chat.panel.queue.picked is None
        assert chat.panel.prompt.text == "a"  # the last one that was sent
        await pilot.press("up")
        assert chat.panel.prompt.text == "first"


async def test_keys_move_and_drop_and_escape_leaves_it_as_it_was(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await _waiting(chat, pilot, "a", "b", "c")
        await pilot.press("up", "ctrl+up", "ctrl+up")
        assert _texts(chat.panel.queue) == ["c", "a", "b"]
        await pilot.press("x", "escape")
        assert chat.panel.prompt.text == ""
        assert _texts(chat.panel.queue) == ["c", "a", "b"]
        assert chat.panel.is_streaming  # that Esc was for the change
        await pilot.press("up", "backspace", "enter")
        await until_shown(pilot, "next  c", "next  a")
        assert _texts(chat.panel.queue) == ["c", "a"]


async def test_the_queue_waits_for_a_change_and_goes_on_after_it(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await _waiting(chat, pilot, "a")
        await pilot.press("up")
        chat.answers.say(ROUTED, Delta("done"), DONE)
        await until(pilot, lambda: not chat.panel.is_streaming)
        assert chat.asked == ["first"]
        await pilot.press("2", "enter")
        await until(pilot, lambda: chat.asked == ["first", "a2"])


async def test_a_held_queue_says_how_it_goes_on(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await _waiting(chat, pilot, "a", "b")
        await pilot.press("escape")
        await until_shown(
            pilot, "held  a", "2 questions are held", "Enter goes on", "↑ changes", "Esc forgets"
        )
        await pilot.press("up", "up", "A", "enter")
        await until_shown(pilot, "held  aA")
        assert chat.asked == ["first"]
        await pilot.press("enter")
        await until(pilot, lambda: chat.asked == ["first", "aA"])
        assert "held" not in "\n".join(shown(chat.host))
