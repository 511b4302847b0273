"""Which layout a terminal of some size gets."""

from __future__ import annotations

from typing import Literal

Arrangement = Literal["tiny", "one", "two", "three"]

LEAST = (50, 12)  # columns, rows
TWO = (110, 32)
THREE = (170, 45)
TALL_ROWS = 32  # from here the tail of the events is a longer one
FLAT_ROWS = 18  # below it there is no room for a tail
STACK_ROWS = 40  # from here one column has room for the three lists of servers at once
STACKED = ("coordinator", "nodes", "rpc", "events")


def arrangement(columns: int, rows: int) -> Arrangement:
    """`tiny`: nothing fits. Else the number of columns of panes side by side."""
    if columns < LEAST[0] or rows < LEAST[1]:
        return "tiny"
    if columns >= THREE[0] and rows >= THREE[1]:
        return "three"
    return "two" if columns >= TWO[0] and rows >= TWO[1] else "one"


def classes(columns: int, rows: int, *, shown: str, is_zoomed: bool) -> dict[str, bool]:
    """The state classes of the dashboard, all that there are, on or off. `shown`: the pane that
    has the focus."""
    wanted = arrangement(columns, rows)
    if is_zoomed and wanted != "tiny":
        wanted = "one"
    flags = {f"-{name}": name == wanted for name in ("tiny", "one", "two", "three")}
    flags["-zoomed"] = is_zoomed
    is_high = wanted == "one" and rows >= STACK_ROWS
    flags["-stack"] = is_high and not is_zoomed and shown in STACKED
    flags["-tall"] = rows >= TALL_ROWS
    flags["-flat"] = rows < FLAT_ROWS
    return flags


def rows_of_two(rows: int, *, is_serving: bool, nodes: int, backends: int, shards: int = 0) -> str:
    """Heights of the two-column grid, as the stylesheet language writes them.

    A coordinator that serves has more to say, one whose shards are known even more; the two tables
    share what is left by their number of rows. Faults do not count: a layout that moves with each
    of them is hard to read.
    """
    events = max(7, rows // 4 - 1)
    coordinator = min(9, rows // 4 - 1) if is_serving else 6
    if shards:
        coordinator = max(coordinator, min(9 + shards, rows // 4 + 2))
    tables = [min(max(count, 3), 9) + 3 for count in (nodes, backends)]
    return f"1 {coordinator} {tables[0]}fr {tables[1]}fr 6 {events} 1"


def rows_of_three(rows: int, *, is_serving: bool, shards: int = 0) -> str:
    """Heights of the three-column grid: there is room for all that a coordinator has to say."""
    coordinator = 12 if is_serving else 10
    if shards:
        coordinator = max(coordinator, min(11 + shards, rows // 3))
    return f"1 {coordinator} 1fr 9 14 1"
