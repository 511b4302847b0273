"""What commands do with the messages of the chat: with the chosen one, else with the last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.ui.arguments import answerer_choices, find_target, nobody
from sollol_tui.ui.command import Command
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.text import clean

if TYPE_CHECKING:
    from sollol_tui.ui.app import SollolApp
    from sollol_tui.ui.chat.models import Place
    from sollol_tui.ui.chat.panel import ChatPanel
    from sollol_tui.ui.chat.turn import Turn

ELSEWHERE = "elsewhere"
_TITLE_CHARS = 40


def retry(app: SollolApp, argument: str) -> None:
    """Ask it again: as before, of another target, or of the one that is named."""
    chat = app.dashboard.bring_chat()
    turn = chat.actions.turn_at_rest()
    if not argument:
        _ask_again(app, turn, chat.actions.retry)
    elif argument.casefold() == ELSEWHERE:
        _anyone_else(app, turn)
    else:
        target = find_target(app.snapshot, argument)
        if target is None or app.snapshot.backend(target) is not None:
            raise nobody(app.snapshot, argument)
        _only(app, turn, target)


def retry_elsewhere(app: SollolApp, _argument: str) -> None:
    """Ask it again of another target, to be chosen from a list."""
    from sollol_tui.ui.screens.choice import ChoiceScreen, Item

    chat = app.dashboard.bring_chat()
    turn = chat.actions.turn_at_rest()
    others = _others(chat, turn)
    if len(others) < 2:
        _anyone_else(app, turn)
        return
    items = [Item(ELSEWHERE, "Whoever the router chooses of them")]
    items += [Item(p.url, clean(p.name), "loaded" if p.is_loaded else "not loaded") for p in others]

    def use(chosen: str | None) -> None:
        if chosen == ELSEWHERE:
            _anyone_else(app, turn)
        elif chosen is not None:
            _only(app, turn, chosen)

    app.open(ChoiceScreen(f"Who answers “{_title(turn)}” instead?", items), use)


def _others(chat: ChatPanel, turn: Turn) -> list[Place]:
    """Who has the model and did not write the last of the answer."""
    from sollol_tui.ui.chat.models import find_model

    choice = find_model(chat.models, chat.model_in_use)
    writer = turn.decisions[-1].target if turn.decisions else None
    places = choice.places if choice is not None else ()
    return [place for place in places if not place.problem and place.url != writer]


def _anyone_else(app: SollolApp, turn: Turn) -> None:
    chat = app.dashboard.bring_chat()
    writer = turn.decisions[-1].target if turn.decisions else None
    if not _others(chat, turn):
        raise Refused(f"Nobody else can be asked for {chat.model_in_use or 'an answer'}.")
    _ask_again(app, turn, partial(chat.actions.retry, avoid=(writer,) if writer else ()))


def _only(app: SollolApp, turn: Turn, target: str) -> None:
    """Mode off would send it to the pinned node: a target that is named comes first."""
    chat = app.dashboard.bring_chat()
    mode = Mode.TASK if (chat.mode or app.snapshot.mode) is Mode.OFF else None
    _ask_again(app, turn, partial(chat.actions.retry, target=target, mode=mode))


def _ask_again(app: SollolApp, turn: Turn, deed: Callable[[Turn], None]) -> None:
    """At once when it is the last one; else what came after it is lost, which is asked first."""
    from sollol_tui.ui.chat.message_actions import questions

    later = app.dashboard.bring_chat().actions.later(turn)
    if not later:
        deed(turn)
        return
    note = f"Its answer and {questions(later)} after it are replaced by the new answer."
    _sure(app, f"Ask “{_title(turn)}” again?", "Ask it again", note, partial(deed, turn))


def go_on(app: SollolApp, _argument: str) -> None:
    """Continue an answer that was stopped, cut, or too long."""
    actions = app.dashboard.bring_chat().actions
    actions.go_on(actions.turn_at_rest())


def again(app: SollolApp, _argument: str) -> None:
    """The one key under an answer that is none, or not whole."""
    actions = app.dashboard.bring_chat().actions
    turn = actions.turn_at_rest()
    if turn.outcome == "complete":
        raise Refused("This answer is whole: /retry asks again.")
    if turn.can_go_on and not actions.later(turn):
        actions.go_on(turn)
    else:
        _ask_again(app, turn, actions.retry)


def edit(app: SollolApp, _argument: str) -> None:
    """Change a question: it comes into the prompt."""
    app.dashboard.show_pane("chat")
    actions = app.dashboard.bring_chat().actions
    actions.edit(actions.turn_at_rest())


def delete(app: SollolApp, _argument: str) -> None:
    """Forget a question with its answer, after a question."""
    chat = app.dashboard.bring_chat()
    turn = chat.actions.turn_at_rest()
    note = "It cannot be brought back."
    if len(chat.session.turns) == 1:
        note += " It is the only one: the chat is deleted with it."
    question = f"Delete “{_title(turn)}” and its answer?"
    _sure(app, question, "Delete both", note, partial(chat.actions.delete, turn))


def _sure(app: SollolApp, question: str, deed: str, note: str, then: Callable[[], None]) -> None:
    from sollol_tui.ui.screens.confirm import YES, ConfirmScreen

    def use(answer: str | None) -> None:
        chat = app.dashboard.bring_chat()
        if answer != YES:
            return
        if chat.is_streaming:  # one that began meanwhile
            app.tell("An answer is being written: nothing was changed.", refused=True)
        else:
            then()

    app.open(ConfirmScreen(question, deed, note), use)


def _title(turn: Turn) -> str:
    text = clean(" ".join(turn.prompt.split()), _TITLE_CHARS + 1)
    return text if len(text) <= _TITLE_CHARS else f"{text[: _TITLE_CHARS - 1]}…"


# Between an answer and its entry in the events


def to_event(app: SollolApp, _argument: str) -> None:
    """Go to the entry of the decision that sent the question where it was answered last."""
    turn = app.dashboard.bring_chat().actions.turn()
    if not turn.decisions:
        raise Refused("Nobody was chosen for this answer.")
    decision, store = turn.decisions[-1], app.engine.store
    number = store.entry_of(decision)
    if number is None or not app.dashboard.panes.events.go_to(str(number)):
        raise Refused("Its entry has left the events: Enter shows the decision itself.")
    app.dashboard.show_pane("events")


def to_answer(app: SollolApp, _argument: str) -> None:
    """Go back from the entry of a routing decision to the answer."""
    store, events = app.engine.store, app.dashboard.panes.events
    if app.dashboard.current != "events":
        raise Refused("This leads from a routing decision to its answer: choose one in the events.")
    has_entry = app.dashboard.subject() is not None and events.cursor_key
    entry = store.entry(int(events.cursor_key)) if has_entry and events.cursor_key else None
    decision = store.decision(entry.decision_id) if entry and entry.decision_id else None
    if decision is None:
        raise Refused("No answer belongs to this entry.")
    chat = app.dashboard.bring_chat()
    for turn in chat.session.turns:
        if decision in turn.decisions:
            app.dashboard.show_pane("chat")
            app.dashboard.set_focus(chat.transcript)
            chat.conversation.choose(turn)
            return
    raise Refused("Its answer is in no open chat.")


def show_decisions(app: SollolApp, turn: Turn) -> None:
    """Where a question went and why, and at each seam who took over and why."""
    from sollol_tui.ui.dialogs import show_detail
    from sollol_tui.ui.panes.events import answer_lines

    lines = answer_lines(tuple(turn.decisions), tuple(turn.seams), app.engine.settings.ascii)
    show_detail(app, "Routing decision", lambda _snapshot, _now_s: lines)


# What the key line offers


def idle(chat: ChatPanel | None) -> frozenset[str]:
    """The commands, and ids of keys, that could do nothing now."""
    turn = chat.conversation.chosen if chat is not None else None
    if chat is None or turn is None:
        return frozenset(_DEEDS)
    left_out = set[str](_DEEDS if chat.is_streaming else ())
    if not turn.can_go_on or chat.actions.later(turn):
        left_out.add("continue")
    if not turn.decisions:
        left_out.add("event")
    handle = chat.transcript.current_handle
    if handle is None or "```" not in handle.source:
        left_out.add("transcript.code")
    return frozenset(left_out)


_DEEDS = ("retry", ELSEWHERE, "continue", "edit", "delete")


def retry_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return (ELSEWHERE, *answerer_choices(snapshot))


MESSAGE_COMMANDS: tuple[Command, ...] = (
    Command(
        "retry",
        "Retry",
        "Ask the question again",
        retry,
        arguments="[elsewhere|NODE]",
        words=("regenerate",),
        choices=retry_choices,
    ),
    Command(
        ELSEWHERE,
        "Elsewhere",
        "Ask somebody else, from a list",
        retry_elsewhere,
        is_of_a_key=True,
    ),
    Command(
        "continue",
        "Continue",
        "Go on with an answer that was stopped or cut",
        go_on,
    ),
    Command(
        "again",
        "Again",
        "Go on with the last answer, or ask it again",
        again,
        is_of_a_key=True,
    ),
    Command(
        "edit",
        "Edit",
        "Change the question, and ask it in its place",
        edit,
    ),
    Command(
        "delete",
        "Delete",
        "Delete the question and its answer",
        delete,
    ),
    Command(
        "event",
        "Event",
        "Go to its routing decision in the events",
        to_event,
    ),
    Command(
        "answer",
        "Answer",
        "Go to the answer of this routing decision",
        to_answer,
        is_of_a_key=True,
    ),
)
