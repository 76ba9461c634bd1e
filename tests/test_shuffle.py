"""Shuffles of so many bundles that they are merged before shards are put together."""

import os
from collections import Counter
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from records import OWN, WordCount

import gaia
from gaia.io.grouped import Shipped
from gaia.runner import shuffle

WORDS = Counter({f"word{number}": 10 + number % 7 for number in range(300)})


class Count(gaia.Mapper[str, WordCount]):
    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        ctx.write(WordCount(line, 1))


def word_count(folder: Path) -> gaia.Pipeline:
    """Of eight files, which make four tasks."""
    lines = sorted(WORDS.elements())
    for number in range(8):
        text = "".join(f"{word}\n" for word in lines[number::8]) + "\n" * (1 << 20)
        (folder / f"in{number}.txt").write_text(text)
    pipeline = gaia.Pipeline("merged")
    words = pipeline.read_text(f"{folder}/in*.txt", name="lines").filter(len).map(Count)
    words.write("words", gaia.TXT).with_mod_n_sharding(5, "word").and_compress(gaia.ZSTD)
    words.write("named", gaia.TXT).with_custom_sharding(lambda record: f"n/{record.word[-1]}")
    return pipeline


@pytest.fixture
def merges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Shipped, ...]]:
    """What is merged, of which there is never enough for the real limits."""
    made: list[tuple[Shipped, ...]] = []
    original = shuffle._merges

    def noted(bundles: Any) -> Any:
        for some in original(bundles):
            made.append(some)
            yield some

    monkeypatch.setattr(shuffle, "_merges", noted)
    monkeypatch.setattr(shuffle, "_RANGES", 0)
    monkeypatch.setattr(shuffle, "_MERGED", 3)
    return made


def check(result: gaia.RunResult) -> None:
    for table in ("words", "named"):
        counted = Counter(record.word for record in result[table].records())
        assert counted == WORDS, table


def test_merged_bundles_hold_what_they_were_made_of(
    threads: Executor, merges: list[tuple[Shipped, ...]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    check(gaia.ExecutorRunner(out, threads, 2).run(word_count(tmp_path)))
    for table in ("named", "words"):
        assert [len(some) for some in merges if some[0].table == table] == [3, 1]
    assert sorted(os.listdir(out / "_gaia")) == OWN


def test_in_a_store_as_well(merges: list[tuple[Shipped, ...]], gcs: Any, tmp_path: Path) -> None:
    # Workers of other tests do not know the store.
    with ThreadPoolExecutor(2) as pool:
        check(gaia.ExecutorRunner(gcs.url("out"), pool, 2).run(word_count(tmp_path)))
    assert merges


def test_few_bundles_are_not_merged(
    threads: Executor,
    merges: list[tuple[Shipped, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shuffle, "_RANGES", 1000)
    check(gaia.ExecutorRunner(tmp_path / "out", threads, 2).run(word_count(tmp_path)))
    assert merges == []


def test_merging_stops_at_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "_MERGED_BYTES", 100)
    bundles = [
        Shipped("t", number, 0, size, 1, b"") for number, size in enumerate([60, 40, 1, 200, 5])
    ]
    found = [[bundle.task for bundle in some] for some in shuffle._merges(bundles)]
    assert found == [[0, 1], [2], [3], [4]]
