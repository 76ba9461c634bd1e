"""The jobs that misfortune strikes, with their inputs."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from moments import reached

import gaia

SHARDS = 16


@attrs.define
class WordCount:
    word: str
    count: int


class Splitter(gaia.Mapper[str, WordCount]):
    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None:
        reached("record")
        for word in line.split():
            ctx.write(WordCount(word, 1))
        ctx.freq_map("lengths")[len(line) // 10] += 1


class Adder(gaia.Joiner[WordCount]):
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def on_word(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
        self.counts[record.word] += record.count

    def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
        reached("record")
        for word, count in self.counts.items():
            ctx.write(WordCount(word, count))


def words(source: str) -> gaia.Pipeline:
    """Words, counted without combining, in Python."""
    pipeline = gaia.Pipeline("words")
    found = pipeline.read_text(source, name="lines").map(Splitter, name="split")
    found.write("words", gaia.TXT).with_mod_n_sharding(SHARDS, "word").and_compress(gaia.ZSTD)
    counts = pipeline.join(Adder, [found.bind_with(Adder.on_word)], name="add")
    counts.write("counts", gaia.TXT).and_compress(gaia.ZSTD)
    return pipeline


def native(source: str) -> gaia.Pipeline:
    """Words, counted without combining, by the operators of the core."""
    pipeline = gaia.Pipeline("native")
    found = pipeline.read_text(source, name="lines").map(gaia.ops.FindAll(r"\w+"), name="find")
    found.write("words", gaia.TXT).with_mod_n_sharding(SHARDS, "word").and_compress(gaia.ZSTD)
    counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [found], name="group")
    counts.write("counts", gaia.TXT)
    return pipeline


@attrs.define
class Sale:
    customer: str
    price: int


@attrs.define
class Visit:
    customer: str
    page: str


@attrs.define
class View:
    customer: str
    page: str
    spent: int


def sale(line: str) -> Sale:
    reached("record")
    first, *_, last = line.split()
    return Sale(first, len(last))


def visit(line: str) -> Visit:
    first, *rest = line.split()
    return Visit(first, rest[0] if rest else "")


class Together(gaia.Joiner[View]):
    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()

    def on_sale(self, record: Sale, ctx: gaia.Context[View]) -> None:
        self.spent[record.customer] += record.price

    def on_visit(self, record: Visit, ctx: gaia.Context[View]) -> None:
        ctx.write(View(record.customer, record.page, self.spent[record.customer]))

    def on_shard_finish(self, ctx: gaia.Context[View]) -> None:
        reached("record")


def tables(source: str) -> gaia.Pipeline:
    """Two tables of one stage, joined into shards of several frames each."""
    pipeline = gaia.Pipeline("tables")
    lines = pipeline.read_text(source, name="lines")
    sales = lines.map(sale, name="sell")
    sales.write("sales", gaia.JSONL).with_mod_n_sharding(SHARDS, "customer")
    visits = lines.map(visit, name="visit")
    visits.write("visits", gaia.TXT).with_mod_n_sharding(SHARDS, "customer").and_compress(gaia.GZIP)
    bound = [sales.bind_with(Together.on_sale), visits.bind_with(Together.on_visit)]
    views = pipeline.join(Together, bound, name="join")
    views.write("views", gaia.JSONL).and_compress(gaia.ZSTD)
    return pipeline


@attrs.frozen
class Job:
    """A pipeline of a text of so many bytes, and the types of its tables."""

    build: Callable[[str], gaia.Pipeline]
    size: int
    types: dict[str, Any]


JOBS = {
    "words": Job(words, 1_500_000, {"words": WordCount, "counts": WordCount}),
    "native": Job(native, 12_000_000, {"words": WordCount, "counts": WordCount}),
    "tables": Job(tables, 4_000_000, {"sales": Sale, "visits": Visit, "views": View}),
}
TASKS = 64


def write_text(path: Path, size: int, seed: str) -> None:
    """Makes up a text; words are as uneven as in a real one."""
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 9))) for _ in range(5000)]
    ranks = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    chosen = rng.choices(vocabulary, ranks, k=100_000)
    lines = [" ".join(chosen[at : at + 12]) for at in range(0, len(chosen), 12)]
    block = "".join(f"{line}\n" for line in lines)
    path.write_text((block * (size // len(block) + 1))[:size] + "\n")
