"""Reading GGUF headers: what a file says, and why others are refused."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.gguf import GgufHeader, read_header, read_split
from sollol_tui.core.gguf_bytes import MAX_TENSORS, read_raw

from .make_gguf import (
    F32,
    Q4_0,
    Field,
    Model,
    Shape,
    gguf,
    layer_tensors,
    llama,
    llama_fields,
    llama_tensors,
    tensor_bytes,
    text,
)

SMALL = Model()


def header(data: bytes, file_bytes: int | None = None) -> GgufHeader:
    """The header of a file that must be readable."""
    read = read_header(data, len(data) if file_bytes is None else file_bytes)
    assert isinstance(read, GgufHeader), read
    return read


def bytes_of(*names: str, model: Model = SMALL) -> int:
    """The bytes of the tensors whose name begins so."""
    return sum(tensor_bytes(t) for t in llama_tensors(model) if t.name.startswith(names))


def test_a_llama_file_tells_its_measures() -> None:
    read = header(llama())
    assert (read.version, read.architecture, read.name, read.kind) == (
        3,
        "llama",
        "Made up",
        "model",
    )
    assert (read.layers, read.heads, read.kv_heads) == (4, 4, (2, 2, 2, 2))
    assert (read.key_length, read.value_length) == (16, 16)
    assert (read.embedding_length, read.feed_forward_length) == (64, 128)
    assert (read.trained_context_tokens, read.vocab_size) == (4096, 96)
    assert read.kv_widths == (64, 64, 64, 64)
    assert (read.split_no, read.split_count, read.alignment) == (0, 1, 32)
    assert not read.embeds
    assert read.needs_ollama is None


def test_bytes_lie_where_llama_cpp_puts_them() -> None:
    """Embedding on the host, layers one by one, norm and output at the end."""
    read = header(llama())
    assert read.input_bytes == bytes_of("token_embd.")
    assert read.layer_bytes == tuple(bytes_of(f"blk.{i}.") for i in range(4))
    assert read.output_bytes == bytes_of("output")
    assert read.tied_bytes == 0
    assert read.tensor_bytes == bytes_of("")
    assert read.parameters == read.tensor_bytes // 4


def test_a_tied_embedding_is_needed_again_at_the_end() -> None:
    model = Model(tied=True)
    read = header(llama(model))
    assert read.tied_bytes == read.input_bytes == bytes_of("token_embd.", model=model)
    assert read.output_bytes == bytes_of("output_norm.", model=model) + read.input_bytes
    assert read.tensor_bytes == bytes_of("", model=model)


def test_the_order_of_tensors_does_not_matter() -> None:
    read = header(gguf(llama_fields(), llama_tensors()[::-1]))
    assert read.tied_bytes == 0
    assert read.layer_bytes == header(llama()).layer_bytes


def test_quantized_tensors_count_by_blocks() -> None:
    model = Model(type=Q4_0)
    read = header(llama(model))
    assert read.input_bytes == 64 * 96 // 32 * 18
    assert read.quantization == "Q4_0"


@pytest.mark.parametrize(
    ("file_type", "word"),
    [(15, "Q4_K_M"), (7, "Q8_0"), (38, "MXFP4_MOE"), (0, "F32"), (999, "F32")],
)
def test_quantization_is_the_files_word_or_the_commonest_type(file_type: int, word: str) -> None:
    assert header(llama(general__file_type=file_type)).quantization == word


def test_tensors_that_belong_to_no_layer_but_the_first() -> None:
    more = [*llama_tensors(), Shape("rope_freqs.weight", (32,))]
    read = header(gguf(llama_fields(), more))
    assert read.layer_bytes[0] == read.layer_bytes[1] + 128


def test_layers_that_only_draft_are_not_loaded() -> None:
    """Multi-token prediction: the last layers are skipped, and have no cache."""
    read = header(llama(llama__nextn_predict_layers=1))
    assert read.layers == 4
    assert read.layer_bytes[3] == 0
    assert read.kv_widths == (64, 64, 64, 0)


def test_version_2_reads_like_version_3() -> None:
    read = header(gguf(llama_fields(), llama_tensors(), version=2))
    assert (read.version, read.layers) == (2, 4)


def test_the_alignment_moves_the_data() -> None:
    read = header(gguf(llama_fields(general__alignment=4096), llama_tensors(), alignment=4096))
    assert read.alignment == 4096
    assert read.data_offset % 4096 == 0
    assert read.data_ends_within


def test_a_cut_file_is_told() -> None:
    whole = llama()
    assert header(whole).data_ends_within
    assert not header(whole[:-400]).data_ends_within
    assert not header(whole, len(whole) - 400).data_ends_within


def test_the_header_alone_is_enough() -> None:
    """The caller may hand over the first bytes only; the length of the file is said."""
    head = gguf(llama_fields(), llama_tensors(), data=False)
    assert header(head, len(llama())) == header(llama())


def test_an_unknown_type_reaches_to_the_next_tensor() -> None:
    tensors = [Shape("token_embd.weight", (64, 4), F32), Shape("output.weight", (64, 4), F32)]
    data = bytearray(gguf(llama_fields(Model(layers=1)), tensors))
    at = data.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 16
    data[at : at + 4] = struct.pack("<I", 250)
    read = header(bytes(data))
    assert read.input_bytes == 1024
    assert read.quantization in {"", "F32"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"hello, world", 'is no GGUF file: it begins with "hell"'),
        (b"GG", 'is no GGUF file: it begins with "GG"'),
        (b"\x00\x1b[m\n", "is no GGUF file: it begins with 00 1b 5b 6d"),
        (b"GGUF", "ends in the middle of its header"),
        (b"FUGG" + bytes(40), "is a big-endian GGUF file"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(40), "is a big-endian GGUF file"),
        (
            b"GGUF" + struct.pack("<I", 1) + bytes(40),
            "is of GGUF version 1; versions 2 and 3 are read",
        ),
        (
            b"GGUF" + struct.pack("<I", 9) + bytes(40),
            "is of GGUF version 9; versions 2 and 3 are read",
        ),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40), "claims 1099511627776 fields and 0 tensors"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, MAX_TENSORS + 1, 0),
            f"claims 0 fields and {MAX_TENSORS + 1} tensors",
        ),
        (
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 60),
            "claims a text of 1152921504606846976 bytes",
        ),
        (gguf({"general.name": "x"}), "names no architecture"),
    ],
)
def test_what_is_no_header_gets_a_reason(data: bytes, reason: str) -> None:
    assert read_header(data, len(data)) == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (struct.pack("<I", 99), "has a field of unknown type 99"),
        (struct.pack("<IIQ", 9, 9, 1), "has a list of unknown type 9"),
        (struct.pack("<IIQ", 9, 8, 1 << 50), "claims a list of 1125899906842624 elements"),
        (struct.pack("<IIQ", 9, 4, 1 << 20), "ends in the middle of its header"),
        (struct.pack("<IIQ", 9, 8, 1 << 20), "ends in the middle of its header"),
        (struct.pack("<IIQQ", 9, 8, 1, 1 << 20), "ends in the middle of its header"),
        (struct.pack("<IQ", 8, 1 << 20), "ends in the middle of its header"),
        (struct.pack("<I", 4), "ends in the middle of its header"),
    ],
)
def test_a_field_that_claims_nonsense_is_refused(value: bytes, reason: str) -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("some.key") + value
    assert read_header(data, len(data)) == reason


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (struct.pack("<I", 5), "has a tensor of 5 dimensions"),
        (
            struct.pack("<IQQIQ", 2, 1 << 40, 1 << 40, 0, 0),
            f"has a tensor of {1 << 80} elements",
        ),
        (struct.pack("<IQQIQ", 2, 16, 2, 2, 0), "has a Q4_0 tensor with rows of 16"),
        (struct.pack("<I", 2), "ends in the middle of its header"),
    ],
)
def test_a_tensor_that_claims_nonsense_is_refused(tensor: bytes, reason: str) -> None:
    head = gguf({"general.architecture": "llama"}).replace(
        struct.pack("<IQQ", 3, 0, 1), struct.pack("<IQQ", 3, 1, 1)
    )
    head = head[: head.index(b"llama") + 5]
    assert read_header(head + text("t") + tensor, 1000) == reason


@pytest.mark.parametrize("alignment", [0, 1 << 21])
def test_an_impossible_alignment_is_refused(alignment: int) -> None:
    data = gguf({"general.architecture": "x", "general.alignment": alignment})
    assert read_header(data, len(data)) == f"claims an alignment of {alignment}"


def test_too_many_layers_are_refused() -> None:
    assert read_header(llama(llama__block_count=100_000), 0) == "claims 100000 layers"


@given(st.integers(0, 3000), st.binary(max_size=40))
def test_no_change_of_the_bytes_makes_it_fail(at: int, noise: bytes) -> None:
    """A cut or a garbled header gives a header or a reason, and never an exception."""
    data = llama(Model(layers=1))
    for garbled in (data[:at], data[:at] + noise + data[at + len(noise) :]):
        assert isinstance(read_header(memoryview(garbled), len(data)), GgufHeader | str)


# Caches


@pytest.mark.parametrize(
    ("architecture", "fields", "windowed"),
    [
        ("llama", {"attention.sliding_window": 512}, "........"),
        ("gemma3", {}, "........"),
        ("gemma3", {"attention.sliding_window": 512}, "wwwww.ww"),
        ("gemma2", {}, "w.w.w.w."),
        ("gpt-oss", {"attention.sliding_window": 128}, "w.w.w.w."),
        ("smallthinker", {"attention.sliding_window": 128}, ".www.www"),
        (
            "gemma3",
            {"attention.sliding_window": 512, "attention.sliding_window_pattern": 2},
            "w.w.w.w.",
        ),
        (
            "gemma4",
            {
                "attention.sliding_window": 512,
                "attention.sliding_window_pattern": [True, True, False, True],
            },
            "ww.w....",
        ),
        ("phi3", {"attention.sliding_window": 512}, "........"),
        ("llama4", {"attention.sliding_window": 0}, "........"),
        ("llama4", {}, "www.www."),
        ("exaone4", {"attention.sliding_window": 512}, "........"),
    ],
)
def test_the_layers_that_remember_only_a_window(
    architecture: str, fields: Mapping[str, Field], windowed: str
) -> None:
    read = header(of_architecture(architecture, 8, fields))
    assert "".join("w" if w else "." for w in read.windowed) == windowed
    assert bool(read.sliding_window) == ("w" in windowed)


def test_kv_heads_may_differ_by_layer() -> None:
    read = header(of_architecture("deci", 3, {"attention.head_count_kv": [4, 0, 2]}))
    assert read.kv_heads == (4, 0, 2)
    assert read.kv_widths == (128, 0, 64)


def test_latent_attention_keeps_one_vector_for_keys_and_values() -> None:
    fields = {
        "attention.head_count_kv": 1,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
    }
    assert header(of_architecture("deepseek2", 2, fields)).kv_widths == (576, 576)


def test_windowed_layers_may_have_heads_of_another_length() -> None:
    fields: Mapping[str, Field] = {
        "attention.sliding_window": 512,
        "attention.sliding_window_pattern": [True, False],
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.key_length_swa": 16,
        "attention.value_length_swa": 16,
    }
    assert header(of_architecture("gemma4", 2, fields)).kv_widths == (2 * 32, 2 * 64)


def test_layers_that_share_a_cache_have_none_of_their_own() -> None:
    fields = {"attention.shared_kv_layers": 2, "attention.sliding_window": 512}
    assert [bool(w) for w in header(of_architecture("gemma4", 4, fields)).kv_widths] == [
        True, True, False, False,
    ]  # fmt: skip


def test_recurrent_layers_keep_a_state_instead() -> None:
    fields = {
        "ssm.state_size": 128,
        "ssm.inner_size": 4096,
        "ssm.group_count": 16,
        "ssm.conv_kernel": 4,
        "full_attention_interval": 4,
    }
    read = header(of_architecture("qwen3next", 8, fields))
    state = (3 * (4096 + 2 * 16 * 128) + 128 * 4096) * 4
    assert read.state_bytes == (state, state, state, 0) * 2
    assert [bool(w) for w in read.kv_widths] == [False, False, False, True] * 2


def test_an_embedding_model_is_told() -> None:
    read = header(of_architecture("bert", 2, {"pooling_type": 2}))
    assert read.embeds
    assert read.needs_ollama is None


# Ollama's own


@pytest.mark.parametrize(
    ("architecture", "fields", "tensor", "reason"),
    [
        ("gptoss", {}, "", "the architecture gptoss is Ollama's own (llama.cpp calls it gpt-oss)"),
        ("mllama", {}, "", "the architecture mllama is Ollama's own"),
        ("gemma3", {"pooling_type": 1}, "", "an embedding model in Ollama's own layout of gemma3"),
        (
            "gemma3",
            {},
            "v.blk.0.attn_q.weight",
            "vision or other parts lie in the same file (v.blk.0.attn_q.weight)",
        ),
        (
            "qwen35",
            {},
            "mtp.layers.0.weight",
            "vision or other parts lie in the same file (mtp.layers.0.weight)",
        ),
        ("gpt-oss", {}, "", None),
        ("llama", {}, "vocab.weight", None),
    ],
)
def test_what_only_ollama_can_run(
    architecture: str, fields: Mapping[str, Field], tensor: str, reason: str | None
) -> None:
    read = header(of_architecture(architecture, 2, fields, [tensor] if tensor else []))
    assert read.needs_ollama == reason


def test_adapters_and_projectors_are_no_models() -> None:
    assert header(llama(general__type="adapter")).kind == "adapter"
    assert header(gguf({"general.architecture": "clip"})).kind == "mmproj"


# Several files


def split_model() -> list[bytes]:
    """A model in three files, as llama.cpp's gguf-split makes them."""
    tensors = llama_tensors()
    shares = (tensors[:10], tensors[10:20], tensors[20:])
    fields: list[dict[str, Field]] = [llama_fields(), {}, {}]
    return [
        gguf(f | {"split.no": i, "split.count": 3}, share)
        for i, (f, share) in enumerate(zip(fields, shares, strict=True))
    ]


def test_a_model_in_several_files_is_one_model() -> None:
    files = split_model()
    whole, joined = header(llama()), read_split([(f, len(f)) for f in files])
    assert isinstance(joined, GgufHeader)
    assert joined == whole._replace(
        split_count=3, file_bytes=joined.file_bytes, data_offset=joined.data_offset
    )
    assert joined.file_bytes == sum(map(len, files))


def test_one_part_says_which_it_is() -> None:
    second = header(split_model()[1])
    assert (second.split_no, second.split_count, second.architecture) == (1, 3, "")


def test_a_cut_part_cuts_the_model() -> None:
    files = split_model()
    files[2] = files[2][:-100]
    joined = read_split([(f, len(f)) for f in files])
    assert isinstance(joined, GgufHeader)
    assert not joined.data_ends_within


# Size


def test_a_large_vocabulary_is_only_walked_over() -> None:
    """128 k tokens and 280 k merges: no list is built (that took a minute and 650 MB)."""
    many = llama_fields()
    many["tokenizer.ggml.merges"] = ["Ġt he"] * 280_000
    many["tokenizer.ggml.scores"] = [1.0] * 2000
    raw = read_raw(gguf(many, llama_tensors()))
    assert raw.counts["tokenizer.ggml.merges"] == 280_000
    assert not any("merges" in key or "scores" in key for key in raw.fields)
    assert len(raw.tensors) == len(llama_tensors())


def of_architecture(
    architecture: str, layers: int, fields: Mapping[str, Field], tensors: list[str] | None = None
) -> bytes:
    """A file of another architecture: four heads of 16, two for keys and values."""
    model = Model(layers=layers)
    plain = {
        key.replace("llama.", f"{architecture}."): value
        for key, value in llama_fields(model).items()
    }
    plain["general.architecture"] = architecture
    more = {f"{architecture}.{key}": value for key, value in fields.items()}
    listed = [t for i in range(layers) for t in layer_tensors(i, 64, 32, model)]
    listed += [Shape(name, (32,)) for name in tensors or []]
    return gguf(plain | more, listed)
