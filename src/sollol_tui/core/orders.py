"""What somebody wants a coordinator to run, and what came of planning it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.problems import Problem

if TYPE_CHECKING:  # what the first screen does not need stays unloaded
    from sollol_tui.core.plan_values import CoordinatorPlan


class Order(NamedTuple):
    """What somebody wants to run.

    `model` is a name or a path; empty: what the settings name, else the largest in the store.
    `backends` None: all that are free. `strict`: those that are named must all answer.
    """

    model: str = ""
    backends: tuple[BackendAddress, ...] | None = None
    tensor_split: tuple[float, ...] = ()
    gpu_layers: int | None = None
    context_tokens: int | None = None
    host: str = "127.0.0.1"
    port: int = 18080
    strict: bool = True
    alias: str = ""  # the name it is served under; empty: the model's own
    insists: bool = False  # on this model, whatever file the settings name
    slots: int | None = None  # None: as the settings say
    extra: tuple[str, ...] = ()  # more words for the command line
    or_all: bool = False  # where the named backends do not suffice, all that are free will do
    projector: str | None = None  # what it sees pictures with; None: the model's own; empty: none


class Planned(NamedTuple):
    """A plan, or why there is none. Problems beside a plan left something out."""

    plan: CoordinatorPlan | None
    problems: tuple[Problem, ...]
    blocked: bool  # one of the problems forbids to start

    @property
    def startable(self) -> bool:
        """Whether it can be started as planned."""
        return self.plan is not None and self.plan.startable and not self.blocked
