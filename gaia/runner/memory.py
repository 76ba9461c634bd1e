"""How much memory a run may use, and what it is for."""

import os
import re
from collections.abc import Iterator

import attrs

from gaia.errors import PipelineError

MIB = 1 << 20

# What a Python process takes that has imported Gaia and a user's usual modules.
_PROCESS = 64 * MIB
# A worker that may use less than this besides would write in too small pieces.
_LEAST = 16 * MIB
# Of what the machine leaves us; the rest is for the system's cache of files, and for what other
# programs come to need.
_PART = 0.7

# More of these is of no use: buffers hold whole frames of all shards by then, and a table to
# combine in has room for two to four million short keys. With a tenth of that, most keys of a large
# text are written out several times, and word count takes twice as long.
_BUFFERS = 64 * MIB
_COMBINE = 128 * MIB
# A column of texts cannot be larger than 4 GiB, and is counted with its spare room.
_JOIN = 2048 * MIB
# A longer line is no line.
_LINE = 1024 * MIB

_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for unit, base in (("b", 1000), ("ib", 1024))
}


@attrs.frozen
class Budget:
    """What a worker may hold, in bytes: `buffers` of the shards of one table, `combine` of the
    groups of one table that is combined, `join` of what a native joiner keeps, `line` of one
    line of an input."""

    buffers: int
    combine: int
    join: int
    line: int = _LINE


def budget_of(total: int, workers: int, tables: int = 1) -> Budget:
    """The budget of a worker that writes so many tables at once, or none, in a run with so much
    memory.

    Less than it is free to use: buffers can take up to twice their size, because they grow in
    steps, and tables half as much again, because the smaller one is still there while a larger one
    is made. A line is held as it is read, as a value, and as it is written.

    >>> budget_of(24 << 30, workers=2)
    Budget(buffers=67108864, combine=134217728, join=2147483648, line=1073741824)
    >>> budget_of(500_000_000, workers=2)
    Budget(buffers=9333544, combine=24889450, join=49778901, line=18667088)
    """
    free = max(_LEAST, share_of(total, workers) - _PROCESS)
    tables = max(1, tables)
    return Budget(
        buffers=min(_BUFFERS, free // 16 // tables),
        combine=min(_COMBINE, free // 6 // tables),
        join=min(_JOIN, free // 3),
        line=min(_LINE, free // 8),
    )


def most_held(budget: Budget, tables: int, combined: int, joins: bool) -> int:
    """About what a worker holds at most, besides what user code keeps: the process itself, the
    buffers of tables, some of them combined, and a native joiner.

    >>> shown(most_held(budget_of(4 << 30, workers=2), tables=1, combined=1, joins=False))
    '403 MB'
    """
    held = _PROCESS + 2 * budget.buffers * tables + budget.combine * 3 // 2 * combined
    return held + (budget.join if joins else 0)


def share_of(total: int, workers: int) -> int:
    """What one worker may use of a run's memory, all in all; the process that starts the workers
    needs some as well."""
    return max(_PROCESS + _LEAST, (total - _PROCESS) // workers)


def total_memory(share: int, workers: int) -> int:
    """The memory of a run of which each worker may use so much."""
    return _PROCESS + workers * max(_PROCESS + _LEAST, share)


def least_memory(workers: int) -> int:
    """Without this much, so many workers cannot keep within it."""
    return _PROCESS + workers * (_PROCESS + _LEAST)


def parse_size(size: int | str) -> int:
    """A number of bytes, as it is or as a text with a unit.

    >>> parse_size("500MB"), parse_size("1.5 GiB"), parse_size(4096)
    (500000000, 1610612736, 4096)

    Raises:
        PipelineError: It is something else, or not above zero.
    """
    bytes_ = 0
    if type(size) is int:
        bytes_ = size
    elif isinstance(size, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)\s*", size.lower())
        if found and found[2] in _UNITS:
            bytes_ = int(float(found[1]) * _UNITS[found[2]])
    if bytes_ < 1:
        raise PipelineError(
            f'expected a size such as "500MB", "1.5GiB" or a number of bytes, got {size!r}'
        )
    return bytes_


def shown(size: int) -> str:
    """A size as people write it.

    >>> shown(2_140_000_000), shown(64 << 20)
    ('2.1 GB', '67 MB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def default_memory(root: str = "/") -> int:
    """A part of the memory that this machine, and the control groups that we are in, have left.

    `root` is the folder in which `proc` and `sys` are.
    """
    free = [*_left_by_groups(root), _left_by_machine(root)]
    return int(_PART * max(0, min(free)))


def _left_by_machine(root: str) -> int:
    meminfo = _numbers(os.path.join(root, "proc/meminfo"))
    if "MemAvailable:" in meminfo:
        return meminfo["MemAvailable:"] * 1024
    # A system without Linux's files does not tell what others use.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_by_groups(root: str) -> Iterator[int]:
    """What the limits of our control groups leave, the groups' files in the cache not counted."""
    for line in _lines(os.path.join(root, "proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, names = "sys/fs/cgroup", ("memory.max", "memory.current", "file")
        elif "memory" in controllers.split(","):
            top = "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache")
        else:
            continue
        # In a container, the path may be that outside of it; its own group is at the top then.
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts), -1, -1):
            folder = os.path.join(root, top, *parts[:depth])
            limit, used = (_number(os.path.join(folder, name)) for name in names[:2])
            if limit is not None:
                cache = _numbers(os.path.join(folder, "memory.stat")).get(names[2], 0)
                yield limit - max(0, (used or 0) - cache)


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []


def _number(path: str) -> int | None:
    """The number in a file; None where there is no such file, or no limit."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _numbers(path: str) -> dict[str, int]:
    """The numbers in a file by their names."""
    fields = [line.split() for line in _lines(path)]
    return {field[0]: int(field[1]) for field in fields if len(field) > 1 and field[1].isdecimal()}
