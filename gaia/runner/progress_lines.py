"""How progress reads: a line for every stage, from what `Status.progress` tells."""

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

from gaia.io.tell import escaped

# Rates are those of the last seconds.
_WINDOW = 10.0
# Over a shorter time than that they would be chance.
_LEAST = 0.5
# A task that takes less is not worth a word.
_SLOW = 1.0
_NAME = 28
# A bar has at least and at most so many characters.
_BAR, _LONG_BAR = 6, 20

# A text, and how it is styled.
Span = tuple[str, str]
Line = list[Span]

_COLUMNS = ("name", "bar", "percent", "bytes", "records", "rate", "time", "tasks", "slowest")
_TO_THE_RIGHT = ("percent", "bytes", "records", "rate")
# What a narrow terminal has no room for, the least important first.
_SPARE = ("bar", "slowest", "records", "tasks", "rate", "bytes", "time", "percent")
_STYLES = {"done": "green", "failed": "red", "waiting": "dim", "skipped": "dim"}


class Rates:
    """How many bytes and records a second a stage reads, of late. What an earlier run had read does
    not count."""

    def __init__(self) -> None:
        self._seen: dict[int, deque[tuple[float, int, int]]] = defaultdict(deque)

    def see(self, progress: dict[str, Any]) -> None:
        """Is to be shown how far a run is, again and again."""
        now = progress["elapsed"]
        for stage in progress["stages"]:
            if stage["phase"] != "running":
                continue
            seen = self._seen[stage["number"]]
            if not seen:
                seen.append((stage["began"], stage["bytes_resumed"], stage["records_resumed"]))
            seen.append((now, stage["bytes_read"], stage["records_read"]))
            while len(seen) > 2 and seen[1][0] <= now - _WINDOW:
                seen.popleft()

    def bytes(self, number: int) -> float | None:
        """Bytes a second; None where that is not known yet."""
        seen = self._seen[number]
        took = seen[-1][0] - seen[0][0] if seen else 0.0
        return max(0.0, (seen[-1][1] - seen[0][1]) / took) if took >= _LEAST else None

    def records(self, number: int) -> float | None:
        """Records a second; None where that is not known yet."""
        seen = self._seen[number]
        took = seen[-1][0] - seen[0][0] if seen else 0.0
        return max(0.0, (seen[-1][2] - seen[0][2]) / took) if took >= _LEAST else None


def stage_lines(progress: dict[str, Any], rates: Rates, width: int, height: int) -> list[Line]:
    """A line for every stage, none wider than `width` characters; of more than `height`, those
    around the stage that runs."""
    stages = _around(progress["stages"], height)
    rows = [_row(stage, progress["elapsed"], rates) for stage in stages]
    widths = {
        column: max((len(row.get(column, "")) for row in rows), default=0) for column in _COLUMNS
    }
    widths["name"] = min(widths["name"], _NAME, max(8, width // 3))
    shown = [column for column in _COLUMNS if widths[column]]
    for spare in _SPARE:
        room = width + 2 - sum(widths[column] + 2 for column in shown)
        if room >= 0:
            break
        shown = [column for column in shown if column != spare]
    widths["bar"] += max(0, min(room, _LONG_BAR - _BAR))
    lines = []
    for stage, row in zip(stages, rows, strict=True):
        line = list(_spans(stage, row, {column: widths[column] for column in shown}))
        lines.append(_cropped(line, width))
    return lines


def log_line(progress: dict[str, Any], rates: Rates) -> str:
    """How far the run is, in a line of its own."""
    stages = progress["stages"]
    active = [stage for stage in stages if stage["phase"] in ("running", "committing", "failed")]
    if not active:
        done = sum(stage["phase"] in ("done", "skipped") for stage in stages)
        return f"gaia: {done} of {len(stages)} stages done in {clock(progress['elapsed'])}"
    stage = active[0]
    row = _row(stage, progress["elapsed"], rates)
    cells = [" ".join(row[column].split()) for column in _COLUMNS[2:] if row.get(column)]
    number = f"stage {stage['number'] + 1} of {len(stages)}, "
    return f"gaia: {number}{escaped(stage['name'])}: {', '.join(cells)}"


def _around(stages: list[dict[str, Any]], height: int) -> list[dict[str, Any]]:
    ahead = sum(stage["phase"] in ("done", "skipped") for stage in stages)
    first = max(0, min(ahead - height // 2, len(stages) - height))
    return stages[first : first + max(1, height)]


def _row(stage: dict[str, Any], now: float, rates: Rates) -> dict[str, str]:
    """The texts of a stage, by column. `rest` stands in place of all but the name."""
    name, phase = escaped(stage["name"]), stage["phase"]
    name = name if len(name) <= _NAME else name[: _NAME - 1] + "…"
    if phase == "waiting":
        return {"name": name, "rest": "waiting"}
    if phase == "skipped":
        return {"name": name, "rest": "skipped: an earlier run has finished it"}
    if stage["began"] is None:
        return {"name": name, "rest": phase}
    row = {
        "name": name,
        "bar": "━" * _BAR,
        "percent": f"{int(100 * done_part(stage))}%",
        "bytes": _of(stage["bytes_read"], stage["bytes"], phase),
        "records": f"{count(stage['records_read'])} records",
        "slowest": _slowest(stage, now),
    }
    retried = f"{stage['retried']} retried" if stage["retried"] else ""
    if phase in ("running", "committing"):
        rate = rates.bytes(stage["number"]) if stage["bytes"] else None
        if phase == "committing":
            made = f"shards put together: {stage['shards_done']} of {stage['shards']}"
            return row | {"time": clock(now - stage["began"]), "tasks": made}
        if rate:
            row["rate"] = f"{size(rate)}/s"
            left = stage["bytes"] - stage["bytes_read"]
            row["time"] = f"ETA {clock(left / rate)}"
        elif records := rates.records(stage["number"]):
            row["rate"] = f"{count(int(records))}/s"
        tasks = [f"{len(stage['running'])} running", f"{stage['queued']} queued", retried]
        return row | {"tasks": ", ".join(filter(None, tasks))}
    took = stage["ended"] - stage["began"]
    fresh = stage["bytes_read"] - stage["bytes_resumed"]
    if fresh and took:
        row["rate"] = f"{size(fresh / took)}/s"
    tasks = [f"{stage['tasks']} task{'s' if stage['tasks'] != 1 else ''}", retried]
    time = f"{'failed after' if phase == 'failed' else 'in'} {clock(took)}"
    return row | {"time": time, "tasks": ", ".join(filter(None, tasks))}


def done_part(stage: dict[str, Any]) -> float:
    """How much of a stage is done, from 0 to 1: 1 only when its tables are in their places."""
    if stage["phase"] in ("done", "skipped"):
        return 1.0
    done, of = stage["bytes_read"], stage["bytes"]
    if not of:
        done, of = stage["finished"], stage["tasks"]
    return min(0.99, done / of) if of else 0.0


def _slowest(stage: dict[str, Any], now: float) -> str:
    """The task that has taken longest, finished or not."""
    until = now if stage["ended"] is None else stage["ended"]
    found = [(until - task["began"], task) for task in stage["running"]]
    if stage["slowest"] is not None:
        found.append((stage["slowest"]["took"], stage["slowest"]))
    took, task = max(found, key=lambda pair: pair[0], default=(0.0, None))
    if task is None or took < _SLOW:
        return ""
    which = f"task {task['task']}" if task["shard"] is None else f"shard {task['shard']}"
    return f"slowest: {which} {clock(took)}"


def _spans(stage: dict[str, Any], row: dict[str, str], widths: dict[str, int]) -> Iterator[Span]:
    style = _STYLES.get(stage["phase"], "cyan")
    if "rest" in row:
        yield from [_cell("name", row, widths, "dim"), ("  ", ""), (row["rest"], "dim")]
        return
    gap = False
    for column in widths:
        if gap:
            yield "  ", ""
        gap = True
        if column == "bar":
            done = int(widths["bar"] * done_part(stage))
            yield "━" * done, style
            yield "─" * (widths["bar"] - done), "dim"
            continue
        styles = {"name": "bold", "percent": style, "slowest": "dim"}
        if stage["phase"] == "failed":
            styles["time"] = style
        yield _cell(column, row, widths, styles.get(column, ""))


def _cell(column: str, row: dict[str, str], widths: dict[str, int], style: str) -> Span:
    text, width = row.get(column, ""), widths[column]
    if len(text) > width:
        text = text[: width - 1] + "…"
    return text.rjust(width) if column in _TO_THE_RIGHT else text.ljust(width), style


def _cropped(line: Line, width: int) -> Line:
    """The line without what is beyond the width, and without spaces at its end."""
    left = width
    cropped = []
    for text, style in line:
        cropped.append((text[:left], style))
        left -= len(cropped[-1][0])
    while cropped and not (end := cropped.pop())[0].rstrip():
        pass
    return [*cropped, (end[0].rstrip(), end[1])] if cropped or end[0].strip() else []


def size(number: float) -> str:
    """A number of bytes.

    >>> size(999), size(1234567), size(2.5e9)
    ('999 B', '1.2 MB', '2.5 GB')
    """
    scaled, unit = _scaled(number)
    return f"{scaled} {unit}B"


def _of(done: int, whole: int, phase: str) -> str:
    """So many bytes of so many, in one unit."""
    if not whole:
        return ""
    if phase == "done":
        return size(whole)
    _, unit = _scaled(whole)
    factor = 1000 ** " kMGTPE".index(unit or " ")
    if factor == 1:
        return f"{done}/{whole} B"
    return f"{done / factor:.1f}/{whole / factor:.1f} {unit}B"


def count(number: int) -> str:
    """A number of records.

    >>> count(999), count(25_100_000)
    ('999', '25.1M')
    """
    scaled, unit = _scaled(number)
    return f"{scaled}{unit}"


def _scaled(number: float) -> tuple[str, str]:
    if number < 1000:
        return f"{int(number)}", ""
    for unit in "kMGTP":
        number /= 1000
        if number < 999.95:
            return f"{number:.1f}", unit
    return f"{number / 1000:.1f}", "E"


def clock(seconds: float) -> str:
    """A time in hours, minutes and seconds.

    >>> clock(3), clock(62.7), clock(3723)
    ('0:03', '1:02', '1:02:03')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
