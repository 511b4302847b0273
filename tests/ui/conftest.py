"""How long a test waits for an app that has nothing to do."""

from __future__ import annotations

from textual import _wait

# After every key Textual lets two pauses of this length go by in which the process did nothing. Its
# own fiftieth of a second is most of the time that these tests take; what they say does not rest on
# it, as they wait for what they mean to see.
_wait.SLEEP_GRANULARITY = 1 / 400
_wait.SLEEP_IDLE = _wait.SLEEP_GRANULARITY / 20
