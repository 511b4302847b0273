"""The models of the cluster: one list, where each lies, what cannot be asked; and the picker."""

from __future__ import annotations

from textual.widgets import Static

from sollol_tui.core.ids import CoordinatorUrl, NodeUrl
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    LoadedModel,
    NodeModel,
    NodeState,
    NodeStatus,
)
from sollol_tui.ui.chat.model_picker import ModelPicker
from sollol_tui.ui.chat.models import ModelChoice, best_model, find_model, models_of
from tests.ui.chat_host import RIG, SPARK, Host, shown, until, until_shown

COORDINATOR = "http://10.0.0.1:18080"


def _node(url: str, *models: NodeModel, **more: object) -> NodeState:
    fields = {"status": NodeStatus.UP, **more}
    return NodeState(NodeUrl(url), models=models)._replace(**fields)  # type: ignore[arg-type]


def _coordinator(model: str, status: CoordinatorStatus) -> CoordinatorState:
    return CoordinatorState(
        CoordinatorUrl(COORDINATOR), status=status, model=model, parameters=13e9
    )


def _names(choices: tuple[ModelChoice, ...]) -> list[str]:
    return [choice.name for choice in choices]


def test_a_model_on_several_machines_is_one_choice_with_several_places() -> None:
    snapshot = ClusterSnapshot(
        nodes=(
            _node(RIG, NodeModel("llama3"), name="gpu-rig", loaded=(LoadedModel("Llama3:latest"),)),
            _node(SPARK, NodeModel("LLAMA3:latest", 2_000, 8e9, "Q4_0"), name="spark"),
        ),
        coordinators=(_coordinator("llama3:latest", CoordinatorStatus.READY),),
    )
    (choice,) = models_of(snapshot)
    assert [place.name for place in choice.places] == ["gpu-rig", "spark", "10.0.0.1"]
    assert [place.is_loaded for place in choice.places] == [True, False, True]
    assert (choice.parameters, choice.size_bytes, choice.quantization) == (8e9, 2_000, "Q4_0")
    assert choice.is_usable
    assert choice.is_loaded


def test_what_a_coordinator_of_ours_is_set_to_run_can_be_asked_for_before_it_runs() -> None:
    url = CoordinatorUrl(COORDINATOR)
    at_rest = ClusterSnapshot(set_models=((url, "llama3.3:70b"),))
    (choice,) = models_of(at_rest)
    assert (choice.name, choice.is_usable, choice.is_loaded) == ("llama3.3:70b", True, False)
    assert [place.is_coordinator for place in choice.places] == [True]
    serving = _coordinator("llama3.3:70b", CoordinatorStatus.READY)
    (choice,) = models_of(at_rest._replace(coordinators=(serving,)))
    assert [place.is_loaded for place in choice.places] == [True], "and is there once"
    file = _coordinator("m", CoordinatorStatus.READY)._replace(model_path="/models/m.gguf")
    by_path = ClusterSnapshot(coordinators=(file,), set_models=((url, "/models/m.gguf"),))
    assert _names(models_of(by_path)) == ["m"]


def test_what_cannot_be_asked_comes_last_and_says_why() -> None:
    cloud = NodeModel("a-big:cloud", remote_host="ollama.com")
    embedder = NodeModel("b-embed", capabilities=("embedding",))
    bert = NodeModel("c-minilm", family="bert")
    snapshot = ClusterSnapshot(
        nodes=(
            _node(RIG, cloud, embedder, bert, NodeModel("z-chat", capabilities=("completion",))),
            _node(SPARK, NodeModel("d-lost"), name="spark", status=NodeStatus.DOWN),
        ),
        coordinators=(_coordinator("e-stopped", CoordinatorStatus.STOPPED),),
    )
    choices = models_of(snapshot)
    assert _names(choices) == [
        "z-chat",
        "a-big:cloud",
        "b-embed",
        "c-minilm",
        "d-lost",
        "e-stopped",
    ]
    assert [choice.problem for choice in choices] == [
        "",
        "a stub: it runs at ollama.com",
        "makes embeddings, does not chat",
        "makes embeddings, does not chat",
        "spark is down",
        "the coordinator is stopped",
    ]


def test_a_model_is_usable_when_one_of_its_places_is() -> None:
    snapshot = ClusterSnapshot(
        nodes=(
            _node(RIG, NodeModel("m"), status=NodeStatus.DOWN),
            _node(SPARK, NodeModel("m"), drained=True),
        ),
        coordinators=(_coordinator("m:latest", CoordinatorStatus.LOADING),),
    )
    assert models_of(snapshot)[0].is_usable


def test_another_snapshot_gives_other_models() -> None:
    one = ClusterSnapshot(nodes=(_node(RIG, NodeModel("a")),))
    two = ClusterSnapshot(nodes=(_node(RIG, NodeModel("a"), NodeModel("b")),))
    assert models_of(one) is models_of(one._replace(looked=True))
    assert _names(models_of(two)) == ["a", "b"]
    assert _names(models_of(one)) == ["a"]
    assert models_of(ClusterSnapshot()) == ()


def test_the_best_model_is_the_wanted_one_or_one_that_is_loaded() -> None:
    snapshot = ClusterSnapshot(
        nodes=(
            _node(
                RIG,
                NodeModel("a"),
                NodeModel("b"),
                NodeModel("c", family="bert"),
                loaded=(LoadedModel("b"), LoadedModel("c")),
            ),
        )
    )
    choices = models_of(snapshot)
    assert best_model(choices) == "b"
    assert best_model(choices, "A:latest") == "a"
    assert best_model(choices, "not-there") == "not-there"
    assert best_model(()) == ""
    assert find_model(choices, "") is None


SNAPSHOT = ClusterSnapshot(
    nodes=(
        _node(
            RIG,
            NodeModel("llama3.2:3b", 2_000_000_000, 3.2e9, "Q4_K_M"),
            NodeModel("evil\x1b[2J[/x]:1", 1, 1e9),
            NodeModel("nomic-embed-text", capabilities=("embedding",)),
            name="gpu-rig",
            loaded=(LoadedModel("llama3.2:3b"),),
        ),
        _node(SPARK, NodeModel("qwen3:8b", parameters=8.2e9), name="spark"),
    )
)


class _Picking:
    """A picker on a host, and what was picked."""

    def __init__(self, current: str = "") -> None:
        self.host = Host(Static())
        self.picker = ModelPicker(models_of(SNAPSHOT), current)
        self.picked = list[str | None]()

    def open(self) -> None:
        self.host.push_screen(self.picker, self.picked.append)


async def test_the_picker_lists_models_with_their_places_and_picks_one() -> None:
    picking = _Picking("qwen3:8b")
    async with picking.host.run_test(size=(80, 24)) as pilot:
        picking.open()
        await until_shown(pilot, "● llama3.2:3b", "○ qwen3:8b", "✗ nomic-embed-text", "spark")
        await pilot.press("up", "enter")
        await until(pilot, lambda: picking.picked == ["llama3.2:3b"])


async def test_typing_narrows_by_name_and_by_place() -> None:
    picking = _Picking()
    async with picking.host.run_test(size=(80, 24)) as pilot:
        picking.open()
        await until_shown(pilot, "llama3.2:3b")
        await pilot.press(*"spark")
        await until(pilot, lambda: not any("llama3.2" in line for line in shown(picking.host)))
        await pilot.press("enter")
        await until(pilot, lambda: picking.picked == ["qwen3:8b"])


async def test_a_model_that_cannot_be_asked_says_why_and_is_not_picked() -> None:
    picking = _Picking()
    async with picking.host.run_test(size=(80, 24)) as pilot:
        picking.open()
        await until_shown(pilot, "llama3.2:3b")
        await pilot.press("pagedown", "enter")
        await until_shown(pilot, "cannot be asked: makes embeddings, does not chat")
        assert picking.picked == []
        await pilot.press("escape")
        await until(pilot, lambda: picking.picked == [None])


async def test_the_picker_follows_the_cluster_and_keeps_its_cursor() -> None:
    picking = _Picking("qwen3:8b")
    async with picking.host.run_test(size=(80, 24)) as pilot:
        picking.open()
        await until_shown(pilot, "qwen3:8b")
        more = SNAPSHOT._replace(nodes=(*SNAPSHOT.nodes, _node("http://a:11434", NodeModel("aya"))))
        picking.picker.show_choices(models_of(more))
        await until_shown(pilot, "aya")
        await pilot.press("enter")
        await until(pilot, lambda: picking.picked == ["qwen3:8b"])


async def test_the_picker_says_when_there_is_no_model() -> None:
    host = Host(Static())
    async with host.run_test(size=(80, 24)) as pilot:
        host.push_screen(ModelPicker(()))
        await until_shown(pilot, "ollama pull")
        await pilot.press(*"x", "enter", "down")


async def test_a_narrowed_picker_keeps_its_cursor_and_marks_only_the_model_in_use() -> None:
    picking = _Picking("llama3.2:3b")
    async with picking.host.run_test(size=(80, 24)) as pilot:
        picking.open()
        await until_shown(pilot, "qwen3:8b")
        await pilot.press("3", "down")
        chosen = picking.picker.chosen
        assert chosen is not None
        assert chosen.name != "llama3.2:3b"
        more = SNAPSHOT._replace(nodes=(*SNAPSHOT.nodes, _node("http://a:11434", NodeModel("a3"))))
        picking.picker.show_choices(models_of(more))
        await until_shown(pilot, "a3")
        assert picking.picker.chosen == chosen
        assert picking.picker._current == "llama3.2:3b"


def test_who_sees_is_told_by_those_who_have_the_model() -> None:
    def seen(*places: NodeState | CoordinatorState) -> bool | None:
        nodes = tuple(place for place in places if isinstance(place, NodeState))
        coordinators = tuple(place for place in places if isinstance(place, CoordinatorState))
        (choice,) = models_of(ClusterSnapshot(nodes=nodes, coordinators=coordinators))
        return choice.sees

    blind = _node(RIG, NodeModel("m", capabilities=("completion",)))
    seeing = _node(SPARK, NodeModel("m", capabilities=("completion", "vision")))
    unsaid = _node("http://a:11434", NodeModel("m"))
    coordinator = _coordinator("m:latest", CoordinatorStatus.READY)
    assert (seen(blind), seen(seeing), seen(unsaid)) == (False, True, None)
    assert seen(blind, seeing) is True
    assert seen(unsaid, blind) is False
    assert seen(coordinator) is None
    assert seen(coordinator._replace(sees=True)) is True
    assert seen(coordinator._replace(sees=False), unsaid) is False
