"""What a question would find now: the one way from the engine's state to a routing decision."""

from __future__ import annotations

from collections.abc import Mapping

from sollol_tui.core.asks import AskRequest, RouteDecision
from sollol_tui.core.routing import Circumstances, choose
from sollol_tui.core.settings import Settings
from sollol_tui.engine.ledger import Ledger
from sollol_tui.engine.store import Store

NOTHING: Mapping[str, str] = {}


def weigh(
    request: AskRequest,
    settings: Settings,
    store: Store,
    ledger: Ledger,
    *,
    excluded: Mapping[str, str] = NOTHING,
    decision_id: str = "",
) -> RouteDecision:
    """Where the question goes, with every candidate's score; claims nothing and tells nobody.

    `excluded` are targets that failed it already, and how.
    """
    now_s = store.now_s()
    circumstances = Circumstances(
        snapshot=store.snapshot,
        now_s=now_s,
        threshold_parameters=settings.threshold_parameters,
        records=ledger.records,
        served=ledger.served,
        excluded=excluded,
        affinity=ledger.affinity(request.conversation, now_s),
    )
    return choose(request, circumstances, decision_id)
