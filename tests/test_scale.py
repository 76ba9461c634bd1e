"""What the driver of a large run holds and sends for each task: counts and bytes, by simulation."""

import pickle
import sys
from pathlib import Path

import pytest

from gaia.io.grouped import Groups
from gaia.pipeline.travel import dumps

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import scale

NODES = 20
FEW = (500, 40)
MANY = (2_000, 40)


@pytest.fixture(scope="module")
def few() -> scale.Measured:
    return scale.measure(*FEW, 1_000_000, NODES)


@pytest.fixture(scope="module")
def many() -> scale.Measured:
    return scale.measure(*MANY, 1_000_000, NODES)


def growth(few: scale.Measured, many: scale.Measured, field: str) -> float:
    """How much more there is for each task more."""
    more = getattr(many, field) - getattr(few, field)
    return float(more / (many.tasks - few.tasks))


def test_what_is_sent_and_kept_grows_with_the_tasks(
    few: scale.Measured, many: scale.Measured
) -> None:
    assert growth(few, many, "journal") < 1_500
    assert growth(few, many, "sent") < 1_500
    assert growth(few, many, "received") < 500


def test_planning_asks_little_of_the_store(few: scale.Measured, many: scale.Measured) -> None:
    """A look at the first bytes of each file of four tasks, and a page of a thousand names."""
    assert growth(few, many, "plan_requests") <= 0.26


def test_manifests_grow_with_the_shards_alone(few: scale.Measured, many: scale.Measured) -> None:
    assert abs(many.manifest - few.manifest) < 10 * MANY[1]
    assert many.manifest < 400 * MANY[1]


def test_a_bundle_of_a_report_is_small_whatever_it_holds() -> None:
    setups = []
    for shards in (10, 100_000):
        engine = scale.Simulated(NODES, 1_000_000_000)
        bundle = engine._shipped(
            "words", 399_999, 1_000_000_000, Groups(shards).count, scale.Requests()
        )
        setups.append(len(pickle.dumps(bundle)))
    assert max(setups) < 200


def test_of_a_planned_task_little_is_kept() -> None:
    plan = scale.job(2_000, 10)
    tasks = scale.scheduler.plan_reads(plan, NODES)["crawl"]
    kept = dumps(tasks)
    assert len(tasks) >= 2_000
    assert len(kept) / len(tasks) < 200


def test_ranges_do_not_grow_with_tasks_times_shards(
    few: scale.Measured, many: scale.Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bundles are merged before, so that shards are put together of ranges that are worth it."""
    monkeypatch.setattr(scale.shuffle, "_RANGES", 0)
    merged = scale.measure(*MANY, 1_000_000, NODES)
    assert many.requests["gather"].reads > many.tasks * MANY[1]
    assert merged.requests["gather"].reads < many.tasks * MANY[1] / 50
    every = merged.requests["merge_bundles"]
    assert every.reads <= many.tasks
    assert every.read < 1_010_000 * many.tasks
