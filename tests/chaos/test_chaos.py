"""A few runs that misfortune strikes; `make chaos` strikes many."""

import sys

import pytest
from chaos import Chaos
from jobs import JOBS
from moments import Misfortune

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="finds workers in /proc, and preloads a library"
)


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Chaos:
    return Chaos(tmp_path_factory.mktemp("chaos"))


@pytest.fixture
def disk(chaos: Chaos) -> None:
    if chaos.disk is None:
        pytest.skip("there is no C compiler to build a disk that fails")


@pytest.mark.parametrize("seed", range(8))
def test_a_run_survives(chaos: Chaos, seed: int) -> None:
    chaos.strike(seed)


@pytest.mark.parametrize("percent", [50, 90])
@pytest.mark.parametrize("job", JOBS)
def test_little_is_done_twice(chaos: Chaos, job: str, percent: int) -> None:
    tasks = chaos.reference(job).moments["task"]
    score = chaos.survive(job, [[Misfortune("journal", tasks * percent // 100, "run")]])
    assert score.runs == 1
    assert score.redone <= 0.1 * tasks


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("what", ["full", "stays full", "broken", "killed"])
def test_a_disk_that_fails_is_survived(chaos: Chaos, what: str) -> None:
    calls = chaos.reference("words").moments["disk"]
    score = chaos.survive("words", [[Misfortune("disk", calls // 2, what)]], replaces=True)
    assert score.faults + score.runs + score.workers == 1
