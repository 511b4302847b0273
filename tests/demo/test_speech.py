"""What the demo's models say, and how Go's times and durations are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.demo import catalog, texts
from sollol_tui.demo.clock import FOR_EVER_NS, NS_PER_S, keep_alive_ns, rfc3339
from sollol_tui.demo.speech import Turn, compose, tokens


@given(st.text())
def test_tokens_joined_are_the_text_and_none_is_long(text: str) -> None:
    parts = tokens(text)
    assert "".join(parts) == text
    assert all(0 < len(part) <= 6 or not part.strip("\n") for part in parts)


def test_tokens_are_of_about_four_characters() -> None:
    text = "".join(topic.text for topic in texts.TOPICS)
    assert 3.2 < len(text) / len(tokens(text)) < 4.8


@pytest.mark.parametrize(
    ("question", "mark"),
    [
        ("Say hello", "Hello!"),
        ("Write a python function", "```python"),
        ("Compare both in a table", "| --- |"),
        ("How do I add a machine?", "```bash"),
        ("Explain sharding", "### "),
        ("Tell me a story", "attic"),
    ],
)
def test_the_answer_fits_the_question(question: str, mark: str) -> None:
    answer = compose([Turn("user", question)], 0, think=False)
    assert mark in "".join(answer.tokens)


def test_an_essay_is_long() -> None:
    answer = compose([Turn("user", "Tell me everything")], 0, think=False)
    assert len("".join(answer.tokens)) > 5000


@given(st.integers(0, 2000), st.integers(0, 5))
def test_from_any_place_the_answer_goes_on_to_the_same_end(cut: int, seed: int) -> None:
    asked = [Turn("user", "Explain how it works")]
    whole = "".join(compose(asked, seed, think=False).tokens)
    so_far = whole[:cut]
    rest = compose([*asked, Turn("assistant", so_far)], seed, think=True)
    assert so_far + "".join(rest.tokens) == whole
    assert not (so_far and rest.thoughts)


def test_white_space_that_a_template_trimmed_does_not_matter() -> None:
    asked = [Turn("user", "Explain how it works")]
    whole = "".join(compose(asked, 0, think=False).tokens)
    at = whole.index("\n\n")
    rest = compose([*asked, Turn("assistant", whole[:at] + "  ")], 0, think=False)
    assert whole[:at] + "".join(rest.tokens) == whole


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        ("5m", 300 * NS_PER_S),
        ("1h30m", 5400 * NS_PER_S),
        ("1.5s", 3 * NS_PER_S // 2),
        (60, 60 * NS_PER_S),
        ("0", 0),
        (-1, FOR_EVER_NS),
        ("-1s", FOR_EVER_NS),
    ],
)
def test_a_keep_alive_is_seconds_or_a_go_duration(value: object, ns: int) -> None:
    assert keep_alive_ns(value) == ns


@pytest.mark.parametrize(
    ("value", "words"),
    [("30", 'missing unit in duration "30"'), ("soon", 'invalid duration "soon"'), ([], "invalid")],
)
def test_a_wrong_keep_alive_is_refused_in_gos_words(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        keep_alive_ns(value)


def test_times_have_up_to_nine_digits_without_trailing_zeros() -> None:
    assert rfc3339(1_795_557_938_618_013_227) == "2026-11-24T22:05:38.618013227Z"
    assert rfc3339(1_795_557_938_500_000_000) == "2026-11-24T22:05:38.5Z"
    assert rfc3339(1_795_557_938_000_000_000) == "2026-11-24T22:05:38Z"


def test_an_unknown_model_has_the_size_that_its_name_says() -> None:
    assert catalog.model("tiny:135m").parameters == 135_000_000
    assert catalog.model("big").name == "big:latest"
    assert catalog.model("Qwen3:8B") is catalog.find("qwen3:8b")
