"""Clusters on this machine: several nodes of Ray's, and pools of processes."""

import os
import secrets
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from stores import GcsBucket, s3_environment, variables

_TESTS = Path(__file__).parent
# Of modules that tasks are made of.
_PATHS = [str(_TESTS), str(_TESTS.parent / "examples")]
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
def ray_nodes(gcs_server: str, s3_server: str) -> Iterator[Nodes]:
    """Two nodes of Ray, to which this process is connected, with a token of their own. They know
    the servers of the stores, and import what tasks are made of from the tests and examples."""
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    path = os.pathsep.join(filter(None, [*_PATHS, os.environ.get("PYTHONPATH")]))
    stores = {**GcsBucket(gcs_server, "").environment(), **s3_environment(s3_server)}
    with variables({**stores, "PYTHONPATH": path}):
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


@pytest.fixture(scope="session")
def threads() -> Iterator[Executor]:
    """The executor of two threads."""
    with ThreadPoolExecutor(2) as pool:
        yield pool
