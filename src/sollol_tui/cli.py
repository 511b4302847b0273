"""The `sollol-tui` command: opens the screen, or runs a verb without one.

This module imports nothing that costs time: a screen's first frame waits for all of it.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from sollol_tui.core.settings import Settings
    from sollol_tui.engine.engine import Engine
    from sollol_tui.verbs.arguments import Arguments
    from sollol_tui.verbs.voice import Voice

EXIT_NO_DEMO = 1
EXIT_USAGE = 2
EXIT_BUG = 70  # EX_SOFTWARE
EXIT_OUTPUT = 74  # EX_IOERR: the disk is full, say
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141  # as a shell names a death by SIGPIPE

_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def entry() -> int:
    """What the console script runs; returns the exit code, and never shows a traceback."""
    code = outcome(sys.argv[1:])
    _ignore_ctrl_c()
    return code


def outcome(argv: Sequence[str]) -> int:
    """The exit code of a command line, however it ends: this is the border of the program."""
    try:
        code = main(argv)
        _flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return EXIT_PIPE
    except OSError as error:
        if error.errno not in _DISK_IS_FULL:
            return _stopped_by(error)
        _complain(f"cannot write: {error.strerror}")
        _drop_output()
        return EXIT_OUTPUT
    except Exception as error:  # noqa: BLE001 - every bug ends here, with a report
        return _stopped_by(error)
    return code


def main(argv: Sequence[str]) -> int:
    """Do what the command line says; returns the exit code."""
    gc.disable()  # it costs a tenth of the start; the screen enables it after its first frame
    from sollol_tui.core.settings_merge import SettingsError

    try:
        return _screen(None) if not argv else _understood(argv)
    except SettingsError as error:
        return _wrong(str(error))


def _understood(argv: Sequence[str]) -> int:
    from sollol_tui.verbs.arguments import UsageError, parse

    try:
        arguments = parse(argv)
    except UsageError as error:
        return _wrong(str(error))
    except SystemExit as end:  # argparse, after help and version
        return end.code if isinstance(end.code, int) else 0
    if arguments.verb == "screen":
        return _screen(arguments)
    if arguments.verb == "demo":
        return _demo(arguments)
    gc.enable()
    return _verb(arguments)


def _screen(arguments: Arguments | None) -> int:
    from sollol_tui.io.paths import data_dir, state_dir
    from sollol_tui.io.settings_file import load_settings

    flags = arguments.flags if arguments else ()
    resolved = load_settings(os.environ, flags, arguments.config if arguments else None)
    if not _has_terminal():
        return _wrong('the screen needs a terminal; "sollol-tui status" does without')
    return _run_screen(resolved.settings, state_dir(), data_dir(), demo=False)


def _demo(arguments: Arguments) -> int:
    from sollol_tui.demo.cluster import DemoError
    from sollol_tui.verbs.demo import start_cluster, with_passing_dir
    from sollol_tui.verbs.demo_look import with_look

    if not _has_terminal():
        return _wrong("the demo needs a terminal")
    try:
        cluster = start_cluster()
    except DemoError as error:
        _complain(str(error))
        return EXIT_NO_DEMO
    try:
        settings = with_look(cluster.settings, os.environ, arguments.flags)
        return with_passing_dir(lambda place: _run_screen(settings, place, place, demo=True))
    finally:
        cluster.close()


def _run_screen(settings: Settings, state_dir: Path, data_dir: Path, *, demo: bool) -> int:
    # A key that comes just after a frame waits for the next two: 33 ms at Textual's 60 a second.
    # Nothing here is painted that did not change, so more frames cost nothing.
    os.environ.setdefault("TEXTUAL_FPS", "120")
    for name in ("COLUMNS", "LINES"):  # where exported, they would hide every new size
        os.environ.pop(name, None)
    from sollol_tui.ui.app import run_screen

    return run_screen(settings, state_dir, demo, data_dir)


def _has_terminal() -> bool:
    """Textual reads keys from stdin and draws on stderr; a browser's driver has ways of its own."""
    if os.environ.get("TEXTUAL_DRIVER"):
        return True
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _verb(arguments: Arguments) -> int:
    from sollol_tui.verbs.voice import voice_for

    voice = voice_for(sys.stdout or _nowhere(), sys.stderr or _nowhere(), os.environ)
    if arguments.verb == "chat":
        return _chat(arguments, voice)
    if arguments.verb == "batch":
        return _batch(arguments, voice)
    if arguments.verb == "status":
        return _status(arguments, voice)
    if arguments.verb == "check":
        return _check(arguments, voice)
    if arguments.verb == "coordinator":
        return _coordinator(arguments, voice)
    if arguments.verb == "worker":
        return _worker(arguments, voice)
    if arguments.verb == "paths":
        from sollol_tui.verbs.paths import show_paths

        return show_paths(os.environ, arguments.config, voice)
    from sollol_tui.verbs.config import show_config, show_example

    if arguments.verb == "config example":
        return show_example(voice)
    from sollol_tui.io.settings_file import load_settings

    resolved = load_settings(os.environ, arguments.flags, arguments.config)
    return show_config(resolved, voice, as_json=arguments.as_json)


def _status(arguments: Arguments, voice: Voice) -> int:
    from sollol_tui.io.settings_file import load_settings
    from sollol_tui.verbs.status import status

    resolved = load_settings(os.environ, arguments.flags, arguments.config)
    voice = voice._replace(ascii=resolved.settings.ascii)
    return status(
        lambda: _engine(resolved.settings, supervises=False),
        resolved,
        voice,
        as_json=arguments.as_json,
    )


def _chat(arguments: Arguments, voice: Voice) -> int:
    from sollol_tui.io.settings_file import load_settings
    from sollol_tui.verbs.chat import chat, read_prompt, with_target
    from sollol_tui.verbs.pictures import read_pictures

    resolved = load_settings(os.environ, arguments.flags, arguments.config)
    prompt = read_prompt(arguments.prompt, sys.stdin)
    if not prompt:
        return _wrong("chat wants a PROMPT, or - and a text on stdin")
    images = read_pictures(arguments.images)
    if isinstance(images, str):
        return _wrong(images)
    voice = voice._replace(ascii=resolved.settings.ascii)
    for note in resolved.notes:
        voice.tell(note)
    settings = with_target(resolved.settings, arguments.target)
    return chat(
        lambda: _engine(settings),
        settings,
        prompt,
        voice,
        target=arguments.target,
        as_json=arguments.as_json,
        keep=arguments.keep,
        parallel=arguments.parallel,
        images=images,
    )


def _batch(arguments: Arguments, voice: Voice) -> int:
    from sollol_tui.io.paths import state_dir
    from sollol_tui.io.settings_file import load_settings
    from sollol_tui.verbs.batch import BatchCall, batch

    assert arguments.batch is not None
    resolved = load_settings(os.environ, arguments.flags, arguments.config)
    settings = resolved.settings
    voice = voice._replace(ascii=settings.ascii)
    for note in resolved.notes:
        voice.tell(note)
    call = BatchCall(arguments.batch, settings, state_dir(), arguments.as_json)
    return batch(lambda: _engine(settings), call, voice)


def _check(arguments: Arguments, voice: Voice) -> int:
    from sollol_tui.io.paths import state_dir
    from sollol_tui.verbs.check import check
    from sollol_tui.verbs.check_settings import examination

    what = examination(arguments, os.environ, state_dir())
    voice = voice._replace(ascii=what.settings.ascii)
    return check(what, voice, as_json=arguments.as_json)


def _coordinator(arguments: Arguments, voice: Voice) -> int:
    from sollol_tui.io.paths import state_dir
    from sollol_tui.io.settings_file import load_settings
    from sollol_tui.verbs.coordinator import CoordinatorCall, coordinator

    assert arguments.coordinator is not None
    resolved = load_settings(os.environ, arguments.flags, arguments.config)
    call = CoordinatorCall(arguments.coordinator, resolved, state_dir(), arguments.as_json)
    return coordinator(call, voice)


def _worker(arguments: Arguments, voice: Voice) -> int:
    from sollol_tui.io.paths import state_dir
    from sollol_tui.io.settings_file import load_settings
    from sollol_tui.verbs.worker import WorkerCall, worker
    from sollol_tui.verbs.worker_options import WorkerOptions

    resolved = load_settings(os.environ, arguments.flags, arguments.config)
    options = arguments.worker or WorkerOptions()
    call = WorkerCall(options, resolved, state_dir(), arguments.config, arguments.as_json)
    return worker(call, voice, sys.stdin)


def _engine(settings: Settings, *, supervises: bool = True) -> Engine:
    from sollol_tui.engine.engine import Engine
    from sollol_tui.io.paths import data_dir, state_dir

    # A program that only looks asks nothing: it has no use for the record of requests.
    record = data_dir() if supervises else None
    return Engine(settings, state_dir(), supervises=supervises, data_dir=record)


def _wrong(sentence: str) -> int:
    _complain(sentence)
    return EXIT_USAGE


def _complain(sentence: str) -> None:
    from sollol_tui.core.plain import plain_line

    print(f"sollol-tui: {plain_line(sentence)}", file=sys.stderr)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _drop_output() -> None:
    """Nobody reads our output: what is still buffered must not be tried again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)


def _ignore_ctrl_c() -> None:
    """One more Ctrl-C while the interpreter shuts down would bring a traceback after all."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _stopped_by(error: Exception) -> int:
    """One sentence, and a report where one can be written."""
    from sollol_tui.io.crash_report import write_crash_report
    from sollol_tui.io.paths import state_dir

    path = write_crash_report(error, state_dir())
    where = f"the report is {path}" if path else "no report could be written"
    _complain(f"stopped because of a bug in it ({type(error).__name__}); {where}")
    return EXIT_BUG


if __name__ == "__main__":
    sys.exit(entry())
