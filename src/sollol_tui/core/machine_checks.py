"""The checks of this machine: settings, terminal, programs, models, the coordinator's port."""

from __future__ import annotations

from collections.abc import Iterator

from sollol_tui.core import units
from sollol_tui.core.findings import (
    Check,
    FilesSeen,
    Findings,
    Level,
    ModelSeen,
    PortSeen,
    ProgramSeen,
    StoreSeen,
    TerminalSeen,
    needs_coordinator,
    problem_check,
)
from sollol_tui.core.orders import Planned
from sollol_tui.core.plain import plain_line
from sollol_tui.core.problems import Cause, Problem

ESCAPE_FELT_MS = 100


def program_checks(found: Findings) -> Iterator[Check]:
    """llama.cpp's programs on this machine."""
    level = Level.FAIL if needs_coordinator(found) else Level.WARN
    held = [b.protocol for b in found.snapshot.backends if b.attached_to is not None and b.protocol]
    speaks = (f"speaks RPC {held[0]}, as the backends that are held",) if held else ()
    yield _program("llama_server", found.llama_server, level, "it starts coordinators", speaks)
    yield _program("rpc_server", found.rpc_server, Level.WARN, "only `sollol-tui worker` needs it")


def _program(
    name: str,
    seen: ProgramSeen | Problem,
    level: Level,
    use: str,
    evidence: tuple[str, ...] = (),
) -> Check:
    if isinstance(seen, Problem):
        return problem_check(name, level, seen, use)
    says = f"version {seen.version}" if seen.version else "is here"
    return Check(name, Level.OK, seen.path, says, evidence)


def model_checks(found: Findings) -> Iterator[Check]:
    """Ollama's store, the model, and whether it fits."""
    yield from map(_store, found.stores)
    if not found.stores:
        looked = tuple(f"not there: {path}" for path in found.looked_in)
        advice = "Pull a model with Ollama, name the store (ollama_models), or give a GGUF's path."
        yield Check("model_store", Level.WARN, "", "no store of Ollama is here", looked, advice)
    yield from map(_set_model, found.set_models)
    level = Level.FAIL if found.asked_model else Level.WARN
    if isinstance(found.model, Problem):
        if found.asked_model or not found.set_models:
            yield _no_model(found.model, level)
        return
    if found.asked_model or not found.set_models:
        yield _model(found.model, "" if found.asked_model else ", the largest here")
    if found.planned is not None and needs_coordinator(found):
        yield from _fit(found.planned, level)


def _set_model(seen: ModelSeen | Problem) -> Check:
    """What a coordinator of ours is set to run is asked for."""
    if isinstance(seen, Problem):
        return problem_check("model", Level.FAIL, seen)
    return _model(seen, ", as set for a coordinator")


def _model(model: ModelSeen, chosen: str) -> Check:
    says = f"{units.size(model.bytes)}, {model.layers} layers{chosen}"
    return Check("model", Level.OK, model.name, says, (model.path,))


def _no_model(problem: Problem, level: Level) -> Check:
    if level is Level.FAIL:
        return problem_check("model", level, problem)
    says = "none was named, and none here is large enough to be split"
    return Check("model", level, "", says, problem.evidence, problem.next)


def _store(seen: StoreSeen) -> Check:
    if seen.models is None:
        says = f"cannot be read: {seen.reason}"
        return Check("model_store", Level.WARN, seen.path, says, (), seen.advice)
    return Check("model_store", Level.OK, seen.path, f"{seen.models} models")


def _fit(planned: Planned, level: Level) -> Iterator[Check]:
    plan = planned.plan
    if plan is None:
        return
    devices = len(plan.devices)
    where = f"{devices} devices and this machine" if devices else "this machine alone"
    if plan.fits:
        says = f"fits on {where} with {plan.context_tokens} tokens of context"
        yield Check("fit", Level.OK, plan.model, says, plan.notes)
        return
    small = [p for p in planned.problems if p.cause is Cause.OUT_OF_MEMORY]
    evidence = tuple(f"{p.subject}: {line}" for p in small for line in p.evidence)
    advice = small[0].next if small else ""
    yield Check("fit", level, plan.model, f"does not fit on {where}", evidence, advice)


def settings_checks(found: Findings) -> Iterator[Check]:
    """Configuration, state directory, SOLLOL's files."""
    seen = found.settings
    if seen.error:
        evidence = ("all below was checked with the defaults and the flags of this command",)
        yield Check("settings", Level.FAIL, seen.source, seen.error, evidence, "Correct it.")
    elif seen.notes:
        says = "some of it was not used"
        yield Check("settings", Level.WARN, seen.source, says, seen.notes, "Read the notes.")
    else:
        says = "read" if seen.is_there else "not there: defaults, variables and flags count"
        yield Check("settings", Level.OK, seen.source, says)
    yield _state_dir(found)
    yield from _sollol_files(found.sollol)


def _state_dir(found: Findings) -> Check:
    if not found.state_dir_problem:
        return Check("state_dir", Level.OK, found.state_dir, "can be written")
    says = f"cannot be written: {found.state_dir_problem}"
    advice = "Give your user the right to write there: mode, logs and records are kept in it."
    return Check("state_dir", Level.FAIL, found.state_dir, says, (), advice)


def _sollol_files(seen: FilesSeen) -> Iterator[Check]:
    if not seen.wanted:
        yield Check("sollol_files", Level.OK, "", "are not read (read_sollol_files = false)")
        return
    if not seen.read and not seen.notes:
        yield Check("sollol_files", Level.OK, "", "none is here")
        return
    level = Level.WARN if seen.notes else Level.OK
    says = f"{len(seen.read)} read" + (", not all of it could be used" if seen.notes else "")
    advice = "Correct these entries, or leave them out." if seen.notes else ""
    yield Check("sollol_files", level, "", says, (*seen.read, *seen.notes), advice)


def terminal_check(seen: TerminalSeen, ascii_only: bool) -> Check:
    """Whether the screen can be drawn well here."""
    evidence = [f"TERM={seen.term or '(not set)'}", f"locale {seen.locale or '(not set)'}"]
    evidence.append("all colours" if seen.truecolor else "256 colours or less (no COLORTERM)")
    wrong, advice = "", ""
    if seen.term in {"", "dumb"}:
        wrong = "it is no terminal for a screen"
        advice = "Start the screen from a terminal that sets TERM."
    elif "utf" not in seen.locale.lower() and not ascii_only:
        wrong = "its locale is not UTF-8"
        advice = "Set LANG to a UTF-8 locale (C.UTF-8 will do), or use --ascii."
    elif seen.escape_time_ms is not None and seen.escape_time_ms > ESCAPE_FELT_MS:
        wrong = f"tmux waits {seen.escape_time_ms} ms after each Esc"
        advice = "Put `set -sg escape-time 10` into ~/.tmux.conf."
    if seen.in_tmux:
        evidence.append("inside tmux: Ctrl+J is the new line of the chat")
        if seen.clipboard and seen.clipboard != "on":
            evidence.append("copying to the clipboard wants `set -g set-clipboard on`")
    shown = tuple(map(plain_line, evidence))
    level = Level.WARN if wrong else Level.OK
    return Check("terminal", level, "", wrong or "the screen can be drawn", shown, advice)


def port_checks(found: Findings) -> Iterator[Check]:
    """Whether each coordinator of ours can listen where it is meant to; the usual one is needed
    when any is."""
    serious = needs_coordinator(found)
    for index, seen in enumerate(found.ports):
        yield _port(seen, serious=serious and index == 0)


def _port(seen: PortSeen, *, serious: bool) -> Check:
    if seen.is_ours:
        kept = f", kept up by sollol-tui (process {seen.keeper_pid})" if seen.keeper_pid else ""
        says = f"the coordinator of ours runs there{kept}"
        return Check("port", Level.OK, seen.address, says, (seen.holder,) if seen.holder else ())
    if seen.free:
        return Check("port", Level.OK, seen.address, "free for a coordinator")
    who = seen.holder or "another user's program"
    if seen.is_llama:
        says = f"a llama-server that somebody else started runs there ({who}): used as it is"
        return Check("port", Level.OK, seen.address, says)
    level = Level.FAIL if serious else Level.WARN
    advice = "Stop that program, or name another port: coordinators in the settings."
    return Check("port", level, seen.address, f"taken by {who}", (), advice)
