"""ExecutorRunner: the workers of any `concurrent.futures.Executor`."""

import os
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any

from gaia.errors import PipelineError, WorkerError
from gaia.runner import host
from gaia.runner.engine import Death, Engine
from gaia.runner.futures import FutureEngine
from gaia.runner.local import cores
from gaia.runner.memory import default_memory, parse_size
from gaia.runner.overrides import overridable
from gaia.runner.runner import ClusterRunner

# What executors raise in place of a worker's answer, by name, where they do not share a class.
_LOST = ("KilledWorker", "FutureCancelledError", "LostWorkerError")


class ExecutorEngine(FutureEngine):
    """Runs items in the workers of an executor, so many at once.

    An executor has no way to tell all workers something. What items share goes with the first of
    them, and again to every worker that asks.
    """

    def __init__(self, executor: Executor, workers: int) -> None:
        self.workers = workers
        self._executor = executor
        self._name = ""
        self._common = b""
        self._timeout: float | None = None
        self._sent = 0

    def at_once(self) -> int:
        """See `FutureEngine.at_once`."""
        return self.workers

    def _post(self, name: str, common: bytes, timeout: float | None) -> None:
        self._name, self._common, self._timeout = name, common, timeout
        self._sent = 0

    def _submit(self, item: bytes, again: bool) -> Future[Any]:
        first = again or self._sent < self.workers
        self._sent += 1
        shared = self._common if first else None
        try:
            return self._executor.submit(_call, self._name, shared, item, self._timeout)
        except Exception as error:  # Executors raise whatever they like.
            raise WorkerError(f"the executor takes no more tasks: {error}") from None

    def _answer(self, future: Future[Any]) -> bytes | Death | None:
        try:
            answer: bytes | Death | None = future.result()
            return answer
        except (BrokenExecutor, CancelledError) as error:
            return _lost(error)
        except Exception as error:  # Executors raise whatever they like.
            if type(error).__name__ in _LOST:
                return _lost(error)
            raise WorkerError(f"the executor could not run a task: {error!r}") from None

    def _leave(self, futures: list[Future[Any]]) -> None:
        for future in futures:
            future.cancel()


def _lost(error: BaseException) -> Death:
    told = str(error) or type(error).__name__
    return Death(f"of the executor was lost in the middle of a task ({told})")


def _call(
    name: str, shared: bytes | None, item: bytes, timeout: float | None
) -> bytes | Death | None:
    if shared is not None and not host.has(name):
        host.keep(name, shared)
    return host.run(name, item, timeout)


class ExecutorRunner(ClusterRunner):
    """Runs pipelines in the workers of an executor: a thread or process pool of Python's, or that
    of a cluster, such as `dask.distributed`'s `Client.get_executor()`.

    Each thread of the executor's workers starts a process of its own for the tasks. The executor is
    left open.

    Args:
        dest_dir: The folder that the tables' folders go to, made if need be: a URL such as
            `gs://bucket/folder`, or a path that is the same folder for all workers.
        executor: Whatever has `submit` as `concurrent.futures.Executor` has it.
        max_tasks: How many tasks it is given at once; by default one for each core of this machine.
        task_memory: How much one task may use, as `"2GB"` or a number of bytes; by default its part
            of 70 % of what is free on this machine.
        scratch_dir: A folder of every worker for temporary files; by default the system's.
        storage_options, filesystem, resume, verify: As `LocalRunner` has them.
        max_attempts, task_timeout, profile, progress, limit: As `LocalRunner` has them.
        explain, http_port, http_host: As `LocalRunner` has them.

    >>> import concurrent.futures, gaia, tempfile
    >>> pipeline = gaia.Pipeline("squares")
    >>> numbers = pipeline.from_records(range(5), name="numbers")
    >>> squares = numbers.map(lambda n: n * n, name="square", output=int)
    >>> _ = squares.write("squares", gaia.TXT).with_mod_n_sharding(2)
    >>> with concurrent.futures.ThreadPoolExecutor(2) as pool:
    ...     with tempfile.TemporaryDirectory() as folder:
    ...         result = gaia.ExecutorRunner(folder, pool, max_tasks=2).run(pipeline)
    ...         sorted(result["squares"].records())
    [0, 1, 4, 9, 16]
    """

    @overridable
    def __init__(
        self,
        dest_dir: str | os.PathLike[str],
        executor: Executor,
        max_tasks: int | None = None,
        *,
        task_memory: int | str | None = None,
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
        if not callable(getattr(executor, "submit", None)):
            raise PipelineError(f"expected an executor with `submit`, got {executor!r}")
        if max_tasks is not None and (type(max_tasks) is not int or max_tasks < 1):
            raise PipelineError(f"expected max_tasks of 1 or more, got {max_tasks!r}")
        self.executor = executor
        self.max_tasks = max_tasks
        self.task_memory = None if task_memory is None else parse_size(task_memory)

    def _workers(self) -> int:
        return self.max_tasks or cores()

    def _task_memory(self, workers: int) -> int:
        return self.task_memory or default_memory() // workers

    def _engine(self) -> Engine:
        return ExecutorEngine(self.executor, self._workers())
