"""Stores that fail: the same output every time, or a clear error when faults never end."""

import asyncio
import os
import random
import types
from pathlib import Path
from typing import Any

import pytest
from records import OWN
from stores import GcsBucket, faulty

import gaia
from gaia.io import stores, upload

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
# All 50 are run before a release; a few at every change.
SEEDS = range(int(os.environ.get("GAIA_FAULT_SEEDS", "4")))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short time limits, and parts so small that there are many requests.

    Pauses of Google's client, of a second and more, are not made.
    """
    import gcsfs.retry

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(gcsfs.retry, "asyncio", types.SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(stores, "TIMEOUT", 0.5)
    monkeypatch.setattr(stores, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(stores, "_SLOWEST", 1e9)
    monkeypatch.setattr(upload, "_PART", 1000)
    monkeypatch.setattr(upload, "_COMPOSED", 4)


def pipeline(inputs: str) -> gaia.Pipeline:
    made = gaia.Pipeline("count")
    words = made.read_text(inputs, name="lines").map(gaia.ops.Words())
    words.write("interim", gaia.TXT).with_mod_n_sharding(3, "word").and_compress(gaia.ZSTD)
    counts = made.join(gaia.ops.GroupBy("word", count="sum"), [words], name="sum")
    counts.write("counts", gaia.TXT)
    return made


def write_inputs(bucket: GcsBucket) -> dict[str, int]:
    """A few files; returns how often each word is in them."""
    chance = random.Random(0)
    counts: dict[str, int] = {}
    for number in range(4):
        words = [
            f"{chance.choice(WORDS)}{chance.randrange(200)}"
            for _ in range(40_000 if number == 0 else 500)
        ]
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        lines = [" ".join(words[start : start + 10]) for start in range(0, len(words), 10)]
        bucket.write(f"in/{number}.txt", "\n".join(lines).encode())
    return counts


def counted(bucket: GcsBucket) -> dict[str, int]:
    lines = [
        line
        for shard in range(3)
        for line in bucket.read(f"out/counts/counts-{shard:05}-of-00003.txt").decode().splitlines()
    ]
    return {word: int(count) for word, count in (line.split("\t") for line in lines)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("hurried")
def test_transient_faults_do_not_show(gcs: GcsBucket, seed: int) -> None:
    expected = write_inputs(gcs)
    inputs = set(gcs.objects())

    with faulty(seed, rate=0.1):
        for _ in range(2):  # The second replaces the first.
            gaia.LocalRunner(gcs.url("out"), workers=0).run(pipeline(gcs.url("in/*")))

    assert counted(gcs) == expected
    tables = {f"out/counts/counts-{shard:05}-of-00003.txt" for shard in range(3)}
    tables |= {f"out/interim/interim-{shard:05}-of-00003.txt.zst" for shard in range(3)}
    for table in ("counts", "interim"):
        tables |= {f"out/{table}/manifest.json", f"out/{table}/counter_map.csv"}
    assert set(gcs.objects()) == inputs | tables | {f"out/_gaia/{name}" for name in OWN}


@pytest.mark.parametrize("kind", ["503", "reset", "truncate", "stall"])
@pytest.mark.usefixtures("hurried")
def test_faults_that_never_end_are_told(
    gcs: GcsBucket, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_inputs(gcs)
    lines = gaia.Pipeline("lines")
    table = lines.from_records(["a"], name="lines")
    table.write("lines", gaia.TXT).with_mod_n_sharding(1)
    monkeypatch.setattr(stores, "PATIENCE", 1.0)
    monkeypatch.setattr(stores, "TIMEOUT", 0.4)

    with faulty(1, rate=1, kinds=[kind]):
        with pytest.raises(gaia.InputError, match=rf"cannot read gs://{gcs.name}/in/\*: ."):
            gaia.LocalRunner(tmp_path / "out", workers=0).run(pipeline(gcs.url("in/*")))
        with pytest.raises(gaia.OutputError, match=rf"cannot write to gs://{gcs.name}/out: ."):
            gaia.LocalRunner(gcs.url("out"), workers=0).run(lines)


@pytest.mark.usefixtures("hurried")
def test_permanent_errors_are_not_repeated(gcs: GcsBucket, tmp_path: Path) -> None:
    before = sum(gcs.requests().values())

    with pytest.raises(gaia.InputError, match="no file matches"):
        gaia.LocalRunner(tmp_path / "out", workers=0).run(pipeline(gcs.url("none.txt")))

    assert sum(gcs.requests().values()) - before < 5


def test_pauses_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    clock: Any = types.SimpleNamespace(sleep=sleep, monotonic=lambda: now[0])
    monkeypatch.setattr(stores, "time", clock)

    def fail() -> None:
        raise ConnectionResetError("again")

    with pytest.raises(ConnectionResetError, match="again"):
        stores.patiently(fail)

    assert 60 < now[0] <= stores.PATIENCE
    assert len(pauses) < 40
    assert pauses[0] < 1 < max(pauses)
