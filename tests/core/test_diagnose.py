"""From the end of a coordinator to its cause: every way to fail that was provoked for real."""

from __future__ import annotations

import re

import pytest

from sollol_tui.core.diagnose import MAX_EVIDENCE, Context, diagnose
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause
from tests.samples import HERE

ONE, TWO = "10.0.0.2:50052", "10.0.0.3:50052"
LOST = "ggml-rpc.cpp:566: Remote RPC server crashed or returned malformed response"
STARTED = "0.00.043.587 I srv  llama_server: initializing ..."
CONTEXT = Context(
    phase=Phase.LOADING,
    binary="/opt/llama-server",
    address="127.0.0.1:18080",
    model="tiny:8b",
    backends=(ONE, TWO),
)


def sections(name: str) -> dict[str, list[str]]:
    """The parts of a capture, by their titles."""
    text = (HERE / "llama-cpp" / f"{name}.txt").read_text()
    parts = re.split(r"^== (.*)$", text, flags=re.MULTILINE)
    return {t: s.splitlines() for t, s in zip(parts[1::2], parts[2::2], strict=True)}


def sample(name: str) -> list[str]:
    """The lines of a capture."""
    return (HERE / "llama-cpp" / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("title", "cause", "subject", "evidence"),
    [
        ("wrong", Cause.MODEL_NOT_FOUND, "/nonexistent/x.gguf", "failed to open GGUF file"),
        ("empty", Cause.MODEL_CORRUPT, "tiny:8b", "failed to read magic"),
        ("garbage", Cause.MODEL_CORRUPT, "tiny:8b", "invalid magic characters: 'hell'"),
        ("badmagic", Cause.MODEL_CORRUPT, "tiny:8b", "invalid magic characters: 'XXXX'"),
        ("trunc_half", Cause.MODEL_CORRUPT, "tiny:8b", "not within the file bounds"),
        ("trunc_header", Cause.MODEL_CORRUPT, "tiny:8b", "failed to read key-value pairs"),
    ],
)
def test_models_that_cannot_be_loaded(
    title: str, cause: Cause, subject: str, evidence: str
) -> None:
    problem = diagnose(1, sections("fail_models")[title], CONTEXT)
    assert (problem.cause, problem.subject) == (cause, subject)
    assert evidence in problem.evidence[0]
    assert problem.next


def test_a_projector_that_is_refused_is_named_and_not_its_model() -> None:
    """As llama-server 11434 says it of a file that is none; its other words blame a GGUF."""
    lines = [
        "gguf_init_from_file_ptr: failed to read magic",
        "clip_init: failed to load model '/m/eye': clip_model_loader: failed to load CLIP model",
        "mtmd_init_from_file: error: Failed to load CLIP model from /m/eye",
        "srv    load_model: failed to load multimodal model, '/m/eye'",
        "srv  llama_server: exiting due to model loading error",
    ]
    problem = diagnose(1, lines, CONTEXT)
    assert (problem.cause, problem.subject) == (Cause.MODEL_REFUSED, "/m/eye")
    assert problem.evidence[0].endswith("failed to load multimodal model, '/m/eye'")


@pytest.mark.parametrize(
    ("title", "subject", "evidence"),
    [
        ("local, -c 4000000, -fit off (exit 1)", "this machine", "92160000000"),
        ("rpc, -c 4000000, -fit off (exit 1)", "127.0.0.1:21052", "92160000000"),
        ("backend limited to 60 MB (exit 1)", "127.0.0.1:21052", "96576768"),
    ],
)
def test_memory_that_runs_out_is_found_where_it_did(
    title: str, subject: str, evidence: str
) -> None:
    problem = diagnose(1, sections("fail_memory")[title], CONTEXT)
    assert (problem.cause, problem.subject) == (Cause.OUT_OF_MEMORY, subject)
    assert any(evidence in line for line in problem.evidence)
    assert "context_tokens" in problem.next


def test_a_gpu_of_this_machine_is_named() -> None:
    lines = [
        "E ggml_backend_cuda: allocating 9000.00 MiB on device 0: cudaMalloc failed: out of memory",
        "E ggml_gallocr: failed to allocate CUDA0 buffer of size 9437184000",
    ]
    assert diagnose(1, lines, CONTEXT).subject == "CUDA0 of this machine"


def test_the_backend_that_had_no_room_is_named_though_one_line_is_all_there_is() -> None:
    line = f"E error loading model: unable to allocate RPC0[{TWO}] buffer"
    assert diagnose(1, [line], CONTEXT).subject == TWO


def test_a_port_that_is_taken() -> None:
    problem = diagnose(1, sections("fail_port_in_use")["llama-server (exit 1)"], CONTEXT)
    assert (problem.cause, problem.subject) == (Cause.PORT_TAKEN, "127.0.0.1:21080")
    assert problem.evidence == (
        "srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 21080",
        "srv  llama_server: exiting due to HTTP server error",
    )


def test_a_backend_that_refuses() -> None:
    problem = diagnose(-6, sample("fail_backend_unreachable"), Context(elapsed_s=0.03))
    assert (problem.cause, problem.subject) == (Cause.BACKEND_REFUSED, "127.0.0.1:21059")
    assert problem.evidence[0].endswith("Failed to connect to 127.0.0.1:21059")


@pytest.mark.parametrize(
    "context", [Context(elapsed_s=134.0), Context(silent=("127.0.0.1:21059",))]
)
def test_a_backend_that_answers_nothing_is_not_one_that_refuses(context: Context) -> None:
    problem = diagnose(-6, sample("fail_backend_unreachable"), context)
    assert (problem.cause, problem.subject) == (Cause.BACKEND_UNREACHABLE, "127.0.0.1:21059")
    assert "firewall" in problem.next


@pytest.mark.parametrize(
    "name", ["fail_backend_killed_midstream", "fail_backend_killed_midstream_backtrace"]
)
def test_a_backend_that_is_lost_is_the_one_whose_connection_broke(name: str) -> None:
    context = CONTEXT._replace(phase=Phase.READY, lost=(TWO,))
    problem = diagnose(-6, sample(name), context)
    assert (problem.cause, problem.subject) == (Cause.BACKEND_LOST, TWO)
    assert problem.evidence[-1].endswith(LOST)


def test_which_backend_was_lost_may_be_unknown() -> None:
    assert diagnose(-6, [STARTED, LOST], CONTEXT).subject == f"{ONE} or {TWO}"


def test_a_connection_that_breaks_before_the_first_line_is_another_protocol() -> None:
    """Versions before 4 close on HELLO: the same words as for a lost backend (RPC:354)."""
    context = Context(backends=(ONE, TWO), protocols=((ONE, "7.0.0"), (TWO, "3.6.0")))
    problem = diagnose(-6, [LOST.replace("566", "354")], context)
    assert problem.cause is Cause.BACKEND_INCOMPATIBLE
    assert f"{TWO} speaks RPC 3.6.0" in problem.evidence
    assert problem.next.startswith("Install the same llama.cpp build")
    assert diagnose(-6, [STARTED, LOST], context).cause is Cause.BACKEND_LOST
    assert diagnose(-6, [LOST], context._replace(phase=Phase.READY)).cause is Cause.BACKEND_LOST


def test_another_protocol_is_told_with_both_versions() -> None:
    lines = [
        "0.00.007.100 E RPC server version mismatch: 5.0.0",
        f"<src>/ggml-rpc.cpp:550: RPC handshake failed for {TWO}",
    ]
    context = Context(backends=(ONE, TWO), protocols=((ONE, "7.0.0"), (TWO, "5.0.0")))
    problem = diagnose(-6, lines, context)
    assert (problem.cause, problem.subject) == (Cause.BACKEND_INCOMPATIBLE, TWO)
    assert problem.evidence == (
        "RPC server version mismatch: 5.0.0",
        lines[1],
        f"{ONE} speaks RPC 7.0.0",
        f"{TWO} speaks RPC 5.0.0",
    )


@pytest.mark.parametrize(
    ("line", "cause", "subject", "advice"),
    [
        ("error: invalid argument: --rpc", Cause.NO_RPC_SUPPORT, "/opt/llama-server", "GGML_RPC"),
        (
            'error while handling argument "--rpc": RPC not supported in this build',
            Cause.NO_RPC_SUPPORT,
            "/opt/llama-server",
            "GGML_RPC",
        ),
        (
            "error while loading shared libraries: libllama.so.0: cannot open shared object file",
            Cause.NO_BINARY,
            "/opt/llama-server",
            "libllama.so.0",
        ),
        (
            "0.00.000.001 E Cannot resolve host 'worker7'",
            Cause.BACKEND_UNREACHABLE,
            "worker7",
            "IPv4",
        ),
        (
            "ggml-rpc.cpp:539: Failed to parse endpoint: 10.0.0.9",
            Cause.BACKEND_UNREACHABLE,
            "10.0.0.9",
            "host:port",
        ),
        (
            "E gguf_init_from_file: failed to open GGUF file '/m/x.gguf' (Permission denied)",
            Cause.MODEL_UNREADABLE,
            "/m/x.gguf",
            "right to read",
        ),
        (
            "E error loading model: unknown model architecture: 'gptoss'",
            Cause.MODEL_REFUSED,
            "tiny:8b",
            "Ollama node",
        ),
        (
            "E error loading model hyperparameters: key not found in model: gemma3.x",
            Cause.MODEL_REFUSED,
            "tiny:8b",
            "Ollama node",
        ),
        (
            "E done_getting_tensors: wrong number of tensors; expected 1247, got 808",
            Cause.MODEL_REFUSED,
            "tiny:8b",
            "Ollama node",
        ),
        (
            "E CLIP cannot be used as main model, use it with --mmproj instead",
            Cause.MODEL_REFUSED,
            "tiny:8b",
            "Ollama node",
        ),
        (
            "E load_all_data: tensor 'blk.0.ffn_up.weight' has invalid data",
            Cause.MODEL_CORRUPT,
            "tiny:8b",
            "again",
        ),
        (
            "error: invalid argument: --log-jsonl",
            Cause.UNKNOWN,
            "127.0.0.1:18080",
            "does not know --log-jsonl",
        ),
    ],
)
def test_single_lines_that_decide(line: str, cause: Cause, subject: str, advice: str) -> None:
    general = "0.00.611.922 E srv  llama_server: exiting due to model loading error"
    problem = diagnose(1, [STARTED, line, general], CONTEXT)
    assert (problem.cause, problem.subject) == (cause, subject)
    assert advice in problem.next
    assert len(problem.evidence) == 1
    assert problem.evidence[0] in line


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("E check_tensor_dims: tensor 'blk.0.ffn_up.weight' not found", Cause.MODEL_REFUSED),
        ("E key split.count has wrong type u32 but expected type u16", Cause.MODEL_REFUSED),
        ("E llama_model_load: error loading model: a reason of tomorrow", Cause.MODEL_REFUSED),
        ("E gguf_init_from_reader: something is wrong with the bytes", Cause.MODEL_CORRUPT),
    ],
)
def test_the_loaders_own_words_are_believed(line: str, cause: Cause) -> None:
    problem = diagnose(1, [STARTED, line], CONTEXT)
    assert problem.cause is cause
    assert problem.evidence == (line,)


def test_a_name_that_has_no_address_says_so_in_the_next_step() -> None:
    """The line that tells it is lost in the abort."""
    line = "ggml-rpc.cpp:547: Failed to connect to worker7:50052"
    problem = diagnose(-6, [line], Context(elapsed_s=0.03))
    assert (problem.cause, problem.subject) == (Cause.BACKEND_REFUSED, "worker7:50052")
    assert problem.next.startswith("Look whether that name has an IPv4 address here.")


def test_json_lines_are_read_too() -> None:
    line = (
        '{"type":"log","time":612319,"level":"error","msg":"ggml_backend_buft_alloc_buffer_n_default:'
        ' failed to allocate RPC0[10.0.0.2:50052] buffer of size 96576768\\n"}'
    )
    problem = diagnose(1, [line], CONTEXT)
    assert (problem.cause, problem.subject) == (Cause.OUT_OF_MEMORY, ONE)
    assert problem.evidence[0].startswith("ggml_backend_buft_alloc_buffer_n_default")


def test_memory_is_a_better_cause_than_the_model_that_failed_to_load() -> None:
    """One failure prints several lines; the general ones decide nothing."""
    lines = sections("fail_memory")["backend limited to 60 MB (exit 1)"]
    assert any("failed to load model" in line for line in lines)
    assert diagnose(1, lines, CONTEXT).cause is Cause.OUT_OF_MEMORY


# Ends without a word


@pytest.mark.parametrize(
    ("code", "cause", "words"),
    [
        (-11, Cause.COORDINATOR_CRASHED, "ended by signal 11 (SIGSEGV)"),
        (134, Cause.COORDINATOR_CRASHED, "ended by signal 6 (SIGABRT)"),
        (-9, Cause.COORDINATOR_CRASHED, "ended by signal 9 (killed)"),
        (-15, Cause.UNKNOWN, "ended by signal 15 (SIGTERM)"),
        (0, Cause.UNKNOWN, "ended with exit code 0"),
        (1, Cause.UNKNOWN, "ended with exit code 1"),
    ],
)
def test_an_end_without_a_known_line(code: int, cause: Cause, words: str) -> None:
    told = 'cmd_child_to_router:state:{"state":"ready"}'  # which is for no person
    problem = diagnose(code, [STARTED, "something new", told], CONTEXT)
    assert (problem.cause, problem.subject) == (cause, "127.0.0.1:18080")
    lines = ("srv  llama_server: initializing ...", "something new")
    from_outside = code in {-9, -15, 0}  # then the log's last lines are harmless
    assert problem.evidence == ((words, *lines) if from_outside else (*lines, words))


def test_a_kill_by_nobody_hints_at_the_kernels_memory_killer() -> None:
    assert "oom-kill" in diagnose(-9, [], CONTEXT).next


def test_a_failed_assertion_is_shown_though_lines_followed() -> None:
    lines = ["/src/ggml.c:10: GGML_ASSERT(a == b) failed", *(f"line {i}" for i in range(50))]
    problem = diagnose(-6, lines, CONTEXT)
    assert problem.cause is Cause.COORDINATOR_CRASHED
    assert problem.evidence[0] == lines[0]
    assert len(problem.evidence) <= MAX_EVIDENCE + 1


def test_a_debuggers_lines_are_no_evidence() -> None:
    lines = [x for x in sample("fail_backend_killed_midstream_backtrace") if "Remote RPC" not in x]
    problem = diagnose(-6, lines, CONTEXT)
    assert problem.cause is Cause.COORDINATOR_CRASHED
    assert not any("LWP" in e or "#0" in e for e in problem.evidence)


def test_an_end_that_we_caused_is_no_crash() -> None:
    problem = diagnose(-9, [STARTED], CONTEXT._replace(stopped_by_us=True))
    assert problem.cause is Cause.UNKNOWN


def test_an_empty_log_is_no_obstacle() -> None:
    problem = diagnose(1, [])
    assert problem.cause is Cause.UNKNOWN
    assert problem.evidence == ("ended with exit code 1",)


def test_evidence_is_bounded_and_harmless() -> None:
    lines = [f"E failed to allocate CPU buffer of size {i}\x1b[2J" + "x" * 9000 for i in range(99)]
    evidence = diagnose(1, lines, CONTEXT).evidence
    assert len(evidence) == MAX_EVIDENCE
    assert all(len(e) <= 400 and "\x1b" not in e for e in evidence)


# Silence


def test_silence_before_the_first_line_is_a_backend_that_somebody_holds() -> None:
    problem = diagnose(None, [], Context(elapsed_s=12.0, backends=(ONE, TWO), held=(TWO,)))
    assert (problem.cause, problem.subject) == (Cause.BACKEND_BUSY, TWO)
    assert problem.evidence[-1] == "for 12 s"


def test_silence_before_the_first_line_with_a_silent_backend_is_an_unreachable_one() -> None:
    problem = diagnose(None, [], Context(elapsed_s=12.0, backends=(ONE, TWO), silent=(ONE,)))
    assert (problem.cause, problem.subject) == (Cause.BACKEND_UNREACHABLE, ONE)


def test_silence_while_loading_hangs() -> None:
    context = CONTEXT._replace(elapsed_s=320.0, silent=(TWO,))
    problem = diagnose(None, [STARTED, "0.00.100.000 I load_tensors: loading"], context)
    assert (problem.cause, problem.subject) == (Cause.COORDINATOR_HUNG, "127.0.0.1:18080")
    assert problem.evidence == (
        "srv  llama_server: initializing ...",
        "load_tensors: loading",
        "no progress after 320 s",
        f"no answer from {TWO}",
    )


def test_silence_when_ready_hangs() -> None:
    problem = diagnose(None, [], CONTEXT._replace(phase=Phase.READY))
    assert problem.cause is Cause.COORDINATOR_HUNG
