"""Every setting is read from TOML and from text alike, and a wrong one is told what is wanted."""

from __future__ import annotations

from typing import cast

import pytest

from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url, parse_node_url
from sollol_tui.core.settings import (
    BackendSetting,
    CoordinatorSetting,
    NodeSetting,
    Settings,
)
from sollol_tui.core.settings_read import READERS, BadValueError, read_value, shown_value
from sollol_tui.core.state import Mode


def problem_of(key: str, raw: object) -> str:
    with pytest.raises(BadValueError) as caught:
        read_value(key, raw)
    return f"{key}{caught.value.place}: {caught.value.problem}"


def test_there_is_one_reader_for_every_setting() -> None:
    assert tuple(READERS) == Settings._fields


def test_every_default_passes_its_own_reader() -> None:
    for key, default in Settings()._asdict().items():
        if default is not None:
            assert read_value(key, default) == default


@pytest.mark.parametrize(
    ("key", "from_toml", "from_text", "value"),
    [
        ("poll_interval_s", 2, "2", 2.0),
        ("timeout_s", 0.5, " 0.5 ", 0.5),
        ("failures_to_down", 4, "4", 4),
        ("mouse", False, "No", False),
        ("ascii", True, "1", True),
        ("mode", "both", "Both", Mode.BOTH),
        ("threshold_parameters", 7e9, "7B", 7e9),
        ("threshold_parameters", "700 m", "0.7B", 7e8),
        ("context_tokens", 4096, "4096", 4096),
        ("model", "llama3", "llama3:latest", "llama3:latest"),
        ("redis_url", "redis://h:1/2", "redis://h:1/2", "redis://h:1/2"),
        ("redis_url", "h:6380", "h:6380", "redis://h:6380"),
        ("redis_url", "", "off", ""),
        ("redis_url", "unix:///run/r.sock", "unix:///run/r.sock", "unix:///run/r.sock"),
        ("backends", ["a", "b:1"], "a, b:1,", None),
        ("nodes", ["http://a:1", {"url": "b"}], "http://a:1,b", None),
    ],
)
def test_toml_and_text_mean_the_same(
    key: str, from_toml: object, from_text: str, value: object
) -> None:
    assert read_value(key, from_toml) == read_value(key, from_text)
    if value is not None:
        assert read_value(key, from_toml) == value


@pytest.mark.parametrize(
    ("key", "raw", "problem"),
    [
        ("poll_interval_s", 0, "wants a number of seconds from 0.1 to 86400, not '0'"),
        ("poll_interval_s", True, "wants a number of seconds from 0.1 to 86400, not 'True'"),
        ("poll_interval_s", float("nan"), "wants a number of seconds from 0.1 to 86400, not 'nan'"),
        ("timeout_s", 10**400, "wants a number of seconds from 0.1 to 86400, not '1000"),
        ("failures_to_down", 1.5, "wants a whole number from 1 to 100, not '1.5'"),
        ("mouse", "maybe", "wants true or false, not 'maybe'"),
        ("mouse", 1, "wants true or false, not '1'"),
        ("mode", "fast", "wants one of task, model, both, off, not 'fast'"),
        ("threshold_parameters", "big", 'wants a number of parameters such as 13e9 or "13B"'),
        ("threshold_parameters", "B", 'wants a number of parameters such as 13e9 or "13B"'),
        ("theme", 3, "wants a text in quotes, not '3'"),
        ("model_path", "a\x1b[2J", "has control characters in it"),
        ("redis_url", "http://h", 'wants redis://host:port, rediss://, unix:// or "off"'),
        ("redis_url", "redis://h:99999", 'wants redis://host:port, rediss://, unix:// or "off"'),
        ("backends", "host:x", "[0]: 'x' is not a port"),
        ("nodes", 5, "wants a list of URLs or of tables"),
        ("nodes", ["ftp://x"], "[0].url: 'ftp://x': only http and https"),
        ("nodes", [{"name": "x"}], "[0]: has no url"),
        ("nodes", [{"url": "a"}, {"url": 5}], "[1].url: wants a text in quotes, not '5'"),
        ("nodes", [{"url": "a", "weigth": 2}], "[0].weigth: unknown key; did you mean 'weight'?"),
        ("nodes", [{"url": "a", "weight": 0}], "[0].weight: wants a number from 0.01 to 1000"),
        ("nodes", [{"url": "a", "headers": "x"}], "[0].headers: wants a table such as"),
        ("coordinators", [{"url": "a", "weight": 1}], "[0].weight: unknown key"),
    ],
)
def test_a_wrong_value_is_told_what_is_wanted(key: str, raw: object, problem: str) -> None:
    told = problem_of(key, raw).removeprefix(key).removeprefix(": ")
    assert told.startswith(problem)
    assert told.isprintable()


def test_a_node_has_all_that_its_table_says() -> None:
    table = {
        "url": "https://gpu.lab/ollama",
        "name": "gpu",
        "headers": {"X-Team": "blue"},
        "api_key": "sesame",
        "weight": 2,
        "ca_file": "/etc/lab.pem",
    }
    assert read_value("nodes", [table]) == (
        NodeSetting(
            parse_node_url("https://gpu.lab:443/ollama"),
            "gpu",
            (("X-Team", "blue"), ("Authorization", "Bearer sesame")),
            2.0,
            "/etc/lab.pem",
        ),
    )


def test_coordinators_and_backends_have_their_own_usual_ports() -> None:
    assert read_value("coordinators", ["box"]) == (
        CoordinatorSetting(parse_coordinator_url("http://box:18080")),
    )
    assert read_value("backends", ["box"]) == (BackendSetting(parse_backend_address("box:50052")),)


def own_coordinator(table: dict[str, object]) -> CoordinatorSetting:
    read = cast("tuple[CoordinatorSetting, ...]", read_value("coordinators", [table]))
    return read[0]


def test_a_coordinator_of_this_machine_may_say_how_it_is_run() -> None:
    table = {
        "url": "127.0.0.1:18081",
        "start": "yes",
        "model": "llama3",
        "backends": ["a", "b:5"],
        "context_tokens": 4096,
    }
    read = own_coordinator(table)
    assert read.says_how
    assert (read.start, read.model, read.context_tokens) == (True, "llama3:latest", 4096)
    assert read.backends == ("a:50052", "b:5")
    alone = own_coordinator({"url": "", "backends": []})
    assert (alone.backends, alone.says_how) == ((), True), "this machine alone is said too"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"url": "10.0.0.9", "model": "m"}, "[0].model: is only for one that listens on this"),
        ({"url": "10.0.0.9", "start": True}, "[0].start: is only for one that listens on this"),
        ({"url": "", "start": "maybe"}, "[0].start: wants true or false"),
        ({"url": "", "backends": ["a b"]}, "[0].backends[0]: 'a b' is not a host name"),
        ({"url": "", "context_tokens": 0}, "[0].context_tokens: wants a whole number"),
        ({"url": "", "modle": "x"}, "[0].modle: unknown key; did you mean 'model'?"),
    ],
)
def test_a_wrong_way_to_run_one_is_told_with_its_place(
    more: dict[str, object], problem: str
) -> None:
    assert problem_of("coordinators", [more]).startswith(f"coordinators{problem}")


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"Bad Name": "hunter2"}, "'Bad Name' is not a header name"),
        ({"": "hunter2"}, "'' is not a header name"),
        ({"X": "hunter2\r\nHost: evil"}, "wants a text of printable ASCII characters"),
        ({"X": "hünter2"}, "wants a text of printable ASCII characters"),
        ({"X": ["hunter2"]}, "wants a text of printable ASCII characters"),
    ],
)
def test_a_wrong_header_is_refused_and_its_value_never_quoted(
    headers: dict[str, object], problem: str
) -> None:
    told = problem_of("nodes", [{"url": "a", "headers": headers}])
    assert problem in told
    assert "hunter2" not in told
    assert "hünter2" not in told


def test_a_key_and_an_authorization_header_exclude_each_other() -> None:
    table = {"url": "a", "api_key": "x", "headers": {"authorization": "y"}}
    assert "exclude each other" in problem_of("nodes", [table])


def test_a_wrong_redis_url_is_told_without_its_password() -> None:
    assert "hunter2" not in problem_of("redis_url", "http://:hunter2@h")
    assert "hunter2" not in problem_of("redis_url", "redis://:hunter2@[h")


def test_what_is_shown_hides_the_password_and_says_unknown() -> None:
    settings = Settings(redis_url="redis://:hunter2@h", threshold_parameters=13e9)
    assert shown_value(settings, "redis_url") == "redis://:•••@h"
    assert shown_value(settings, "threshold_parameters") == "13e9"
    assert shown_value(settings, "mode") == "–"
    assert shown_value(settings, "mouse") == "true"
