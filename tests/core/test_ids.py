"""Names of things, normalised once."""

from __future__ import annotations

import pytest

from sollol_tui.core import ids


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("http://h", "http://h:80"),
        ("https://h", "https://h:443"),
        ("https://e.com/ollama/", "https://e.com:443/ollama"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:5", "http://[::1]:5"),
        ("0.0.0.0:9", "http://127.0.0.1:9"),
        ("localhost", "http://127.0.0.1:11434"),
        ("LocalHost:7", "http://127.0.0.1:7"),
        (' "GPU-Rig" ', "http://gpu-rig:11434"),
        ("ollama.com", "https://ollama.com:443"),
        ("https://ollama.com", "https://ollama.com:443"),
        ("ollama.com:8080", "http://ollama.com:8080"),
        ("http://example.com/ollama", "http://example.com:80/ollama"),
        ("https://10.0.0.2:11434", "https://10.0.0.2:11434"),
    ],
)
def test_a_node_url_follows_ollamas_own_table(text: str, url: str) -> None:
    assert ids.parse_node_url(text) == url
    assert ids.parse_node_url(url) == url, "normalising twice changes nothing"


@pytest.mark.parametrize(
    "text", ["ftp://h", "http://user:pw@h", "h:70000", "h:x", "a b", "h[1]x<y>"]
)
def test_what_is_no_url_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ "):
        ids.parse_node_url(text)


def test_a_backend_address_gets_the_usual_port_and_no_url() -> None:
    assert ids.parse_backend_address("10.0.0.5") == "10.0.0.5:50052"
    assert ids.parse_backend_address(" Worker:5 ") == "worker:5"
    for wrong in ("http://h:1", "h:0", "h:-1", "h/x"):
        with pytest.raises(ValueError, match=r"\w"):
            ids.parse_backend_address(wrong)


def test_model_names_are_compared_with_their_tag_and_without_case() -> None:
    assert ids.parse_model_name("llama3") == "llama3:latest"
    assert ids.same_model("hf.co/a/Foo-GGUF:Q4", "HF.co/a/foo-gguf:q4")
    assert ids.same_model("localhost:5000/a/b", "localhost:5000/a/b:latest")
    assert not ids.same_model("llama3:8b", "llama3:70b")
    with pytest.raises(ValueError, match="empty"):
        ids.parse_model_name("  ")


def test_the_path_of_a_models_file_is_no_name_with_a_tag() -> None:
    for path in ("/m/a.gguf", "~/m/a", "./a", "a.GGUF", r"c:\m\a.gguf"):
        assert ids.is_model_path(path)
        assert ids.parse_model_name(path) == path
    for name in ("llama3", "hf.co/a/b-GGUF:Q4", "c:7b"):
        assert not ids.is_model_path(name)


@pytest.mark.parametrize(
    ("asked", "means_it"),
    [
        ("big", True),
        ("BIG:latest", True),
        ("m.gguf", True),
        ("m", True),
        ("/models/m.gguf", True),
        ("/elsewhere/m.gguf", False),
        ("other", False),
        ("big:7b", False),
    ],
)
def test_a_model_is_called_by_its_name_its_files_name_or_its_whole_path(
    asked: str, means_it: bool
) -> None:
    assert ids.is_called(asked, "big", "/models/m.gguf") is means_it


def test_short_names_leave_out_what_is_usual() -> None:
    assert ids.short_name("http://gpu-rig:11434", 11434) == "gpu-rig"
    assert ids.short_name("http://gpu-rig:8080/ollama", 11434) == "gpu-rig:8080/ollama"
    assert ids.short_name("http://[::1]:11434", 11434) == "[::1]"


def test_a_coordinator_is_called_so_once() -> None:
    named = [ids.coordinator_words(name) for name in ("gpu-rig", "coordinator", "Coordinator 2")]
    assert named == ["coordinator gpu-rig", "coordinator", "Coordinator 2"]
