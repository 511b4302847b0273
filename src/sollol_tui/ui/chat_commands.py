"""What commands do with chats: begin, list, open, rename, delete, export, set things for one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sollol_tui.core.chats import ChatSummary, title_of
from sollol_tui.engine.chats import Chats
from sollol_tui.ui.command import Command
from sollol_tui.ui.prompt_commands import own_mode
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.text import clean

if TYPE_CHECKING:
    from sollol_tui.core.chat_export import Format
    from sollol_tui.core.state import ClusterSnapshot
    from sollol_tui.ui.app import SollolApp
    from sollol_tui.ui.screens.sessions import SessionDeed

RELOADS = "An Ollama node that has the model loaded with another context loads it anew."


def begin_new(app: SollolApp, _argument: str) -> None:
    """Another chat, with nothing said and nothing set; the one before is kept."""
    app.dashboard.bring_chat().new_chat()


def show_sessions(app: SollolApp, argument: str) -> None:
    """The list of chats; the argument is searched for."""
    from sollol_tui.ui.screens.sessions import SessionsScreen

    screen = SessionsScreen(_chats(app), argument, app.engine.store.now_s())
    app.open(screen, partial(_do, app))


def rename(app: SollolApp, argument: str) -> str | None:
    """Give this chat a title; without one, a line to write it on is opened."""
    chats, session = _chats(app), app.dashboard.bring_chat().session
    if not session.turns:
        raise Refused("Nothing was asked in this chat yet: it has no title.")
    if argument:
        _in_turn(app, _rename(app, session.conversation, argument))
        return None
    old = title_of(session.turns[0].prompt)
    _ask_title(app, chats, ChatSummary(session.conversation, old, 0.0, "", 0), again=False)
    return None


def export(app: SollolApp, argument: str) -> None:
    """Write this chat into a file: `[md|json] [path]`."""
    chats, session = _chats(app), app.dashboard.bring_chat().session
    if not session.turns:
        raise Refused("There is nothing to export: nothing was asked in this chat yet.")
    kind, path = _what_to_write(argument)
    _in_turn(app, _export(app, chats, session.conversation, kind, path))


def set_system(app: SollolApp, argument: str) -> str:
    """What the model is told before everything else, in this chat."""
    chat = app.dashboard.bring_chat()
    chat.session.system = argument
    chat.settle()
    if not argument:
        return "No system prompt, from the next question on."
    return f"System prompt, from the next question on: {clean(argument, 300)}"


def set_option(app: SollolApp, argument: str) -> str | None:
    """One option of this chat; without an argument, say what is set."""
    from sollol_tui.ui.chat_options import OPTIONS, described, with_option

    chat = app.dashboard.bring_chat()
    word, _, value = argument.partition(" ")
    if word.casefold() == "mode":  # the router's, no option of a server
        return own_mode(app, value.strip())
    if not argument:
        now = " · ".join(described(chat.options)) or "Nothing is set: the server decides"
        return f"{now}. There is: {', '.join(('mode', *OPTIONS))}."
    before = chat.options
    chat.options = with_option(before, argument)
    chat.settle()
    name, _, _ = argument.partition(" ")
    now = next((d for d in described(chat.options) if d.startswith(name.casefold())), "")
    said = f"{now or f'{name}: the server decides'}, from the next question on."
    if before.context_tokens is None and chat.options.context_tokens is not None:
        said += f" {RELOADS}"
    return said


def _chats(app: SollolApp) -> Chats:
    if app.engine.chats is None:
        raise Refused("Chats are not kept in this run.")
    return app.engine.chats


def _in_turn(app: SollolApp, work: object) -> None:
    """Let it go on beside the screen; a bug in it is said."""
    app.run_worker(work, group="chats", description="the work on chats", exit_on_error=False)  # type: ignore[arg-type]


def _what_to_write(argument: str) -> tuple[Format, str]:
    from sollol_tui.core.chat_export import FORMATS

    word, _, rest = argument.partition(" ")
    for kind in FORMATS:
        if word.casefold() == kind:
            return kind, rest.strip()
    named: Format = "json" if argument.casefold().endswith(".json") else "md"
    return named, argument


# What is done with a chat of the list


def _do(app: SollolApp, chosen: SessionDeed | None) -> None:
    if chosen is None:
        return
    chats, (deed, summary) = _chats(app), chosen
    chat = app.dashboard.bring_chat()
    is_this = summary.id == chat.session.conversation
    if chat.is_streaming and (deed == "open" or (deed == "delete" and is_this)):
        app.tell("An answer is being written: stop it first, with Esc.", refused=True)
    elif deed == "open":
        _in_turn(app, _open(app, chats, summary.id))
    elif deed == "rename":
        _ask_title(app, chats, summary, again=True)
    else:
        _ask_to_delete(app, chats, summary)


async def _open(app: SollolApp, chats: Chats, chat_id: str) -> None:
    from sollol_tui.ui.chat.keeping import session_of
    from sollol_tui.ui.chat.models import find_model

    found = await chats.open(chat_id)
    if found is None:
        app.tell("That chat is gone.", refused=True)
        return
    chat = app.dashboard.bring_chat()
    if chat.is_streaming:  # one that began meanwhile
        app.tell("An answer is being written: stop it first, with Esc.", refused=True)
        return
    chat.new_chat()
    chat.conversation.reopen(session_of(found.chat, found.messages))
    chat.options = found.chat.options
    chat.mode, chat.target = found.chat.mode, found.chat.target
    choice = find_model(chat.models, found.chat.model)
    if choice is not None and choice.is_usable:
        chat.model = choice.name
    chat.show_setup()
    app.dashboard.show_pane("chat")


def _ask_title(app: SollolApp, chats: Chats, summary: ChatSummary, *, again: bool) -> None:
    from sollol_tui.ui.screens.sessions import TitleLine

    async def write(title: str) -> None:
        await _rename(app, summary.id, title)
        if again:
            show_sessions(app, "")

    def use(title: str | None) -> None:
        if title is not None and title.strip():
            _in_turn(app, write(title))
        elif again:
            show_sessions(app, "")

    app.open(TitleLine(clean(summary.title)), use)


async def _rename(app: SollolApp, chat_id: str, title: str) -> None:
    new = clean(" ".join(title.split()), 200)
    if await _chats(app).rename(chat_id, new):
        app.tell(f"This chat is called “{new}” now.")
    else:
        app.tell("Not renamed: that chat is gone.", refused=True)


def _ask_to_delete(app: SollolApp, chats: Chats, summary: ChatSummary) -> None:
    from sollol_tui.ui.screens.confirm import YES, ConfirmScreen

    async def delete() -> None:
        chat = app.dashboard.bring_chat()
        if summary.id == chat.session.conversation and not chat.is_streaming:
            begin_new(app, "")
        await chats.delete(summary.id)
        app.tell(f"Deleted “{clean(summary.title)}”.")
        show_sessions(app, "")

    def use(answer: str | None) -> None:
        if answer == YES:
            _in_turn(app, delete())
        else:
            show_sessions(app, "")

    note = "It cannot be brought back."
    app.open(ConfirmScreen(f"Delete “{clean(summary.title)}”?", "Delete it", note), use)


async def _export(app: SollolApp, chats: Chats, chat_id: str, kind: Format, path: str) -> None:
    try:
        where = await chats.export(chat_id, kind, path)
    except LookupError:
        app.tell("Not written: that chat is gone.", refused=True)
    except OSError as error:
        app.tell(f"Not written: {error.strerror or error} · {error.filename or path}", refused=True)
    else:
        app.tell(f"Written to {where}")


def _option_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    from sollol_tui.ui.chat_options import option_choices

    return option_choices(snapshot)


def _format_choices(_snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return ("md", "json")


CHAT_COMMANDS: tuple[Command, ...] = (
    Command(
        "new",
        "New chat",
        "Begin another chat; the one before is kept",
        begin_new,
        words=("clear",),
    ),
    Command(
        "sessions",
        "Chats",
        "The chats of before: search, open, rename, delete",
        show_sessions,
        arguments="[WORDS]",
        words=("chats", "history"),
    ),
    Command(
        "rename",
        "Rename",
        "Give this chat another title",
        rename,
        arguments="[TITLE]",
    ),
    Command(
        "export",
        "Export",
        "Write this chat into a file, as Markdown or JSON",
        export,
        arguments="[md|json] [PATH]",
        choices=_format_choices,
    ),
    Command(
        "system",
        "System prompt",
        "What the model is told first in this chat; empty: nothing",
        set_system,
        arguments="[TEXT]",
    ),
    Command(
        "set",
        "Set",
        "Set the mode or an option, such as temperature, for this chat",
        set_option,
        arguments="[OPTION VALUE]",
        words=("option",),
        choices=_option_choices,
    ),
)
