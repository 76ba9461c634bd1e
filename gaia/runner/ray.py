"""RayRunner: the nodes of a Ray cluster."""

import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

import attrs

from gaia.errors import PipelineError, WorkerError
from gaia.io.tell import tell
from gaia.runner import host
from gaia.runner.engine import Death, Engine
from gaia.runner.futures import FutureEngine
from gaia.runner.overrides import overridable
from gaia.runner.runner import ClusterRunner

# Seconds after which the cluster is asked again how large it is.
_ASKED = 2.0
# More tasks are handed out than can run at once, so that workers need not wait for the next, and
# Ray's autoscaler sees that more nodes would be of use.
_AHEAD = 2
_SPARE = 8
# Seconds that the head of a cluster may take to answer.
_PATIENCE = 10.0
# Seconds in which tasks end that nobody wants any more.
_ENDED = host.SELDOM + 2.0
_NAMESPACE = "gaia"


class RayEngine(FutureEngine):
    """Runs items as tasks of Ray, which decides where. Gaia itself tries again what fails."""

    def __init__(self, resources: Mapping[str, float], max_tasks: int | None) -> None:
        import ray

        self._ray = ray
        self._resources = dict(resources)
        self._max_tasks = max_tasks
        self._asked = 0.0
        self._slots = 1
        self.workers = max_tasks or self._known_slots()
        named = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
        options: dict[str, Any] = {"num_cpus": 0}
        options |= {named[name]: n for name, n in self._resources.items() if name in named}
        others = {name: n for name, n in self._resources.items() if name not in named}
        self._call = ray.remote(_call).options(
            max_retries=0, scheduling_strategy="SPREAD", resources=others, **options
        )
        self._name = ""
        self._common: Any = None
        self._wish = Wish("")
        self._timeout: float | None = None
        # Of all that is under way, and what nobody wants any more of it.
        self._refs: dict[Future[Any], Any] = {}
        self._left: list[Future[Any]] = []

    def at_once(self) -> int:
        """See `FutureEngine.at_once`."""
        return self._max_tasks or _AHEAD * self._known_slots() + _SPARE

    def slots(self) -> int:
        """See `FutureEngine.slots`."""
        return min(self.at_once(), self._known_slots())

    def _known_slots(self) -> int:
        now = time.monotonic()
        if not self._asked or now - self._asked > _ASKED:
            self._asked = now
            self._slots = slots(self._resources)
        return self._slots

    def _post(self, name: str, common: bytes, timeout: float | None) -> None:
        self._name, self._timeout = name, timeout
        self._common = self._ray.put(common)
        self._wish = Wish(os.urandom(8).hex())
        self._wish.begin()

    def _submit(self, item: bytes, again: bool) -> Future[Any]:
        # In a list, it is not fetched for every task, but by the processes that lack it.
        ref = self._call.remote(self._name, [self._common], item, self._timeout, self._wish)
        future: Future[Any] = ref.future()
        self._refs[future] = ref
        return future

    def _answer(self, future: Future[Any]) -> bytes | Death | None:
        exceptions = self._ray.exceptions
        del self._refs[future]
        try:
            answer: bytes | Death | None = future.result()
        except (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.LocalRayletDiedError,
            exceptions.OutOfMemoryError,
            exceptions.ObjectLostError,
            exceptions.TaskCancelledError,
        ) as error:
            return Death(f"of Ray was lost in the middle of a task ({_first_line(error)})")
        except exceptions.RayError as error:
            raise WorkerError(f"Ray could not run a task: {error}") from None
        if answer == host.UNWANTED:
            raise WorkerError("the head of the Ray cluster has forgotten this run")
        return answer

    def _leave(self, futures: list[Future[Any]]) -> None:
        self._left += futures
        for future in futures:
            self._refs.pop(future, None)
        self._wish.end()

    def close(self) -> None:
        """See `Engine.close`. What is under way ends itself, which is waited for: else it might
        write to a destination that has been cleaned up."""
        self._wish.end()
        left = [*self._left, *self._refs]
        self._left, self._refs = [], {}
        wait(left, _ENDED)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@attrs.frozen
class Wish:
    """That somebody wants what tasks are for, which is noted at the head of the cluster for as long
    as that is so. Tasks ask, and end themselves.

    To cancel them instead would be more than Ray can bear: it aborts the process that cancels a
    task whose answer is arriving at that moment (ray-project/ray, pull request 54798, mended only
    one of the ways to get there).
    """

    key: str

    def begin(self) -> None:
        """It is so from now on.

        Raises:
            WorkerError: The head does not answer.
        """
        from ray.experimental.internal_kv import _internal_kv_put

        try:
            _internal_kv_put(self.key, b"", namespace=_NAMESPACE)
        except Exception as error:  # Of whatever kind.
            raise WorkerError(f"the head of the Ray cluster does not answer: {error}") from None

    def end(self) -> None:
        """It is no more."""
        if not self.key:
            return
        from ray.experimental.internal_kv import _internal_kv_del

        try:
            _internal_kv_del(self.key, namespace=_NAMESPACE)
        except Exception as error:  # Of whatever kind; it may be why the run ends.
            tell(f"gaia: what is still under way could not be told to end: {error}")

    def holds(self) -> bool:
        """Whether it is so, as far as the head can be asked."""
        from ray.experimental.internal_kv import _internal_kv_exists

        try:
            found: bool = _internal_kv_exists(self.key, namespace=_NAMESPACE)
        except Exception:  # Of whatever kind; it is going to be asked again.
            return True
        return found


def _call(
    name: str, common: list[Any], item: bytes, timeout: float | None, wish: Wish
) -> bytes | Death | None:
    import ray

    if not wish.holds():
        return host.UNWANTED
    if not host.has(name):
        host.keep(name, ray.get(common[0]))
    return host.run(name, item, timeout, wish.holds)


def _check_address(address: str) -> None:
    """Refuses an address at which nobody answers: Ray would end this process.

    Raises:
        PipelineError: That is so.
    """
    host, separator, port = address.rpartition(":")
    if "://" in address or not separator or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except OSError as error:
        raise PipelineError(f"no Ray cluster answers at {address}: {error}") from None


def slots(resources: Mapping[str, float]) -> int:
    """How many tasks that need so much can run at once on the nodes that are there."""
    return max(1, sum(_fitting(node, resources) for node in _nodes()))


def _fitting(node: Mapping[str, float], resources: Mapping[str, float]) -> int:
    needed = {name: n for name, n in resources.items() if n > 0}
    return int(min((node.get(name, 0) // n for name, n in needed.items()), default=1))


def _nodes() -> list[dict[str, float]]:
    """The resources of all nodes."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


class RayRunner(ClusterRunner):
    """Runs pipelines on a Ray cluster; needs `pip install 'gaia-mr[ray]'`.

    Within a program that is connected to Ray already, such as one started by `ray job submit`, that
    connection is used, with its runtime environment.

    Args:
        dest_dir: The folder that the tables' folders go to, made if need be: a URL such as
            `gs://bucket/folder`, or a path that is the same folder on all nodes. What tasks leave
            for each other goes there as well, below `_gaia`.
        address: The cluster to connect to, as `ray.init` takes it: `"auto"` or `"host:6379"`; by
            default the one that `RAY_ADDRESS` names, or that runs on this machine, or a new one.
        max_tasks: How many tasks Ray is given at once; by default somewhat more than its nodes can
            run, so that it sees when more nodes would be of use.
        resources_per_task: What Ray reserves for each task; `{"CPU": 1}` by default. With
            `"memory"`, in bytes, that is how much a task may use; otherwise it is a processor's
            part of the smallest node's.
        scratch_dir: A folder on every node for temporary files; by default the system's.
        storage_options, filesystem, resume, verify: As `LocalRunner` has them.
        max_attempts, task_timeout, profile, progress, limit: As `LocalRunner` has them.
        explain, http_port, http_host: As `LocalRunner` has them.

    A run can be resumed from any machine.

    >>> gaia.RayRunner("gs://bucket/out", "auto").run(pipeline)  # doctest: +SKIP
    """

    @overridable
    def __init__(
        self,
        dest_dir: str | os.PathLike[str],
        address: str | None = None,
        max_tasks: int | None = None,
        resources_per_task: Mapping[str, float] | None = None,
        scratch_dir: str | os.PathLike[str] | None = None,
        *,
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
        if max_tasks is not None and (type(max_tasks) is not int or max_tasks < 1):
            raise PipelineError(f"expected max_tasks of 1 or more, got {max_tasks!r}")
        self.address = address
        self.max_tasks = max_tasks
        self.resources_per_task = {"CPU": 1.0, **(resources_per_task or {})}

    @contextmanager
    def _session(self) -> Iterator[None]:
        try:
            import ray
        except ImportError:
            raise PipelineError("RayRunner needs Ray: pip install 'gaia-mr[ray]'") from None
        if ray.is_initialized():
            yield
            return
        _check_address(self.address or os.environ.get("RAY_ADDRESS", ""))
        try:
            ray.init(address=self.address, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise PipelineError(f"cannot connect to Ray: {error}") from None
        try:
            yield
        finally:
            ray.shutdown()

    def _workers(self) -> int:
        return self.max_tasks or slots(self.resources_per_task)

    def _task_memory(self, workers: int) -> int:
        resources = self.resources_per_task
        found = [node for node in _nodes() if node.get("CPU") and node.get("memory")]
        parts = (node["memory"] * resources["CPU"] / node["CPU"] for node in found)
        return int(resources.get("memory") or min(parts, default=0))

    def _engine(self) -> Engine:
        return RayEngine(self.resources_per_task, self.max_tasks)
