"""A program that plays llama-server: a script that becomes the demo's server.

`install` makes it executable. What it does before that is Python code in the file `way` beside it:
end, print, wait, or set `more` to further words for the server. It tells apart what the engine asks
it (`--help`, `--list-devices`) and takes only the words that the demo's server knows.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HELP = """\
----- common params -----

-h,    --help, --usage                  print usage and exit
-c,    --ctx-size N                     size of the prompt context (default: 0)
-m,    --model FNAME                    model path to load
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM
-fit,  --fit [on|off]                   whether to adjust unset arguments to fit
--rpc SERVERS                           comma-separated list of RPC servers (host:port)
--host HOST                             ip address to listen (default: 127.0.0.1)
--port PORT                             port to listen (default: 8080)
-a,    --alias STRING                   set alias for model name
-np,   --parallel N                     number of server slots (default: -1)
-mm,   --mmproj FILE                    path to a multimodal projector file
--no-mmproj-offload                     keep it on the host
--metrics                               enable prometheus compatible metrics endpoint
"""
CODE = """\
import os, signal, subprocess, sys, time
words, more = sys.argv[1:], []
if "--help" in words:
    sys.stdout.write(HELP)
    sys.exit()
if "--list-devices" in words:
    sys.stdout.write("Available devices:\\n")
    sys.exit()
exec(open(WAY).read())
known = {"-m", "--alias", "--rpc", "--host", "-c", "-np", "--port"}
pairs = [w for a, b in zip(words, words[1:]) if a in known for w in (a, b)]
command = [sys.executable, "-m", "sollol_tui.demo", "llama-server", "--metrics", *pairs, *more]
os.environ["PYTHONPATH"] = SOURCE
if STANDS:
    sys.exit(subprocess.call(command))
os.execv(sys.executable, command)
"""


def install(folder: Path, name: str = "llama-server", *, stands: bool = False) -> Path:
    """The program. With `stands` it stays before the server that it starts, as many scripts do."""
    folder.mkdir(parents=True, exist_ok=True)
    path, way = folder / name, folder / "way"
    way.write_text("")
    head = f"HELP, WAY, SOURCE, STANDS = {HELP!r}, {str(way)!r}, {str(ROOT / 'src')!r}, {stands}"
    path.write_text(f"#!{sys.executable} -SE\n{head}\n{CODE}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def goes(program: Path, way: str) -> None:
    """From the next start on it does this first."""
    program.with_name("way").write_text(way)
