"""Clusters on this machine: several nodes of Ray's, and pools of processes."""

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from stores import GcsBucket, variables

import gaia

_TESTS = str(Path(__file__).parent)
_STORE = 80 << 20


@attrs.define
class Nodes:
    """A Ray cluster of a head, which runs no tasks, and nodes of one processor each."""

    cluster: Any
    count: int

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def whole(self) -> None:
        """Puts new nodes in the place of those that were killed."""
        alive = [node for node in self.cluster.worker_nodes if not node.dead_processes()]
        for node in [node for node in self.cluster.worker_nodes if node not in alive]:
            self.cluster.remove_node(node, allow_graceful=False)
        for _ in range(self.count - len(alive)):
            self.cluster.add_node(num_cpus=1, object_store_memory=_STORE)
        self.cluster.wait_for_nodes()


@pytest.fixture(scope="session")
def ray_nodes(gcs_server: str) -> Iterator[Nodes]:
    """Two nodes of Ray, to which this process is connected, with a token of their own. They know
    the emulator of Google's store, and import what tasks are made of from the tests."""
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    path = os.pathsep.join(filter(None, [_TESTS, os.environ.get("PYTHONPATH")]))
    with variables({**GcsBucket(gcs_server, "").environment(), "PYTHONPATH": path}):
        yield from _running()


def _running() -> Iterator[Nodes]:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": _STORE,
            "include_dashboard": False,
            "_system_config": {
                "health_check_initial_delay_ms": 0,
                "health_check_period_ms": 500,
                "health_check_failure_threshold": 4,
            },
        },
    )
    try:
        nodes = Nodes(cluster, 2)
        nodes.whole()
        ray.init(address=cluster.address, log_to_driver=False, logging_level="warning")
        yield nodes
    finally:
        ray.shutdown()
        cluster.shutdown()


AnyRunner = Callable[..., Any]
"""Makes a runner of a destination and of settings that all runners have."""


@pytest.fixture(scope="session")
def threads() -> Iterator[Executor]:
    """The executor of two threads."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def runner_of(dest: Path, where: AnyRunner | int, **settings: Any) -> Any:
    """A runner: of so many workers of this machine, or that which is made so."""
    if isinstance(where, int):
        return gaia.LocalRunner(dest, workers=where, **settings)
    return where(dest, **settings)


@pytest.fixture
def executor_runner(threads: Executor) -> AnyRunner:
    return lambda dest, **settings: gaia.ExecutorRunner(dest, threads, 2, **settings)


@pytest.fixture
def ray_runner(ray_nodes: Nodes) -> AnyRunner:
    return lambda dest, **settings: gaia.RayRunner(dest, **settings)


_WITH_WORKERS = [2, "executor_runner", "ray_runner"]


@pytest.fixture(params=[0, *_WITH_WORKERS], ids=str)
def everywhere(request: pytest.FixtureRequest) -> AnyRunner | int:
    """Each kind of runner (see `runner_of`): for what holds of all of them. It takes some time, so
    it is for the tests that show most."""
    return _where(request)


@pytest.fixture(params=_WITH_WORKERS, ids=str)
def in_workers(request: pytest.FixtureRequest) -> AnyRunner | int:
    """The same, without the one that runs everything in this process: for code that kills it."""
    return _where(request)


def _where(request: pytest.FixtureRequest) -> AnyRunner | int:
    found: AnyRunner | int = request.param
    return found if isinstance(found, int) else request.getfixturevalue(request.param)
