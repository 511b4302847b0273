"""Choosing messages of a transcript by keys: nothing is passed over, nothing is yanked."""

from __future__ import annotations

import random

from textual.pilot import Pilot

from sollol_tui.ui.widgets.transcript import Transcript
from tests.ui.chat_host import Host, shown, until, until_shown

LONG = "\n\n".join(f"paragraph {n}" for n in range(40))


def filled(transcript: Transcript, *answers: str) -> None:
    """A question and its answer, as often as there are answers."""
    for n, text in enumerate(answers):
        transcript.add_message("user", (), f"question {n}").finish()
        message = transcript.add_message("assistant", ((f"head {n}", ""),), text)
        message.finish()
    transcript.flush()
    transcript.screen.set_focus(None)


def marked(pilot: Pilot[None]) -> list[str]:
    """The lines that are marked, without the mark."""
    return [line[1:].strip() for line in shown(pilot.app) if line.startswith("▎")]


async def test_the_last_answer_is_chosen_when_the_messages_get_the_focus() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 20)) as pilot:
        filled(transcript, "one", "two")
        await until_shown(pilot, "two")
        assert marked(pilot) == []
        transcript.focus()
        await until(pilot, lambda: marked(pilot) == ["head 1", "two"])


async def test_keys_go_from_message_to_message_and_stop_at_both_ends() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 20)) as pilot:
        filled(transcript, "one", "two")
        transcript.focus()
        await until(pilot, lambda: transcript.chosen == 3)
        for key, number in (("k", 2), ("up", 1), ("j", 2), ("down", 3), ("j", 3), ("home", 0),
                            ("k", 0), ("end", 3)):  # fmt: skip
            await pilot.press(key)
            assert transcript.chosen == number, key
        await pilot.press("k")
        await until(pilot, lambda: marked(pilot) == ["▌ question 1"])


async def test_a_message_higher_than_the_pane_is_read_through_before_the_next_one() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 12)) as pilot:
        filled(transcript, "one", LONG, "three")
        transcript.focus()
        seen, steps = "", 0
        await until(pilot, lambda: transcript.chosen == 5)
        while transcript.chosen != 2:
            await pilot.press("k")
            seen, steps = seen + "\n".join(shown(pilot.app)), steps + 1
            assert steps < 20
        assert all(f"paragraph {n}" in seen for n in range(40))
        seen = ""
        while transcript.chosen != 4:
            await pilot.press("j")
            seen += "\n".join(shown(pilot.app))
        assert all(f"paragraph {n}" in seen for n in range(40))


async def test_what_is_chosen_is_always_in_view() -> None:
    """Whatever keys are pressed: some of the chosen message is on the screen."""
    rnd = random.Random(4)
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 10)) as pilot:
        filled(transcript, "one", LONG, "three\n\nfour", "five", LONG)
        transcript.focus()
        for _ in range(60):
            key = rnd.choice(["j", "k", "pageup", "pagedown", "home", "end", "k", "j"])
            await pilot.press(key)
            assert transcript.chosen is not None
            top = transcript.scroll_offset.y
            lines = transcript.history.span(transcript.chosen)
            assert lines.start < top + 10, key
            assert lines.stop > top, key


async def test_the_end_is_followed_while_the_last_answer_is_chosen() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 8)) as pilot:
        filled(transcript, "one")
        answer = transcript.add_message("assistant", (("head", ""),))
        transcript.focus()
        await pilot.press("end")
        answer.append(LONG)
        await until_shown(pilot, "paragraph 39")
        assert transcript.follows
        assert transcript.chosen == 2


async def test_what_comes_does_not_push_the_chosen_message_away() -> None:
    """Choosing an earlier one releases the end, though nothing was scrolled; End takes it again."""
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 12)) as pilot:
        filled(transcript, "one", "two")
        answer = transcript.add_message("assistant", (("head", ""),))
        transcript.flush()
        transcript.focus()
        await pilot.press("k")
        assert transcript.chosen == 3
        answer.append(LONG)
        transcript.flush()
        await until(pilot, lambda: transcript.unseen > 50)
        assert marked(pilot) == ["head 1", "two"]
        await pilot.press("end")
        await until_shown(pilot, "paragraph 39")
        assert transcript.follows
        answer.append("\n\nand more")
        await until_shown(pilot, "and more")


async def test_leaving_the_messages_at_their_end_follows_it_again() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 20)) as pilot:
        filled(transcript, "one", "two")
        transcript.focus()
        await pilot.press("k", "k")
        assert not transcript.follows
        transcript.choose(None)
        assert transcript.follows


async def test_a_cut_forgets_a_message_and_all_after_it() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 20)) as pilot:
        filled(transcript, "one", "two\n\n```py\nx = 1\n```", "three")
        transcript.focus()
        await until_shown(pilot, "three")
        transcript.cut(2)
        await until(pilot, lambda: "two" not in "\n".join(shown(pilot.app)))
        assert transcript.chosen is None
        assert "one" in "\n".join(shown(pilot.app))
        filled(transcript, "four")
        await until_shown(pilot, "one", "four")
        assert transcript.history.total == sum(m.height for m in transcript.history.messages)


async def test_a_message_that_was_over_goes_on_as_if_it_had_not_been() -> None:
    """Text and marks stay, and a block that was cut open is one block."""
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 20)) as pilot:
        whole = "A list:\n\n- one\n- two **bold**\n- three\n"
        once = transcript.add_message("assistant", (), whole)
        once.finish()
        twice = transcript.add_message("assistant", (), whole[:20])
        twice.set_footer((("stopped", ""),))
        twice.finish()
        await until_shown(pilot, "stopped")
        twice.reopen()
        twice.append(whole[20:])
        twice.finish()
        transcript.flush()
        first, second = transcript.history.messages
        assert [first.line(n) for n in range(first.height)] == [
            second.line(n) for n in range(second.height)
        ]
        assert twice.source == whole


async def test_a_click_chooses_the_message_under_it() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 20)) as pilot:
        filled(transcript, "one", "two")
        await until_shown(pilot, "two")
        await pilot.click(transcript, offset=(5, 0))
        assert transcript.chosen == 0
