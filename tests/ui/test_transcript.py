"""The transcript: what it shows, that it follows without yanking, what can be copied."""

from __future__ import annotations

import unicodedata

import pytest
from textual.geometry import Offset
from textual.selection import Selection

from sollol_tui.ui.text import clean_block, plain
from sollol_tui.ui.widgets.transcript import MessageHandle, Transcript
from sollol_tui.ui.widgets.transcript_model import Harmless, History, Message
from tests.ui.chat_host import Host, shown, until, until_shown
from tests.ui.corpus import CORPORA, pieces

HEADER = (("llama3.2:3b", "model"), (" via gpu-rig", "muted"))
SHORT = (("llama3.2:3b", "model"),)
FOOTER = (("212 tok · 33.1 tok/s", "muted"),)
LINES = "\n\n".join(f"line {n}" for n in range(100))


def _texts(message: Message) -> list[str]:
    return [plain(message.line(n)).rstrip() for n in range(message.height)]


def _laid_out(message: Message, cells: int = 40) -> list[str]:
    message.lay_out(cells)
    return _texts(message)


# A message


def test_a_message_is_its_header_its_text_and_its_footer() -> None:
    message = Message("assistant", HEADER, "# Title\n\ntext")
    message.footer = [FOOTER]
    message.finish()
    assert _laid_out(message) == [
        "llama3.2:3b via gpu-rig",
        "Title",
        "",
        "text",
        "212 tok · 33.1 tok/s",
        "",
    ]


def test_a_question_is_shown_as_it_was_typed() -> None:
    message = Message("user", (), "**not bold**\n  indented [q4_0]\n\n")
    message.finish()
    assert _laid_out(message) == ["▌ **not bold**", "▌   indented [q4_0]", ""]


def test_the_source_is_kept_exactly_whatever_is_shown() -> None:
    source = "a\x1b[2J\r\n\u202eb\0 &amp; **c**\ttab\ud800"
    message = Message("assistant", HEADER)
    for piece in source:
        message.append(piece)
    message.finish()
    assert all(char.isprintable() for line in _laid_out(message) for char in line)
    assert message.source == source


def test_a_thought_is_shown_while_it_lasts_and_folds_to_one_line() -> None:
    message = Message("assistant", SHORT)
    message.thought.add("one two three four five six seven")
    assert _laid_out(message, 20)[1:] == [
        "▾ thinking",
        "  one two three four",
        "  five six seven",
        "",
    ]
    message.thought.fold((("thought for 3 s", "thought"),))
    message.append("Answer.")
    assert _laid_out(message, 20)[1:] == ["▸ thought for 3 s", "Answer.", ""]
    message.thought.is_folded = False
    assert _laid_out(message, 20)[1:3] == ["▾ thought for 3 s", "  one two three four"]


@pytest.mark.parametrize("cells", [20, 60])
def test_a_mark_stands_after_the_line_in_which_the_text_ended(cells: int) -> None:
    message = Message("assistant", SHORT)
    message.add_mark((("▲ notice", "warn"),))
    message.append("one two three four five ")
    message.lay_out(60)
    message.add_mark((("-- seam --", "seam"),))
    message.append("six seven eight nine ten eleven twelve")
    message.lay_out(60)
    shown = _laid_out(message, cells)
    assert shown[1] == "▲ notice"
    before = shown[shown.index("-- seam --") - 1]
    assert "five" in before
    assert "seam" not in message.source


def test_another_width_gives_the_lines_that_it_would_have_given_at_once() -> None:
    message, text = Message("assistant", HEADER), CORPORA["mixed"](3000)
    for piece in pieces(text, 20):
        message.append(piece)
        message.lay_out(78)
    message.finish()
    at_once = Message("assistant", HEADER, text)
    at_once.finish()
    assert _laid_out(message, 50) == _laid_out(at_once, 50)
    assert _laid_out(message, 78) == _laid_out(at_once, 78)


@pytest.mark.parametrize("text", ["e\u0301t\u0301", "नमस्ते दुनिया", "a\r\nb\rc\r\n", "żółć 日本"])
def test_streamed_text_is_made_harmless_as_if_it_had_come_at_once(text: str) -> None:
    for size in (1, 2, 3):
        harmless = Harmless()
        parts = [harmless.take(text[at : at + size]) for at in range(0, len(text), size)]
        joined = "".join([*parts, harmless.rest()])
        assert unicodedata.normalize("NFC", joined) == clean_block(text)


def test_endless_accents_are_not_held_back_for_ever() -> None:
    harmless = Harmless()
    assert harmless.take("é" + "\u0301" * 99) != ""


def test_a_place_in_a_message_is_found_again_when_lines_before_it_went() -> None:
    message = Message("assistant", HEADER)
    message.thought.add("long thought " * 40)
    message.append(LINES)
    message.lay_out(40)
    before = _texts(message).index("line 50")
    place = message.place(before)
    message.thought.fold(())
    message.lay_out(40)
    assert message.index(place) == _texts(message).index("line 50") < before


def test_the_lines_of_all_messages_are_one_run() -> None:
    history = History()
    for n in range(3):
        message = Message("user", (), f"q{n}\nr{n}")
        message.finish()
        message.lay_out(20)
        history.add(message)
    assert [plain(history.line(n)) for n in range(-1, history.total + 1)] == [
        *["", "▌ q0", "▌ r0", "", "▌ q1", "▌ r1", "", "▌ q2", "▌ r2", "", ""],
    ]
    assert history.at(4) == (1, 1)
    history.messages[0].append("\nmore")
    history.messages[0].lay_out(20)
    history.recount(0)
    assert plain(history.line(history.start(2))) == "▌ q2"


# The widget


async def test_a_streamed_answer_is_shown_and_its_code_is_coloured_when_it_closes() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 20)) as pilot:
        transcript.add_message("user", (), "why?").finish()
        answer = transcript.add_message("assistant", HEADER)
        for piece in pieces("Because:\n\n```py\nreturn 1\n```\n", 3):
            answer.append(piece)
        await until_shown(pilot, "▌ why?", "llama3.2:3b via gpu-rig", "Because:", "return 1")
        keyword = transcript._looks.style("code keyword").color

        def is_coloured() -> bool:
            strips = [transcript.render_line(y) for y in range(transcript.size.height)]
            words = [s for strip in strips for s in strip if s.text == "return" and s.style]
            return any(word.style.color == keyword for word in words if word.style)

        await until(pilot, is_coloured)


async def test_the_end_is_followed_while_text_comes() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 10)) as pilot:
        answer = transcript.add_message("assistant", HEADER)
        for piece in pieces(LINES, 40):
            answer.append(piece)
        answer.finish()
        await until_shown(pilot, "line 99")
        assert transcript.follows
        assert transcript.unseen == 0


def _text_shown(app: Host) -> list[str]:
    """The lines without the scroll bar beside them."""
    return [line[:58].rstrip() for line in shown(app)]


def _read_from_the_middle(transcript: Transcript) -> MessageHandle:
    answer = transcript.add_message("assistant", HEADER)
    answer.append(LINES)
    transcript.flush()
    transcript.action_move(-30)
    return answer


async def test_more_room_pulls_no_reader_to_the_end() -> None:
    """A pane that grows to its end, zoomed, shows what is read and the end: nobody went there."""
    transcript = Transcript()
    app = Host(transcript)
    async with app.run_test(size=(60, 10)) as pilot:
        answer = transcript.add_message("assistant", HEADER)
        answer.append(LINES)
        transcript.flush()
        transcript.action_move(-6)
        await pilot.resize_terminal(60, 30)
        await until_shown(pilot, "line 99")
        assert not transcript.follows
        top = _text_shown(app)[0]
        answer.append("\n\nmore" * 5)
        transcript.flush()
        await pilot.pause()
        assert _text_shown(app)[0] == top
        assert transcript.unseen == 10
        transcript.follow()
        await until_shown(pilot, "more")


async def test_scrolling_up_holds_the_view_and_counts_what_comes() -> None:
    transcript = Transcript()
    app = Host(transcript)
    async with app.run_test(size=(60, 10)) as pilot:
        answer = _read_from_the_middle(transcript)
        await pilot.pause()
        before = _text_shown(app)
        assert not transcript.follows
        answer.append("\n\nnew 1\n\nnew 2\n")
        await until(pilot, lambda: transcript.unseen == 4)
        assert _text_shown(app) == before
        await pilot.press("end")
        await until_shown(pilot, "new 2")
        assert transcript.follows
        assert transcript.unseen == 0


async def test_the_view_stays_when_a_thought_above_it_folds() -> None:
    transcript = Transcript()
    app = Host(transcript)
    async with app.run_test(size=(60, 10)) as pilot:
        answer = transcript.add_message("assistant", HEADER)
        answer.think("a long thought " * 60)
        answer.append(LINES)
        transcript.flush()
        transcript.action_move(-30)
        await pilot.pause()
        before, total = _text_shown(app), transcript.history.total
        answer.fold_thought((("thought for 3 s", "thought"),))
        await until(pilot, lambda: transcript.history.total < total)
        await pilot.pause()
        assert _text_shown(app) == before


async def test_the_line_that_is_read_stays_when_the_terminal_gets_narrower() -> None:
    transcript = Transcript()
    app = Host(transcript)
    async with app.run_test(size=(100, 12)) as pilot:
        for n in range(30):
            message = transcript.add_message("assistant", ((f"answer {n}", ""),))
            message.append("many words in one paragraph " * 20)
            message.finish()
        transcript.flush()
        top = transcript.history.start(12)
        transcript.action_move(top - transcript.scroll_offset.y)
        await until(pilot, lambda: shown(app)[0].lstrip().startswith("answer 12"))
        await pilot.resize_terminal(50, 12)
        await until(pilot, lambda: all(m.cells < 60 for m in transcript.history.messages))
        await until(pilot, lambda: shown(app)[0].lstrip().startswith("answer 12"))


async def test_the_middle_of_a_long_answer_stays_in_view_in_another_width() -> None:
    transcript = Transcript()
    app = Host(transcript)
    async with app.run_test(size=(100, 12)) as pilot:
        answer = transcript.add_message("assistant", HEADER)
        words = "some words that wrap when the terminal is a narrow one, and more of them"
        answer.append("\n\n".join(f"paragraph {n}: {words}" for n in range(60)))
        answer.finish()
        transcript.flush()
        line = next(
            n for n in range(200) if plain(transcript.history.line(n)).startswith("paragraph 30:")
        )
        transcript.action_move(line - transcript.scroll_offset.y)
        await until(pilot, lambda: shown(app)[0].lstrip().startswith("paragraph 30:"))
        await pilot.resize_terminal(40, 12)
        await until(pilot, lambda: transcript.history.messages[0].cells < 40)
        await until(pilot, lambda: any("paragraph 30:" in line for line in shown(app)))


async def test_selected_text_is_copied_without_blanks_at_the_ends_of_lines() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 10)) as pilot:
        transcript.add_message("user", (), "question").finish()
        answer = transcript.add_message("assistant", HEADER, "```\ncode\n```\n\nlast words\n")
        answer.finish()
        await until_shown(pilot, "last words")
        selection = Selection.from_offsets(Offset(3, 0), Offset(5, 6))
        assert transcript.get_selection(selection) == (
            "question\n\nllama3.2:3b via gpu-rig\n text\n code\n\nlast",
            "\n",
        )


async def test_text_is_selected_with_the_mouse() -> None:
    transcript = Transcript()
    app = Host(transcript)
    async with app.run_test(size=(40, 10)) as pilot:
        transcript.add_message("assistant", HEADER, "first words\n\nsecond words\n").finish()
        await until_shown(pilot, "second words")
        await pilot.mouse_down(transcript, offset=(7, 1))
        await pilot.hover(transcript, offset=(6, 3))
        await pilot.mouse_up(transcript, offset=(6, 3))
        assert app.screen.get_selected_text() == "words\n\nsecond"


async def test_a_click_unfolds_what_was_thought() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 10)) as pilot:
        answer = transcript.add_message("assistant", HEADER)
        answer.think("secret plan")
        answer.fold_thought((("thought for 3 s", "thought"),))
        answer.append("Answer.")
        await until_shown(pilot, "▸ thought for 3 s")
        await pilot.click(transcript, offset=(4, 1))
        await until_shown(pilot, "▾ thought for 3 s", "secret plan")
        transcript.focus()
        await pilot.press("t")
        await until(pilot, lambda: "secret plan" not in "\n".join(shown(pilot.app)))


async def test_a_click_on_the_header_asks_why_it_went_there() -> None:
    transcript = Transcript()
    app = Host(transcript)
    async with app.run_test(size=(40, 10)) as pilot:
        transcript.add_message("user", (), "q").finish()
        answer = transcript.add_message("assistant", HEADER, "Answer.")
        await until_shown(pilot, "Answer.")
        await pilot.click(transcript, offset=(4, 2))
        await until(pilot, lambda: any(isinstance(m, Transcript.Wanted) for m in app.told))
        chosen = next(m for m in app.told if isinstance(m, Transcript.Wanted))
        assert (chosen.handle, chosen.what) == (answer, "decision")


async def test_a_hint_stands_where_nothing_was_said_yet() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 10)) as pilot:
        transcript.set_hint([(("Ask something.", "muted"),)])
        await until_shown(pilot, "Ask something.")
        transcript.add_message("user", (), "q").finish()
        await until(pilot, lambda: "Ask something." not in shown(pilot.app))
        transcript.clear()
        await until_shown(pilot, "Ask something.")


async def test_what_still_comes_for_a_forgotten_message_changes_nothing() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 10)) as pilot:
        old = transcript.add_message("assistant", HEADER, "old")
        transcript.clear()
        old.append("late")
        transcript.flush()
        transcript.add_message("user", (), "new").finish()
        old.finish()
        await until_shown(pilot, "▌ new")
        assert "late" not in "\n".join(shown(pilot.app))


async def test_an_update_paints_without_laying_the_screen_out() -> None:
    transcript = Transcript()
    app = Host(transcript)
    async with app.run_test(size=(60, 10)) as pilot:
        answer = transcript.add_message("assistant", HEADER)
        await until_shown(pilot, "llama3.2:3b")
        layouts = 0
        real = app.screen._refresh_layout

        def counted(*args: object, **kwargs: object) -> None:
            nonlocal layouts
            layouts += 1
            real(*args, **kwargs)  # type: ignore[arg-type]

        app.screen._refresh_layout = counted  # type: ignore[method-assign]
        for n in range(20):
            answer.append(f"line {n}\n\n")
            transcript.flush()
            await pilot.pause()
        await until_shown(pilot, "line 19")
        assert layouts == 0


async def test_the_scroll_bar_follows_the_reader_at_once_and_the_end_in_a_while() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 10)) as pilot:
        _read_from_the_middle(transcript)
        await pilot.pause()
        bar = transcript.vertical_scrollbar
        assert (bar.position, bar.window_virtual_size) == (
            transcript.scroll_y,
            transcript.history.total,
        )
        transcript.follow()
        await until(pilot, lambda: bar.position == transcript.max_scroll_y)


async def test_the_same_line_is_the_same_strip_in_every_frame() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(60, 10)) as pilot:
        transcript.add_message("assistant", HEADER, "text").finish()
        await until_shown(pilot, "text")
        region = transcript.size.region
        once, again = transcript.render_lines(region), transcript.render_lines(region)
        assert all(one is other for one, other in zip(once, again, strict=True))


async def test_another_theme_repaints_everything() -> None:
    transcript = Transcript()
    app = Host(transcript)
    async with app.run_test(size=(60, 10)) as pilot:
        transcript.add_message("assistant", HEADER, "text").finish()
        await until_shown(pilot, "text")
        before = transcript.render_line(1)
        app.theme = "sollol-light"
        await until(pilot, lambda: transcript.render_line(1) != before)


async def test_without_glyphs_ours_are_written_in_ascii() -> None:
    transcript = Transcript(ascii_only=True)
    app = Host(transcript)
    async with app.run_test(size=(60, 12)) as pilot:
        transcript.add_message("user", (), "q").finish()
        answer = transcript.add_message("assistant", HEADER, "- a\n  - b\n\n> c\n\n|d|\n|-|\n")
        answer.seam("spark writes on")
        answer.think("hm")
        answer.finish()
        await until_shown(pilot, "spark writes on")
        assert [line for line in _text_shown(app) if not line.isascii()] == []


async def test_a_tiny_terminal_breaks_nothing() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(5, 2)) as pilot:
        transcript.add_message("assistant", HEADER, CORPORA["mixed"](2000)).finish()
        await until(pilot, lambda: transcript._timer is None)  # nothing is tried again and again
        await pilot.resize_terminal(60, 12)
        await until(pilot, lambda: transcript.history.total > 20)
