"""The prompt: Enter sends, a paste never does, what was asked comes back."""

from __future__ import annotations

import pytest
from textual import events
from textual.pilot import Pilot

from sollol_tui.ui.widgets.prompt import Prompt
from sollol_tui.ui.widgets.prompt_parts import REMEMBERED
from tests.ui.chat_host import Host, until


def _host(prompt: Prompt) -> Host:
    return Host(prompt)


def _sent(app: Host) -> list[str]:
    return [message.text for message in app.told if isinstance(message, Prompt.Submitted)]


def _commands(app: Host) -> list[str]:
    return [message.text for message in app.told if isinstance(message, Prompt.CommandEntered)]


async def _type(pilot: Pilot[None], text: str) -> None:
    await pilot.press(*("space" if char == " " else char for char in text))


async def test_enter_sends_and_empties() -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test() as pilot:
        prompt.focus()
        await _type(pilot, "why [q4_0]?")
        await pilot.press("enter")
        await until(pilot, lambda: _sent(app) == ["why [q4_0]?"])
        assert prompt.text == ""


async def test_keys_that_come_in_one_go_keep_their_order() -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test() as pilot:
        prompt.focus()
        await pilot.pause()
        keys = [*"one", "ctrl+j", *"two", "enter", *"three"]
        for key in keys:
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: prompt.text == "three")
        assert _sent(app) == ["one\ntwo"]


@pytest.mark.parametrize("key", ["ctrl+j", "shift+enter"])
async def test_these_keys_begin_a_new_line(key: str) -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test() as pilot:
        prompt.focus()
        await pilot.press("a", key, "b")
        assert prompt.text == "a\nb"
        await pilot.press("enter")
        await until(pilot, lambda: _sent(app) == ["a\nb"])


async def test_a_backslash_before_enter_begins_a_new_line() -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test() as pilot:
        prompt.focus()
        await pilot.press("a", "backslash", "enter", "b")
        assert prompt.text == "a\nb"
        assert _sent(app) == []


async def test_it_grows_with_its_text_up_to_eight_lines() -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test(size=(40, 20)) as pilot:
        prompt.focus()
        await until(pilot, lambda: prompt.size.height == 1)
        prompt.write("one\ntwo\nthree")
        await until(pilot, lambda: prompt.size.height == 3)
        prompt.write("\n".join("x" * 30))
        await until(pilot, lambda: prompt.size.height == 8)
        prompt.write("word " * 18)
        await until(pilot, lambda: prompt.size.height == 3)
        prompt.write("")
        await until(pilot, lambda: prompt.size.height == 1)


async def test_a_paste_of_many_lines_is_not_sent_and_is_harmless() -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test() as pilot:
        prompt.focus()
        app.post_message(events.Paste("one\r\ntwo\rthree\x1b[31m\x9b2J\u202e\n"))
        await until(pilot, lambda: "three" in prompt.text)
        assert prompt.text == "one\ntwo\nthree[31m2J\n"
        assert _sent(app) == []


async def test_nothing_is_sent_when_nothing_was_written() -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test() as pilot:
        prompt.focus()
        await pilot.press("space", "ctrl+j", "enter")
        await until(pilot, lambda: any(isinstance(m, Prompt.EnteredNothing) for m in app.told))
        assert _sent(app) == []


@pytest.mark.parametrize("line", ["/model llama3.2", ":mode both", "/"])
async def test_a_line_that_begins_with_a_sign_is_a_command(line: str) -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test() as pilot:
        prompt.focus()
        prompt.write(line)
        await pilot.press("enter")
        await until(pilot, lambda: _commands(app) == [line])
        assert _sent(app) == []


@pytest.mark.parametrize(
    ("text", "sent"), [("//etc is what?", "/etc is what?"), ("/usr\nand more", "/usr\nand more")]
)
async def test_a_doubled_sign_and_several_lines_are_text(text: str, sent: str) -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test() as pilot:
        prompt.focus()
        prompt.write(text)
        await pilot.press("enter")
        await until(pilot, lambda: _sent(app) == [sent])


async def test_up_brings_back_what_was_asked_and_down_goes_on() -> None:
    prompt = Prompt()
    async with _host(prompt).run_test() as pilot:
        prompt.focus()
        for text in ("first", "second\nline", "third", "third"):
            prompt.write(text)
            await pilot.press("enter")
        await pilot.press("up")
        assert prompt.text == "third"
        await pilot.press("up")
        assert prompt.text == "second\nline"
        await pilot.press("up")  # inside the text first
        assert prompt.text == "second\nline"
        await pilot.press("up")
        assert prompt.text == "first"
        await pilot.press("up")
        assert prompt.text == "first"
        await pilot.press("down")
        assert prompt.text == "second\nline"
        await pilot.press("down", "down")
        assert prompt.text == ""


async def test_up_in_a_text_that_was_begun_only_moves_the_cursor() -> None:
    prompt = Prompt()
    async with _host(prompt).run_test() as pilot:
        prompt.focus()
        prompt.remember("first")
        await pilot.press("x", "up")
        assert prompt.text == "x"
        prompt.write("")
        await pilot.press("up", "y", "up", "up")
        assert prompt.text == "firsty"


async def test_pages_and_end_read_on_in_what_stands_above() -> None:
    prompt = Prompt()
    app = _host(prompt)
    async with app.run_test() as pilot:
        prompt.focus()
        await pilot.press("pageup", "pagedown", "end", "x", "end")
        wanted = [m.pages for m in app.told if isinstance(m, Prompt.ScrollWanted)]
        assert wanted == [-1, 1, None]


def test_only_so_many_questions_are_remembered() -> None:
    prompt = Prompt()
    for number in range(REMEMBERED + 50):
        prompt.remember(f"q{number}")
    assert len(prompt._recall.texts) == REMEMBERED
    assert prompt._recall.texts[-1] == f"q{REMEMBERED + 49}"


async def test_a_text_is_not_put_over_one_that_was_begun() -> None:
    prompt = Prompt()
    async with _host(prompt).run_test():
        assert prompt.take_back("question")
        assert not prompt.take_back("other")
        assert prompt.text == "question"


async def test_ten_thousand_pasted_lines_are_one_text_that_keys_go_on_working_in() -> None:
    prompt = Prompt()
    app = _host(prompt)
    text = "\n".join(f"line {number}" for number in range(10_000))
    async with app.run_test(size=(80, 24)) as pilot:
        prompt.focus()
        await pilot.pause()
        app.post_message(events.Paste(text))
        await until(pilot, lambda: prompt.document.line_count == 10_000)
        await until(pilot, lambda: prompt.size.height == 8)
        await pilot.press("x", "up", "down", "backspace")
        assert prompt.text == text
        assert _sent(app) == []
        await pilot.press("enter")
        await until(pilot, lambda: _sent(app) == [text])
        assert prompt.text == ""


async def test_texts_of_earlier_runs_come_before_those_of_this_one() -> None:
    prompt = Prompt()
    async with _host(prompt).run_test() as pilot:
        prompt.focus()
        prompt.remember("new")
        await pilot.press("up")
        prompt.remember_earlier(["old\x1b[2J", "older"])
        assert prompt.text == "new"
        await pilot.press("up")
        assert prompt.text == "older"
        await pilot.press("up")
        assert prompt.text == "old[2J"
