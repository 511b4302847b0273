"""What commands do around the prompt: pictures, the questions that wait, where this chat goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sollol_tui.core.ids import COORDINATOR_PORT, OLLAMA_PORT, coordinator_words, short_name
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.ui.arguments import answerer_choices, find_target, nobody
from sollol_tui.ui.command import Command, Files
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.text import clean

if TYPE_CHECKING:
    from sollol_tui.core.images import Image
    from sollol_tui.ui.app import SollolApp
    from sollol_tui.ui.chat.panel import ChatPanel

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")
AUTO = ("auto", "any", "default")
NONE = ("none", "drop", "clear")

# Pictures


def send_images(app: SollolApp, argument: str) -> str | None:
    """Read pictures that go with the next question; `none` takes them off again."""
    from sollol_tui.core.images import paths_in

    chat = app.dashboard.bring_chat()
    if argument.casefold() in NONE:
        chat.attach(())
        return "No image goes with the question."
    if not argument:
        return _attached(chat.attached)
    model = chat.model_in_use
    if not model:
        raise Refused("No model is chosen yet: one that sees has to be asked.")
    work = _attach(app, chat, model, paths_in(argument))
    app.run_worker(
        work, group="images", description="reading an image", exclusive=True, exit_on_error=False
    )
    return None


def _attached(images: tuple[Image, ...]) -> str:
    if not images:
        return "No image goes with the question. /image PATH sends one; /image none drops it."
    names = ", ".join(clean(image.name, 40) for image in images)
    return f"With the question goes: {names}. /image none drops it."


async def _attach(app: SollolApp, chat: ChatPanel, model: str, paths: tuple[str, ...]) -> None:
    """Ask whether the model sees, then read: nothing is read for one that does not."""
    from sollol_tui.core.images import MOST_IMAGES, Image, ImageRefused
    from sollol_tui.ui.chat.sentences import sees_not

    sees = await app.engine.sees(model)
    if sees is not True:
        why = sees_not(model, chat.models)
        unsaid = f"Nobody who has {clean(model)} says whether it sees images."
        app.tell(f"Not read: {why if sees is False else unsaid}", refused=True)
        return
    room = MOST_IMAGES - len(chat.attached)
    read = await app.engine.here.images(paths[: max(0, room)])
    new = [image for image in read if isinstance(image, Image)]
    for refused in (each for each in read if isinstance(each, ImageRefused)):
        app.tell(f"Not sent: {clean(refused.path, 120)}: {refused.why}.", refused=True)
    chat.attach((*chat.attached, *new)[:MOST_IMAGES])
    if len(paths) > room:
        app.tell(f"At most {MOST_IMAGES} images go with a question.", refused=True)


# The questions that wait


def change_queue(app: SollolApp, argument: str) -> str | None:
    """Bring a question that waits into the prompt; or let all go on, or forget them."""
    chat = app.dashboard.bring_chat()
    queue, word = chat.queue, argument.casefold()
    if not queue:
        raise Refused("No question waits. What is asked while an answer is written does.")
    if word == "clear":
        queue.clear()
        return "The questions that waited are forgotten."
    if word == "go":
        chat.go_on_asking()
        return None
    number = int(word) if word.isdecimal() else 1 if not word else 0
    if not 1 <= number <= len(queue):
        there = "there is 1" if len(queue) == 1 else f"there are {len(queue)}"
        raise Refused(f"There is no waiting question “{clean(argument, 20)}”: {there}.")
    app.dashboard.show_pane("chat")
    if chat.prompt.text:
        chat.prompt.remember(chat.prompt.text)  # what was begun there can be called back
    chat.prompt.show_picked(queue.pick_at(number - 1))
    return None


# Where this chat goes


def pin_node(app: SollolApp, argument: str) -> str | None:
    """Ask only there, in this chat; `auto` leaves it to the router again."""
    if not argument:
        _pick_node(app)
        return None
    chat = app.dashboard.bring_chat()
    if argument.casefold() in AUTO:
        chat.target = None
        chat.settle()
        return "The router chooses who answers, in this chat, too."
    snapshot = app.snapshot
    url = find_target(snapshot, argument)
    if url is None or snapshot.backend(url) is not None:
        raise nobody(snapshot, argument)
    chat.target = url
    chat.settle()
    name = target_words(snapshot, url)
    return f"{name} answers in this chat from the next question on, and nobody else."


def _pick_node(app: SollolApp) -> None:
    from sollol_tui.ui.screens.choice import ChoiceScreen, Item

    snapshot = app.snapshot
    items = [Item("node auto", "The router chooses")]
    for url in _answerers(snapshot):
        name = target_words(snapshot, url)
        items.append(Item(f"node {url}", f"Only {name}"))
    app.open(ChoiceScreen("Who answers in this chat?", items), app.run_line)


def _answerers(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return (*(n.url for n in snapshot.nodes), *(c.url for c in snapshot.coordinators))


def target_words(snapshot: ClusterSnapshot, url: str) -> str:
    """How a node or coordinator is called."""
    node, coordinator = snapshot.node(url), snapshot.coordinator(url)
    if coordinator is not None:
        return coordinator_words(clean(coordinator.name) or short_name(url, COORDINATOR_PORT))
    return (clean(node.name) if node is not None else "") or short_name(url, OLLAMA_PORT)


def own_mode(app: SollolApp, argument: str) -> str:
    """The mode of this chat alone; `auto`: that of the app."""
    chat = app.dashboard.bring_chat()
    if argument.casefold() in (*AUTO, ""):
        chat.mode = None
        chat.settle()
        return f"This chat goes by the mode in force, {app.snapshot.mode}."
    try:
        mode = Mode(argument.casefold())
    except ValueError:
        raise Refused(f"“{clean(argument, 40)}” is no mode: task, model, both or auto.") from None
    if mode is Mode.OFF:
        raise Refused("In one chat, /node NODE does what mode off does for all.")
    chat.mode = mode
    chat.settle()
    return f"Mode {mode} in this chat, from the next question on; elsewhere it stays."


def _node_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return ("auto", *answerer_choices(snapshot))


def _queue_choices(_snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return ("go", "clear")


def _image_choices(_snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return ("none",)


PROMPT_COMMANDS: tuple[Command, ...] = (
    Command(
        "node",
        "Node of this chat",
        "Who answers this chat; auto: the router chooses",
        pin_node,
        arguments="[NODE|auto]",
        choices=_node_choices,
    ),
    Command(
        "image",
        "Image",
        "Send images with the question; none drops them",
        send_images,
        arguments="[PATH…|none]",
        words=("images", "add image"),
        choices=_image_choices,
        files=Files(IMAGE_ENDINGS, many=True),
    ),
    Command(
        "queue",
        "Waiting questions",
        "Change a question that waits; go on; clear all",
        change_queue,
        arguments="[NUMBER|go|clear]",
        choices=_queue_choices,
    ),
)
