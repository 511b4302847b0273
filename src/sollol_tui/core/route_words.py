"""A routing decision in words: why this one, why another kind than usual, why nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sollol_tui.core.asks import Candidate, RouteDecision
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import ClusterSnapshot

Kind = Literal["node", "coordinator"]

# Refusals that tell how the cluster is made, or what a person wants; the others tell of trouble.
NO_MODEL = "does not have the model"
NOBODY_HAS_IT = "nobody has this model"
NOT_ASKED_FOR = "another target was asked for"
CHOSEN_BY_HAND = "you chose it"
_NO_TROUBLE = (
    NO_MODEL,
    "serves ",
    "cloud model",
    "cannot chat",
    "drained",
    "mode ",
    "another ",
)


def reason_words(
    ranked: list[Candidate],
    rejected: list[Candidate],
    first: Kind,
    why: str,
    anew: Mapping[str, str],
    *,
    by_hand: bool = False,
) -> str:
    """Why the first of `ranked` was chosen; why nothing was, when it is empty.

    Args:
        ranked: who can take it, best first.
        rejected: who cannot, each with its refusal.
        first: the kind that mode and size prefer, and `why`.
        anew: what is said of those that would load the model anew, by target.
        by_hand: the request names its target: nothing was weighed.
    """
    if not ranked:
        return _nothing(rejected)
    best = ranked[0]
    words = [why] if why else []
    if best.kind != first:
        words.append(_fallback_words(rejected, first))
    if by_hand:
        words = [CHOSEN_BY_HAND]
    elif len(ranked) == 1 or ranked[1].kind != best.kind:
        words.append(_only_words(best, rejected))
    else:
        words.append(_comparison(best, ranked[1]))
    words.append(anew.get(best.target, ""))
    return "; ".join(w for w in words if w)


def _only_words(best: Candidate, rejected: list[Candidate]) -> str:
    others = [c for c in rejected if c.kind == best.kind]
    if best.kind == "coordinator":
        return "it serves the model" if not others else "the one that serves the model"
    if others and all(c.rejected == NO_MODEL for c in others):
        return "the only node that has the model"
    return "the only node that can take it" if others else "the only node"


def _fallback_words(rejected: list[Candidate], first: Kind) -> str:
    """Why not the kind that comes first; in short where `stand_in_words` tells more."""
    refusals = [c.rejected for c in rejected if c.kind == first and c.rejected]
    if not refusals:
        return f"no {first} is known"
    if any(_lacks_nothing(refusal) for refusal in refusals):
        return f"no {first} can take it"
    return f"no {first} can take it ({refusals[0]})"


def stand_in_words(best: Candidate, rejected: list[Candidate], first: Kind) -> str:
    """A sentence when another kind of target answers than should; empty when that is how the
    cluster is made: a model that lies nowhere else.
    """
    failing = [c for c in rejected if c.kind == first and _lacks_nothing(c.rejected or "")]
    if best.kind == first or (first == "node" and not failing):
        return ""
    if failing:
        who = _called(failing[0])
        why = f"{who[:1].upper()}{who[1:]} cannot take it ({failing[0].rejected})"
    elif any(c.kind == first for c in rejected):
        why = "No coordinator serves this model"
    else:
        why = "No coordinator is known"
    return f"{why}: {_called(best)} answers instead."


def _called(candidate: Candidate) -> str:
    return candidate.name if candidate.kind == "coordinator" else f"node {candidate.name}"


def _lacks_nothing(refusal: str) -> bool:
    """Whether a target could answer if it were well: it has the model, and may be asked."""
    return not refusal.startswith(_NO_TROUBLE)


def nobodys_fault(decision: RouteDecision, snapshot: ClusterSnapshot) -> Fault:
    """Why a request goes nowhere: what ails the first of those that could take it if they were
    well; nothing found when there is none.
    """
    for candidate in decision.candidates:
        if _lacks_nothing(candidate.rejected or ""):
            target = candidate.target
            state = snapshot.node(target) or snapshot.coordinator(target)
            ails = state.fault if state is not None else None
            return Fault(ails.kind if ails else FaultKind.UNREACHABLE, decision.reason)
    return Fault(FaultKind.NOT_FOUND, decision.reason)


def _comparison(best: Candidate, second: Candidate) -> str:
    if best.score == second.score:
        return f"as good as {second.name}, fewer requests so far"
    other = dict(second.parts)
    gains = {name: value - other.get(name, 0.0) for name, value in best.parts}
    name = max(gains, key=lambda part: gains[part])
    return _GAINS[name].format(second=second.name)


_GAINS = {
    "wait": "shorter queue than {second}",
    "load": "the model is loaded there, not on {second}",
    "first token": "first token sooner than {second}",
    "answer": "writes faster than {second}",
    "failures": "failed less lately than {second}",
    "same conversation": "same conversation as before",
    "not tried yet": "has not been tried with this model yet, unlike {second}",
}


def _nothing(rejected: list[Candidate]) -> str:
    """Each with its refusal; of those that were not asked for nothing is said."""
    if not rejected:
        return "no node and no coordinator is known"
    if all((c.rejected or "") == NO_MODEL for c in rejected):
        return NOBODY_HAS_IT
    asked = [c for c in rejected if c.rejected != NOT_ASKED_FOR] or rejected
    shown = "; ".join(f"{c.name}: {c.rejected}" for c in asked[:4])
    more = f"; and {len(asked) - 4} more" if len(asked) > 4 else ""
    return f"nothing can take it ({shown}{more})"
