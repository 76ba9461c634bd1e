"""A run's numbers as Prometheus reads them: its text format, version 0.0.4."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# A metric's labels, and its value.
_Sample = tuple[Mapping[str, str], float]

_STATES = ("running", "done", "failed")
# By metric: the field of a stage that it shows, and what it is.
_STAGE = {
    "tasks_retried": ("retried", "Attempts at tasks beyond the first"),
    "input_bytes": ("bytes", "Size of a stage's input, decompressed"),
    "read_bytes": ("bytes_read", "How much of it has been read"),
    "records_read": ("records", "Records that finished tasks have read"),
    "records_written": ("written", "Records that finished tasks have written"),
    "shards": ("shards", "Shards of a stage's tables that are put together"),
    "shards_made": ("shards_done", "Shards of these that are whole"),
}
_TABLE = {
    "records": "Records of a finished table",
    "bytes": "Size of a table's files",
    "shards": "Shards of a table",
}


def metrics(snapshot: dict[str, Any]) -> str:
    r"""A snapshot of a run's status as metrics.

    All are gauges: what a task has read counts no more if its worker dies.

    >>> run = {"pipeline": 'a "b"', "phase": "done", "elapsed": 1.5, "versions": {"gaia": "1"}}
    >>> run |= {"stages": [], "tables": {}, "counters": {}, "samples": []}
    >>> print(metrics(run).splitlines()[2])
    gaia_info{pipeline="a \"b\"",version="1"} 1
    """
    return "".join(_lines(snapshot))


def _lines(run: dict[str, Any]) -> Iterator[str]:
    info = {"pipeline": run["pipeline"], "version": run["versions"]["gaia"]}
    yield from _metric("info", "The run", [(info, 1)])
    states = [({"state": state}, int(run["phase"] == state)) for state in _STATES]
    yield from _metric("state", "Whether the run is in a state", states)
    yield from _metric("elapsed_seconds", "Time since the run began", [({}, run["elapsed"])])
    stages = run["stages"]
    tasks = [
        ({"stage": stage["name"], "state": state}, count)
        for stage in stages
        for state, count in (
            ("queued", stage["queued"]),
            ("running", len(stage["running"])),
            ("finished", stage["finished"]),
        )
    ]
    yield from _metric("stage_tasks", "Tasks of a stage by state", tasks)
    for name, (field, told) in _STAGE.items():
        samples = [({"stage": stage["name"]}, stage[field]) for stage in stages]
        yield from _metric(f"stage_{name}", told, samples)
    for name, told in _TABLE.items():
        samples = [({"table": table}, found[name]) for table, found in run["tables"].items()]
        yield from _metric(f"table_{name}", told, samples)
    last = run["samples"][-1] if run["samples"] else {"cpu": {}, "memory": {}}
    cores = [({"worker": worker}, used) for worker, used in last["cpu"].items()]
    yield from _metric("worker_cpu_cores", "Cores that a worker keeps busy", cores)
    memory = [({"worker": worker}, used) for worker, used in last["memory"].items()]
    yield from _metric("worker_memory_bytes", "Memory of a worker", memory)
    counters = [({"counter": name}, count) for name, count in run["counters"].items()]
    yield from _metric("counter", "A counter of the pipeline's, of finished tasks", counters)


def _metric(name: str, told: str, samples: Sequence[_Sample]) -> Iterator[str]:
    yield f"# HELP gaia_{name} {told}.\n# TYPE gaia_{name} gauge\n"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
        yield f"gaia_{name}{{{shown}}} {value}\n" if shown else f"gaia_{name} {value}\n"


def _escaped(text: str) -> str:
    # A name may be that of a file, which need not be Unicode.
    text = text.encode(errors="replace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
