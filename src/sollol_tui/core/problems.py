"""A condition that is shown until it ends: typed cause, evidence, and what to do next (S23)."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

NOBODY_NAMED = "(none was named)"
"""The subject of a model that was looked for without a name."""


class Cause(StrEnum):
    """Why a coordinator does not serve. The words are part of the JSON promise."""

    NO_BINARY = "no_binary"
    NO_RPC_SUPPORT = "no_rpc_support"
    PORT_TAKEN = "port_taken"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_UNREADABLE = "model_unreadable"
    MODEL_CORRUPT = "model_corrupt"
    MODEL_REFUSED = "model_refused"
    BACKEND_REFUSED = "backend_refused"
    BACKEND_BUSY = "backend_busy"
    BACKEND_UNREACHABLE = "backend_unreachable"
    BACKEND_INCOMPATIBLE = "backend_incompatible"
    OUT_OF_MEMORY = "out_of_memory"
    BACKEND_LOST = "backend_lost"
    COORDINATOR_HUNG = "coordinator_hung"
    COORDINATOR_CRASHED = "coordinator_crashed"
    UNKNOWN = "unknown"


class Problem(NamedTuple):
    """One cause with what it concerns (path, address, binary), the lines that show it, the fix."""

    cause: Cause
    subject: str
    evidence: tuple[str, ...]
    next: str  # one sentence: what to do
    said: str = ""  # the sentence, where the cause's usual one does not fit

    @property
    def sentence(self) -> str:
        """The cause as one sentence that names the subject."""
        if self.said:
            return self.said
        if self.subject == NOBODY_NAMED:
            return "No model was named, and none here is large enough to be split."
        return _SENTENCES[self.cause].format(subject=self.subject or "it")


_SENTENCES = {
    Cause.NO_BINARY: "{subject} is not installed here, or does not run.",
    Cause.NO_RPC_SUPPORT: "{subject} was built without RPC.",
    Cause.PORT_TAKEN: "{subject} is used by another program.",
    Cause.MODEL_NOT_FOUND: "The model {subject} is not on this machine.",
    Cause.MODEL_UNREADABLE: "{subject} cannot be read.",
    Cause.MODEL_CORRUPT: "{subject} is damaged or incomplete.",
    Cause.MODEL_REFUSED: "llama.cpp cannot run {subject}.",
    Cause.BACKEND_REFUSED: "The RPC backend {subject} refused the connection.",
    Cause.BACKEND_BUSY: "The RPC backend {subject} is held by another coordinator.",
    Cause.BACKEND_UNREACHABLE: "The RPC backend {subject} does not answer.",
    Cause.BACKEND_INCOMPATIBLE: "The RPC backend {subject} speaks another protocol version.",
    Cause.OUT_OF_MEMORY: "There is not enough memory on {subject}.",
    Cause.BACKEND_LOST: "The RPC backend {subject} was lost.",
    Cause.COORDINATOR_HUNG: "The coordinator {subject} hangs.",
    Cause.COORDINATOR_CRASHED: "The coordinator {subject} crashed.",
    Cause.UNKNOWN: "The coordinator {subject} ended for an unknown reason.",
}


def problem_json(problem: Problem) -> dict[str, object]:
    """A problem as JSON: cause, subject, evidence, next."""
    return {
        "cause": problem.cause.value,
        "subject": problem.subject,
        "evidence": list(problem.evidence),
        "next": problem.next,
    }


def problem_event_json(at_s: float, problem: Problem) -> dict[str, object]:
    """The event that `coordinator run --json` prints for a problem."""
    return {"at": at_s, "event": "problem", **problem_json(problem)}
