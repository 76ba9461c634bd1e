"""Runs that misfortune strikes: workers and whole runs are killed, the disk fails, all at random
moments; again and again, until the run ends. Then it must have left what an undisturbed run leaves.

    python tests/chaos/chaos.py --seeds 200

runs a plan of misfortunes for every seed, and prints what it took. A plan depends on its seed
alone, what it strikes also on how the workers take turns.
"""

import argparse
import filecmp
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import attrs
from jobs import JOBS, write_text
from life import WORKERS
from moments import Misfortune

import gaia

_HERE = Path(__file__).parent
_ERRORS = {"full": 28, "stays full": 28, "broken": 5, "killed": 0}
_TOLD = ("No space left on device", "Input/output error")
# A life that takes so many seconds hangs, or has left a process behind.
_PATIENCE = 120
_NEVER = 1 << 40
# What there is to strike at, and with what. A job has no records where it has no user code.
_WAYS = {
    "record": ("worker", "run"),
    "task": ("worker", "run"),
    "journal": ("worker", "run"),
    "shard": ("worker", "run"),
    "publish": ("run",),
    "disk": tuple(_ERRORS),
}


@attrs.frozen
class Life:
    """How one life of a run ended. Of its moments, it is known how many there were of each kind."""

    code: int
    told: str
    seconds: float
    moments: dict[str, int]
    struck: tuple[Misfortune, ...] = ()

    @property
    def was_killed(self) -> bool:
        """Whether it ended with the run, and not with a word."""
        return self.code == -signal.SIGKILL


@attrs.define
class Score:
    """What happened, added up."""

    seeds: int = 0
    workers: int = 0
    runs: int = 0
    faults: int = 0
    redone: int = 0
    tasks: int = 0
    seconds: float = 0.0
    undisturbed: float = 0.0

    def add(self, other: "Score") -> None:
        """Adds another."""
        for field in attrs.fields(Score):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def row(self, name: str) -> str:
        """A line of the table."""
        work, clock = 1 + self.redone / self.tasks, self.seconds / self.undisturbed
        return (
            f"{name:8} {self.seeds:6} {self.workers:13} {self.runs:10} {self.faults:12} "
            f"{self.redone:7} of {self.tasks:6} {work:10.3f} {clock:11.2f}"
        )


HEADER = (
    "job       seeds  worker kills  run kills  disk faults    tasks redone  total work  wall clock"
)


class Chaos:
    """A folder with the jobs' inputs and what undisturbed runs of them leave. With `disk`, the disk
    fails as well."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = _built_disk(folder)
        self.undisturbed: dict[str, Life] = {}
        self._lives = 0

    def strike(self, seed: int) -> Score:
        """Runs the job of a seed until it ends, whatever happens, and checks what it leaves."""
        rng = random.Random(seed)
        job = sorted(JOBS)[seed % len(JOBS)]
        whole = self.reference(job)
        replaces = rng.random() < 0.5
        disturbed = [self._drawn(rng, whole, life) for life in range(rng.randint(1, 3))]
        return self.survive(job, disturbed, replaces)

    def survive(self, job: str, disturbed: list[list[Misfortune]], replaces: bool = False) -> Score:
        """Runs a job: one life after the other, each with its misfortunes, then one without. With
        `replaces`, there are tables of another run in its place."""
        whole = self.reference(job)
        dest = self.folder / "out"
        shutil.rmtree(dest, ignore_errors=True)
        if replaces:
            shutil.copytree(self.folder / job / "old", dest)
        lives: list[Life] = []
        for misfortunes in [*disturbed, []]:
            lives.append(self.live(job, "new", dest, misfortunes, resume=bool(lives)))
            self._check_end(lives[-1], dest)
            self._check_tables(job, dest, replaces)
            if lives[-1].code == 0:
                break
        assert lives[-1].code == 0, lives
        self._check_whole(job, dest)
        score = _scored(lives, whole)
        # What was under way, and what had ended and was not yet in the journal.
        excuse = score.workers + sum(life.code != 0 for life in lives) * (WORKERS + 1)
        assert score.redone <= excuse, (score, lives)
        return score

    def reference(self, job: str) -> Life:
        """An undisturbed run of a job, into its folder `new`; into `old` one of another input."""
        if job not in self.undisturbed:
            for name in ("old", "new"):
                (self.folder / job).mkdir(exist_ok=True)
                write_text(self.folder / job / f"{name}.txt", JOBS[job].size, name)
                life = self.live(job, name, self.folder / job / name, [], resume=False)
                assert life.code == 0, life.told
            self.undisturbed[job] = life
        return self.undisturbed[job]

    def live(
        self, job: str, text: str, dest: Path, misfortunes: list[Misfortune], resume: bool
    ) -> Life:
        """One life of a run. When this returns, there is no process of it left."""
        self._lives += 1
        moments = self.folder / f"life-{self._lives}"
        moments.mkdir()
        plan = json.dumps([attrs.asdict(misfortune) for misfortune in misfortunes])
        (moments / "misfortunes.json").write_text(plan)
        environment = {**os.environ, "CHAOS": str(moments)}
        if self.disk is not None:
            environment |= {
                "LD_PRELOAD": str(self.disk),
                "CHAOS_DISK": _faults(misfortunes),
                "CHAOS_DISK_FOLDER": str(dest),
                "CHAOS_DISK_COUNT": str(moments / "disk"),
            }
        source = str(self.folder / job / f"{text}.txt")
        command = [sys.executable, str(_HERE / "life.py"), job, source, str(dest)]
        begin = time.monotonic()
        process = subprocess.Popen(
            [*command, "--resume"] if resume else command,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            start_new_session=True,
        )
        # All of its processes hold the pipe, so this waits for the last of them.
        try:
            _, told = process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"a process of the run is left, {command}") from None
        seconds = time.monotonic() - begin
        counts = {file.name: file.stat().st_size for file in moments.iterdir()}
        del counts["misfortunes.json"]
        shutil.rmtree(moments)
        struck = tuple(each for each in misfortunes if counts.get(each.moment, 0) >= each.number)
        return Life(process.returncode, told, seconds, counts, struck)

    def _drawn(self, rng: random.Random, whole: Life, life: int) -> list[Misfortune]:
        """The misfortunes of a life. The later it is, the less there is left to do."""
        moments = sorted(set(whole.moments) & set(_WAYS))
        return [
            Misfortune(
                moment,
                _number(rng, max(1, whole.moments[moment] >> life), moment),
                rng.choice(_WAYS[moment]),
            )
            for moment in rng.sample(moments, rng.randint(1, 2))
        ]

    def _check_end(self, life: Life, dest: Path) -> None:
        """A life ends well, or by being killed, or with a word about the disk."""
        struck = {misfortune.what for misfortune in life.struck}
        if life.was_killed:
            assert struck & {"run", "killed"}, life
        elif life.code:
            assert struck & {"full", "stays full", "broken"}, life
            told = life.told.strip().rpartition("\n")[2]
            assert told.startswith("OutputError: cannot "), life
            assert str(dest) in told, life
            assert any(why in told for why in _TOLD), life

    def _check_tables(self, job: str, dest: Path, replaces: bool) -> None:
        """Every table is the old one or the new one, as a whole, and never in between."""
        for name, tp in JOBS[job].types.items():
            states = ["new", "old"] if replaces else ["new"]
            if (dest / name).exists() or replaces:
                known = [self.folder / job / state / name for state in states]
                assert any(_same(dest / name, table, tp) for table in known), name
        # Between two lives, all that is of the run alone is in one folder.
        own = {path.name for path in (dest / "_gaia").glob("*")}
        assert own <= {"run", "run.json", "report.html"}, own

    def _check_whole(self, job: str, dest: Path) -> None:
        """The run has left what an undisturbed one leaves, and nothing else."""
        reference = self.folder / job / "new"
        assert _files(dest) == _files(reference)
        for name, tp in JOBS[job].types.items():
            assert _same(dest / name, reference / name, tp), name
        counters = [
            json.loads((folder / "_gaia" / "run.json").read_text())["counters"]
            for folder in (dest, reference)
        ]
        assert counters[0] == counters[1]


def _built_disk(folder: Path) -> Path | None:
    """The disk that fails, as a library to preload; None where it cannot be built."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        print("chaos: there is no C compiler (cc), so the disk does not fail", file=sys.stderr)
        return None
    library = folder / "disk.so"
    source = str(_HERE / "disk.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", str(library), source, "-ldl"]
    subprocess.run(command, check=True)
    return library


def _faults(misfortunes: list[Misfortune]) -> str:
    """The first and the last call to the disk that fail, and how."""
    for each in misfortunes:
        if each.moment == "disk":
            # One that is full takes a part of what is written first.
            length = {"full": 8, "stays full": _NEVER}.get(each.what, 1)
            return f"{each.number} {each.number + length - 1} {_ERRORS[each.what]}"
    return f"{_NEVER} {_NEVER} 0"


def _number(rng: random.Random, count: int, moment: str) -> int:
    """Which of so many moments. Of the calls to the disk most are of tasks; half of those that are
    struck are of the last, with which tables are put together and published."""
    late = moment == "disk" and rng.random() < 0.5
    return rng.randint(max(1, count * 3 // 4) if late else 1, count)


def _scored(lives: list[Life], whole: Life) -> Score:
    score = Score(seeds=1, tasks=whole.moments["task"], undisturbed=whole.seconds)
    for life in lives:
        score.seconds += life.seconds
        score.redone += life.moments.get("task", 0)
        score.runs += life.was_killed
        for misfortune in life.struck:
            # Who is killed while it writes may be either.
            killed = misfortune.what == "killed" and not life.was_killed
            score.workers += killed or misfortune.what == "worker"
            score.faults += misfortune.what in ("full", "stays full", "broken")
    score.redone -= score.tasks
    return score


def _same(left: Path, right: Path, tp: type) -> bool:
    """Whether two tables hold the same records, shard by shard. There is no order in a shard."""
    tables = [gaia.read_table(folder, tp) for folder in (left, right)]
    shards = [table.shards for table in tables]
    if [shard.key for shard in shards[0]] != [shard.key for shard in shards[1]]:
        return False
    for ours, theirs in zip(*shards, strict=True):
        paths = [
            [folder / file.path for file in shard.files]
            for folder, shard in ((left, ours), (right, theirs))
        ]
        if len(paths[0]) == len(paths[1]) and all(
            filecmp.cmp(*pair, shallow=False) for pair in zip(*paths, strict=True)
        ):
            continue
        records = [sorted(map(repr, table.records(ours.key))) for table in tables]
        if records[0] != records[1]:
            return False
    return True


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def main() -> None:
    """Strikes with every seed, and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    args = parser.parse_args()
    scores = {job: Score() for job in sorted(JOBS)}
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder))
        # Ctrl-C ends it early, with the table as far as it goes.
        with suppress(KeyboardInterrupt):
            for seed in range(args.first, args.first + args.seeds):
                job = sorted(JOBS)[seed % len(JOBS)]
                try:
                    scores[job].add(chaos.strike(seed))
                except AssertionError as error:
                    failed.append(seed)
                    print(f"seed {seed} ({job}): {error}", file=sys.stderr)
    total = Score()
    print(HEADER)
    for job, score in scores.items():
        if score.seeds:
            print(score.row(job))
            total.add(score)
    if total.seeds:
        print(total.row("all"))
    if failed:
        sys.exit(f"seeds that failed: {', '.join(map(str, failed))}")


if __name__ == "__main__":
    main()
