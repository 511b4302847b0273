"""The commands about the coordinator and the backends of this machine."""

from __future__ import annotations

from sollol_tui.ui import coordination
from sollol_tui.ui.arguments import (
    model_choices,
    own_backend_choices,
    own_coordinator_choices,
)
from sollol_tui.ui.command import Command

COORDINATOR_COMMANDS: tuple[Command, ...] = (
    Command(
        "coordinator start",
        "Start a coordinator",
        "Show the plan for a coordinator on this machine, then start it",
        coordination.start,
        arguments="[MODEL] [URL]",
        choices=model_choices,
        changes=True,
    ),
    Command(
        "coordinator switch",
        "Switch the model",
        "Let the coordinator run another model",
        coordination.switch,
        arguments="[MODEL] [URL]",
        choices=model_choices,
        changes=True,
    ),
    Command(
        "coordinator restart",
        "Restart the coordinator",
        "Show the plan for the same model, then start it anew",
        coordination.restart,
        arguments="[URL]",
        choices=own_coordinator_choices,
        changes=True,
    ),
    Command(
        "coordinator replan",
        "Plan the coordinator again",
        "Spread the same model over all backends that are free now",
        coordination.restart,
        words=("replan",),
        arguments="[URL]",
        choices=own_coordinator_choices,
        changes=True,
    ),
    Command(
        "coordinator stop",
        "Stop the coordinator",
        "Stop the coordinator that this program started, also while it starts",
        coordination.stop,
        arguments="[URL]",
        choices=own_coordinator_choices,
        changes=True,
    ),
    Command(
        "coordinator retry",
        "Try now",
        "Start the failed coordinator now, without waiting",
        coordination.retry,
        arguments="[URL]",
        choices=own_coordinator_choices,
        changes=True,
    ),
    Command(
        "log",
        "Log",
        "The coordinator's log, live, and that of the run before",
        coordination.show_log,
        arguments="[URL]",
        choices=own_coordinator_choices,
        words=("coordinator log",),
    ),
    Command(
        "rpc start",
        "Start a backend",
        "Start an RPC backend on this machine, for as long as it is needed",
        coordination.start_backend,
        changes=True,
    ),
    Command(
        "rpc stop",
        "Stop a backend",
        "Stop an RPC backend that was started from here",
        coordination.stop_backend,
        arguments="HOST:PORT",
        choices=own_backend_choices,
        changes=True,
    ),
)
