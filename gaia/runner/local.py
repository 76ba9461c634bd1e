"""LocalRunner: all cores of this machine."""

import os
from collections.abc import Callable
from typing import Any

from gaia.errors import PipelineError
from gaia.runner.engine import Engine, InlineEngine
from gaia.runner.explanation import Means
from gaia.runner.inputs import Slice
from gaia.runner.memory import default_memory, least_memory, parse_size, shown
from gaia.runner.overrides import overridable
from gaia.runner.processes import ProcessEngine
from gaia.runner.runner import Runner, parts_of, sources_of
from gaia.runner.task import Task

# Jobs below these sizes end before worker processes would have started.
_SMALL_BYTES = 1 << 20
_SMALL_RECORDS = 10_000


class LocalRunner(Runner):
    """Runs pipelines on this machine.

    Args:
        dest_dir: The folder that the tables' folders go to, made if need be: a local path or a URL
            such as `gs://bucket/folder`.
        workers: Number of worker processes; 0 runs everything in the calling process. By default
            one for each core, and none for inputs below 1 MiB or files of `memory://`, which no
            other process sees.
        memory: How much the run may use in all its processes, as `"4GB"` or a number of bytes; by
            default 70 % of what is free in the machine, or in the container. Native operators keep
            within it, and what does not fit goes to `scratch_dir`; a worker whose Python code takes
            more than its share is told of.
        scratch_dir: A local folder for temporary files, as large as the largest table; by default
            in `dest_dir` if that is local, and the system's folder for temporary files if not.
        storage_options: Options for the file system of `dest_dir`, as fsspec takes them.
        filesystem: An fsspec file system to use for `dest_dir` instead.
        resume: Go on with the last run into this `dest_dir`, if it died or was stopped: stages and
            tasks that had finished are not done again, unless their input, their code or what
            they depend on has changed; it tells which are skipped, and why others are not. On a
            `dest_dir` in a store, on the same machine with the same `scratch_dir`.
        verify: Compare the checksums of tables' files before they are read, by joins as well. The
            content of zstd and gzip shards has checksums of its own, which always count.
        max_attempts: How often a part of the input is tried that workers die of. Then it is cut in
            halves, again and again, until the record is found that kills them, and the run stops;
            or goes on without it, where a step says so by `on_error`. With 1, the first death
            stops the run. Without worker processes there is nothing to try again.
        profile: Tell where the time goes, step by step: in your code or in Gaia, and its hottest
            lines; at the end of the run, and in its record. A mapper that does little but write
            small records takes about 5 % more time, others less.
        task_timeout: Seconds after which a worker that is still at one part of the input counts as
            dead; the error shows where its code was. By default none.
        progress: Show how far the run is, once it has taken half a second: on a terminal and in
            notebooks a line for each stage, elsewhere a line on standard error every ten seconds.
        limit: Read the first so many records of each input, in the order of its files, and take
            them through everything: for a try. Of files that are told apart by `FileSpec`s with a
            shard or metadata of their own, so many of each.
        explain: Print what `explain` returns in place of running, and end the program. It is what
            `--explain` of `gaia.arg_parser` does.
        http_port: Serve a page that shows the run while it goes on, at this port; 0 takes one that
            is free. Its address is printed to stderr. Beside the page, `/status.json` has the same
            as data, and `/metrics` for Prometheus. It is only read, but by everybody who reaches
            it. By default there is none.
        http_host: The address at which it is served. By default only this machine reaches it;
            `"0.0.0.0"` is for all.

    >>> import gaia, tempfile
    >>> pipeline = gaia.Pipeline("squares")
    >>> numbers = pipeline.from_records(range(5), name="numbers")
    >>> squares = numbers.map(lambda n: n * n, name="square", output=int)
    >>> _ = squares.write("squares", gaia.TXT).with_mod_n_sharding(2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = gaia.LocalRunner(folder).run(pipeline)
    ...     sorted(result["squares"].records())
    [0, 1, 4, 9, 16]
    """

    @overridable
    def __init__(
        self,
        dest_dir: str | os.PathLike[str],
        workers: int | None = None,
        *,
        memory: int | str | None = None,
        scratch_dir: str | os.PathLike[str] | None = None,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
        resume: bool = False,
        verify: bool = False,
        max_attempts: int = 3,
        task_timeout: float | None = None,
        profile: bool = False,
        progress: bool = True,
        limit: int | None = None,
        explain: bool = False,
        http_port: int | None = None,
        http_host: str = "127.0.0.1",
    ) -> None:
        if workers is not None and workers < 0:
            raise PipelineError(f"expected a number of workers, 0 or more, got {workers}")
        super().__init__(
            dest_dir,
            scratch_dir=scratch_dir,
            storage_options=storage_options,
            filesystem=filesystem,
            resume=resume,
            verify=verify,
            max_attempts=max_attempts,
            task_timeout=task_timeout,
            profile=profile,
            progress=progress,
            limit=limit,
            explain=explain,
            http_port=http_port,
            http_host=http_host,
        )
        if task_timeout is not None and workers == 0:
            raise PipelineError(
                "expected worker processes, which can be ended, for task_timeout, got workers=0"
            )
        self.workers = workers
        self.memory = None if memory is None else parse_size(memory)

    def _workers(self) -> int:
        return self.workers or cores()

    def _means(
        self, workers: int, reads: dict[str, list[Task]], alone: bool
    ) -> tuple[Callable[[bool], Engine], Means]:
        timed = self.attempts.task_timeout is not None
        if alone and (self.workers or timed):
            got = f"workers={self.workers}" if self.workers else "task_timeout"
            raise PipelineError(
                "expected workers=0 for files of memory://, which this process alone sees, got "
                f"{got}"
            )
        few = self.workers is None and not timed and _is_small(reads)
        if alone or self.workers == 0 or few:
            return (lambda drawn: InlineEngine()), Means(
                self.dest_dir, 0, self._memory(1), self.limit
            )
        means = Means(self.dest_dir, workers, self._memory(workers), self.limit)
        return (lambda drawn: ProcessEngine(workers, drawn)), means

    def _shown(self, workers: int, memory: int) -> dict[str, Any]:
        return super()._shown(workers, memory) | {"memory_by_default": self.memory is None}

    def _memory(self, workers: int) -> int:
        least = least_memory(workers)
        if self.memory is None:
            return max(least, default_memory())
        if self.memory < least:
            raise PipelineError(
                f"expected memory of {shown(least)} or more for workers={workers}, got "
                f"{shown(self.memory)}; use more, or fewer workers"
            )
        return self.memory


def cores() -> int:
    """How many cores of this machine are ours."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_small(reads: dict[str, list[Task]]) -> bool:
    slices = [source for source in sources_of(reads) if isinstance(source, Slice)]
    sizes = {part.path: part.file.size for part in parts_of(reads)}
    known = sum(size or 0 for size in sizes.values())
    records = sum(len(source.records) for source in slices)
    return known <= _SMALL_BYTES and records <= _SMALL_RECORDS and None not in sizes.values()
