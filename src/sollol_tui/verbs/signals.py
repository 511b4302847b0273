"""Ends that are asked for by a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterable

ENDS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
if sys.platform != "win32":
    ENDS = (*ENDS, signal.SIGHUP)


def on_signals(stop: Callable[[], object], numbers: Iterable[signal.Signals] = ENDS) -> None:
    """Call `stop` when one of the signals comes, as long as the running loop does.

    What the parent chose to ignore (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # signals belong to the main thread
    loop = asyncio.get_running_loop()
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop)
