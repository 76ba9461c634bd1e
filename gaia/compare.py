"""Two runs side by side, or one by itself: what `gaia report` shows, from their records.

A record is `_gaia/run.json` of a destination, which is `Status.snapshot()` of a finished run. What
is missing in one of another version counts as not known.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from gaia.io.tell import escaped
from gaia.runner import memory

# What differs from run to run, and tells nothing of how they were done.
_INCIDENTAL = ("dest_dir", "resume", "memory_by_default")


def summary(run: dict[str, Any]) -> dict[str, Any]:
    """What there is to say of a run, as plain data.

    `seconds` of a stage are those that it took in this run, 0 if it was skipped; `bytes` what it
    read, decompressed; `skew` of a table is its largest shard over the mean. `profile` has seconds
    of users' code and of Gaia by step, and is empty where the run was not profiled.

    >>> run = {"pipeline": "words", "elapsed": 2.0, "stages": [
    ...     {"name": "read", "phase": "done", "began": 0.0, "ended": 2.0, "bytes_done": 8}]}
    >>> summary(run)["stages"]["read"]["bytes_a_second"]
    4.0
    """
    versions = dict(run.get("versions", {}))
    stages: list[dict[str, Any]] = run.get("stages", [])
    profile: dict[str, Any] = run.get("profile") or {}
    errors: list[dict[str, Any]] = run.get("errors", [])
    return {
        "pipeline": run.get("pipeline"),
        "phase": run.get("phase"),
        "started": run.get("started"),
        "elapsed": run.get("elapsed"),
        "command": versions.pop("command", None),
        "stages": {stage["name"]: _stage(stage) for stage in stages},
        "tables": {name: _table(table) for name, table in run.get("tables", {}).items()},
        "counters": run.get("counters", {}),
        "profile": {
            f"{stage['stage']}: {step['step']}": {"user": step["user"], "gaia": step["gaia"]}
            for stage in profile.get("stages", [])
            for step in stage["steps"]
        },
        "inputs": {s["name"]: s["source"] for s in stages if s.get("source") is not None},
        "settings": {
            name: value
            for name, value in run.get("settings", {}).items()
            if name not in _INCIDENTAL
        },
        "versions": versions,
        "errors": len(errors),
        "failure": next((e.get("text") for e in errors[::-1] if e.get("kind") == "failed"), None),
    }


def _stage(stage: dict[str, Any]) -> dict[str, Any]:
    began, ended = stage.get("began"), stage.get("ended")
    seconds = None if began is None or ended is None else ended - began
    # A stage that was skipped read nothing.
    read = stage.get("bytes_done")
    # What it was resumed with, another run has read.
    now = (read or 0) - stage.get("bytes_resumed", 0)
    return {
        "phase": stage.get("phase"),
        "seconds": seconds,
        "bytes": read,
        "bytes_a_second": now / seconds if now > 0 and seconds else None,
        "records": stage.get("records"),
        "written": stage.get("written"),
        "tasks": stage.get("tasks"),
        "retried": stage.get("retried"),
    }


def _table(table: dict[str, Any]) -> dict[str, Any]:
    shards, size = table["shards"], table["bytes"]
    largest = max((shard["bytes"] for shard in table.get("largest", [])), default=0)
    return {
        "format": f"{table['format']}, {table['compression']}",
        "records": table["records"],
        "bytes": size,
        "raw_bytes": table["raw_bytes"],
        "shards": shards,
        "skew": largest * shards / size if size else None,
    }


def compare(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """How two runs differ, from their records, as plain data.

    Of numbers there is `{"a", "b", "change"}`, where 0.5 is half as much again, and None is for
    what one of them lacks. Stages and tables are all told; counters, settings, versions and inputs
    where they differ.

    >>> found = compare({"elapsed": 8.0}, {"elapsed": 6.0})
    >>> found["elapsed"]
    {'a': 8.0, 'b': 6.0, 'change': -0.25}
    """
    one, two = summary(a), summary(b)
    # By default it is a part of what happens to be free.
    if _memory_by_default(a) and _memory_by_default(b):
        one["settings"].pop("memory", None)
        two["settings"].pop("memory", None)
    heads = ("pipeline", "phase", "started", "elapsed", "command", "errors")
    return {
        "runs": [{name: run[name] for name in heads} for run in (one, two)],
        "elapsed": _both(one["elapsed"], two["elapsed"]),
        **{
            name: {
                key: _each(one[name].get(key, {}), two[name].get(key, {}))
                for key in one[name] | two[name]
            }
            for name in ("stages", "tables", "profile")
        },
        **{
            name: _differing(one[name], two[name])
            for name in ("counters", "inputs", "settings", "versions")
        },
    }


def _memory_by_default(run: dict[str, Any]) -> bool:
    return bool(run.get("settings", {}).get("memory_by_default"))


def _each(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    return {name: _both(a.get(name), b.get(name)) for name in a | b}


def _differing(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    return {name: _both(a.get(name), b.get(name)) for name in a | b if a.get(name) != b.get(name)}


def _both(a: Any, b: Any) -> dict[str, Any]:
    change = b / a - 1 if _is_number(a) and _is_number(b) and a else None
    return {"a": a, "b": b, "change": change}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@attrs.frozen
class Row:
    """A line of a table: what it is of, and its cells. Without cells it is a heading."""

    label: str
    cells: tuple[str, ...] = ()


def summary_lines(found: dict[str, Any], heading: Callable[[str], str] = str) -> Iterator[str]:
    """What `summary` has found, as lines; `heading` may make headings stand out."""
    yield heading(_head(found))
    yield f"  began   {_when(found['started'])}"
    yield f"  took    {_seconds(found['elapsed'])}"
    if (limit := found["settings"].get("limit")) is not None:
        yield f"  limit   the first {_count(limit)} of the records of each input"
    if found["errors"]:
        yield f"  errors  {found['errors']} kept in its record"
    if found["failure"]:
        yield ""
        yield from map(escaped, found["failure"].splitlines())
    for title, shown in (("stages", _STAGE), ("tables", _TABLE), ("profile", _PROFILE)):
        if not found[title]:
            continue
        columns = list(dict.fromkeys(name for each in found[title].values() for name in each))
        columns = [name for name in columns if name in shown]
        rows = [Row(title, tuple(_LABELS.get(name, name) for name in columns))]
        for name, each in found[title].items():
            rows.append(Row(f"  {name}", tuple(shown[key](each.get(key)) for key in columns)))
        yield from _table_lines(rows, heading)
    if found["counters"]:
        rows = [Row("counters", ("",))]
        rows += [Row(f"  {name}", (_count(n),)) for name, n in sorted(found["counters"].items())]
        yield from _table_lines(rows, heading)


def compare_lines(found: dict[str, Any], heading: Callable[[str], str] = str) -> Iterator[str]:
    """What `compare` has found, as lines; `heading` may make headings stand out."""
    for letter, run in zip("AB", found["runs"], strict=True):
        yield heading(f"{letter}: {_head(run)}") + f", began {_when(run['started'])}"
    first, second = found["runs"]
    if first["pipeline"] != second["pipeline"]:
        yield "These are runs of two pipelines; what has one name in both is compared."
    rows = [Row("", ("A", "B", "change")), Row("elapsed", _cells(found["elapsed"], _seconds))]
    for title, shown in (("stages", _STAGE), ("tables", _TABLE), ("profile", _PROFILE)):
        if not found[title]:
            continue
        rows.append(Row(title))
        for name, each in found[title].items():
            cells = [
                Row(f"    {_LABELS.get(key, key)}", _cells(both, shown[key]))
                for key, both in each.items()
                if key in shown and (both["a"] or both["b"])
            ]
            rows += [Row(f"  {name}"), *cells] if cells else []
    if found["counters"]:
        rows.append(Row("counters that differ"))
        rows += [
            Row(f"  {name}", _cells(both, _count))
            for name, both in sorted(found["counters"].items())
        ]
    yield from _table_lines(rows, heading)
    for title in ("inputs", "settings", "versions"):
        if found[title]:
            rows = [Row(f"{title} that differ")]
            for name, both in found[title].items():
                value = _size if name == "memory" else _value
                rows += [Row(f"  {name}"), Row(f"    A  {value(both['a'])}")]
                rows += [Row(f"    B  {value(both['b'])}")]
            yield from _table_lines(rows, heading)


def _head(run: dict[str, Any]) -> str:
    return escaped(f"pipeline {run['pipeline']}: {run['phase'] or 'of unknown outcome'}")


def _cells(both: dict[str, Any], shown: Callable[[Any], str]) -> tuple[str, str, str]:
    change = both["change"]
    if both["a"] == both["b"]:
        text = "="
    elif change is None:
        text = ""
    else:
        text = f"x {change + 1:.3g}" if change >= 1 else f"{change:+.1%}"
    return shown(both["a"]), shown(both["b"]), text


def _table_lines(rows: Iterable[Row], heading: Callable[[str], str]) -> Iterator[str]:
    """The rows below each other: labels to the left, cells to the right; a blank line before."""
    rows = [Row(escaped(row.label), tuple(map(escaped, row.cells))) for row in rows]
    with_cells = [row for row in rows if row.cells]
    wide = max((len(row.label) for row in with_cells), default=0)
    columns = zip(*(row.cells for row in with_cells), strict=True)
    widths = [max(map(len, column)) for column in columns]
    yield ""
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row.cells, widths, strict=False)]
        line = "  ".join([f"{row.label:{wide}}" if cells else row.label, *cells]).rstrip()
        yield line if row.label.startswith(" ") else heading(line)


def _when(started: float | None) -> str:
    if started is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(started))


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 100:
        return f"{value:.2f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _bytes(value: float | None) -> str:
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} TiB"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{_bytes(value)}/s"


def _count(value: Any) -> str:
    return f"{value:,}" if _is_number(value) else "-"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)


def _size(value: float | None) -> str:
    return memory.shown(int(value)) if _is_number(value) and value else "-"


_LABELS = {
    "bytes_a_second": "bytes/s",
    "raw_bytes": "raw bytes",
    "user": "your code",
    "gaia": "Gaia",
}
_STAGE: dict[str, Callable[[Any], str]] = {
    "phase": _value,
    "seconds": _seconds,
    "bytes": _bytes,
    "bytes_a_second": _rate,
    "records": _count,
    "written": _count,
    "tasks": _count,
    "retried": _count,
}
_TABLE: dict[str, Callable[[Any], str]] = {
    "format": _value,
    "records": _count,
    "bytes": _bytes,
    "raw_bytes": _bytes,
    "shards": _count,
    "skew": _ratio,
}
_PROFILE: dict[str, Callable[[Any], str]] = {"user": _seconds, "gaia": _seconds}
