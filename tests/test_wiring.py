"""Wrong wiring fails when the graph is built, and the message leads the user to the mistake.

Every case names the step, what was expected and what came. The offending call stands on the line of
the case's `lambda`, which is the line that the message must name.
"""

import datetime
import enum
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import attrs
import pytest

import gaia

HERE = Path(__file__)


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


class Plain:
    pass


@attrs.define
class Inner:
    size: int


@attrs.define
class Page:
    url: str
    level: Level
    day: datetime.date
    tags: list[str]
    links: dict[str, int]
    inner: Inner


@attrs.define
class NoFields:
    pass


@attrs.define
class HasPlain:
    plain: Plain


@attrs.define
class HasMixed:
    mixed: Mixed


@attrs.define
class OnlyToText:
    word: str

    def to_text(self) -> str:
        return self.word


class TakesText(gaia.Mapper[str, str]):
    def do(self, record: str, ctx: gaia.Context[str]) -> None: ...


class Returns(gaia.Mapper[str, str]):
    def do(self, record: str, ctx: gaia.Context[str]) -> str:  # type: ignore[override]
        return record


class MisspeltHook(TakesText):
    def on_shard_finished(self, ctx: gaia.Context[str]) -> None: ...


class YieldsAtFinish(TakesText):
    def on_shard_finish(self, ctx: gaia.Context[str]) -> Any:
        yield ctx.write("lost")


class FinishesAlone(TakesText):
    def on_shard_finish(self) -> None: ...  # type: ignore[override]


class WritesAnother(gaia.Mapper[str, str]):
    def do(self, record: str, ctx: gaia.Context[int]) -> None: ...  # type: ignore[override]


class ParameterTakesText(gaia.Mapper[str, str]):
    def do(self, record, ctx): ...


class Sized(gaia.Mapper[str, str]):
    def __init__(self, size: int) -> None: ...

    def do(self, record: str, ctx: gaia.Context[str]) -> None: ...


class NoDo(gaia.Mapper[str, str]):
    pass


class NoMapper:
    def do(self, record: str, ctx: gaia.Context[str]) -> None: ...


class NoContext(gaia.Mapper[str, str]):
    def do(self, record: str) -> None: ...


class Untyped(gaia.Mapper):
    def do(self, record, ctx): ...


class YieldingDo(gaia.Mapper[str, str]):
    def do(self, record: str, ctx: gaia.Context[str]) -> Iterator[str]:
        yield record


class Merge(gaia.Joiner[str]):
    def on_line(self, record: str, ctx: gaia.Context[str]) -> None: ...

    def on_number(self, record: int, ctx: gaia.Context[str]) -> None: ...

    def on_yield(self, record: str, ctx: gaia.Context[str]) -> Iterator[str]:
        yield record

    def on_alone(self, record: str) -> None: ...


class OtherMerge(gaia.Joiner[str]):
    def on_line(self, record: str, ctx: gaia.Context[str]) -> None: ...


class Limited(Merge):
    def __init__(self, limit: int) -> None: ...


class Untold(gaia.Joiner):
    def on_line(self, record, ctx): ...


def shout(line: str) -> str:
    return line.upper()


def cut(line: str, size: int) -> str:
    return line[:size]


def prints(line: str) -> None:
    print(line)


def letters(line: str) -> Iterator[str]:
    yield from line


async def fetch(line: str) -> str:
    return line


async def stream(line: str):
    yield line


class Job(gaia.Pipeline):
    """A pipeline with tables of several types, and open files that no worker can be sent."""

    def __init__(self, log: BinaryIO, notes: TextIO) -> None:
        super().__init__("job")
        self.log, self.notes = log, notes
        self.lines = self.from_records(["a"], name="lines")
        self.numbers = self.from_records([1], name="numbers")
        self.pages = self.read_jsonl("pages.jsonl", type=Page, name="pages")
        self.dicts = self.read_jsonl("dicts.jsonl", name="dicts")

        self.in_4 = self.lines.map(shout, name="shout_4")
        self.in_4.write("in_4", gaia.TXT).with_mod_n_sharding(4)
        self.in_8 = self.lines.map(shout, name="shout_8")
        self.in_8.write("in_8", gaia.TXT).with_mod_n_sharding(8)
        self.in_2_ways = self.lines.map(shout, name="shout_2_ways")
        self.in_2_ways.write("one_way", gaia.TXT).with_mod_n_sharding(4)
        self.in_2_ways.write("other_way", gaia.TXT).with_mod_n_sharding(4, len)
        self.custom = self.lines.map(shout, name="shout_custom")
        self.custom.write("custom", gaia.TXT).with_custom_sharding(shout)
        self.counted = self.numbers.map(abs, name="abs", output=int)
        self.counted.write("counted", gaia.TXT).with_mod_n_sharding(4)

    def text(self) -> gaia.Output[str]:
        return self.lines.write("out", gaia.TXT)

    def page(self) -> gaia.Output[Page]:
        return self.pages.write("out", gaia.JSONL)


@pytest.fixture
def job() -> Iterator[Job]:
    with open(os.devnull, "wb") as log, HERE.open() as notes:
        yield Job(log, notes)


def case(name: str, wrong: Callable[[Job], object], *, step: str, expected: str, got: str) -> Any:
    return pytest.param(wrong, step, expected, got, id=name)


MAPS = [
    case(
        "hook that is a generator",
        lambda job: job.lines.map(YieldsAtFinish),
        step="yields_at_finish",
        expected="call ctx.write(record)",
        got="`YieldsAtFinish.on_shard_finish` is a generator",
    ),
    case(
        "hook without ctx",
        lambda job: job.lines.map(FinishesAlone),
        step="finishes_alone",
        expected="`on_shard_finish(self, ctx",
        got="FinishesAlone.on_shard_finish(self)",
    ),
    case(
        "do that returns its record",
        lambda job: job.lines.map(Returns),
        step="returns",
        expected="`Returns.do` to return nothing",
        got="annotated to return `str`",
    ),
    case(
        "hook that is misspelt",
        lambda job: job.lines.map(MisspeltHook),
        step="misspelt_hook",
        expected="on_shard_start or on_shard_finish",
        got="`MisspeltHook.on_shard_finished` is no hook",
    ),
    case(
        "context of another type than is declared",
        lambda job: job.lines.map(WritesAnother),
        step="writes_another",
        expected="declared to write `str`",
        got="`WritesAnother.do` has a `Context[int]`",
    ),
    case(
        "mapper that is made already",
        lambda job: job.lines.map(TakesText()),
        step="takes_text",
        expected="the class `TakesText`",
        got="one that is made already",
    ),
    case(
        "do that takes another type",
        lambda job: job.numbers.map(TakesText),
        step="takes_text",
        expected="`TakesText.do` takes `str`",
        got="table `numbers` holds `int`",
    ),
    case(
        "generic parameter of another type",
        lambda job: job.numbers.map(ParameterTakesText),
        step="parameter_takes_text",
        expected="takes `str`",
        got="table `numbers` holds `int`",
    ),
    case(
        "function that takes another type",
        lambda job: job.numbers.map(shout),
        step="shout",
        expected="`shout` takes `str`",
        got="table `numbers` holds `int`",
    ),
    case(
        "filter that takes another type",
        lambda job: job.numbers.filter(shout, name="loud"),
        step="loud",
        expected="`shout` takes `str`",
        got="table `numbers` holds `int`",
    ),
    case(
        "flat_map that takes another type",
        lambda job: job.numbers.flat_map(letters),
        step="letters",
        expected="`letters` takes `str`",
        got="table `numbers` holds `int`",
    ),
    case(
        "mapper without do",
        lambda job: job.lines.map(NoDo),
        step="no_do",
        expected="`do(self, record, ctx)`",
        got="`NoDo` defines none",
    ),
    case(
        "class with do that is no mapper",
        lambda job: job.lines.map(NoMapper),
        step="no_mapper",
        expected="gaia.Mapper",
        got="`NoMapper`",
    ),
    case(
        "do without a context",
        lambda job: job.lines.map(NoContext),
        step="no_context",
        expected="`do(self, record, ctx)`",
        got="`NoContext.do(self, record: str)",
    ),
    case(
        "mapper that does not tell what it writes",
        lambda job: job.lines.map(Untyped),
        step="untyped",
        expected="gaia.Mapper[In, Out]",
        got="`Untyped`",
    ),
    case(
        "generator as do",
        lambda job: job.lines.map(YieldingDo),
        step="yielding_do",
        expected="ctx.write(record)",
        got="`YieldingDo.do` is a generator",
    ),
    case(
        "joiner given to map",
        lambda job: job.lines.map(Merge),
        step="merge",
        expected="a Mapper class or a function",
        got="the Joiner `Merge`",
    ),
    case(
        "generator function given to map",
        lambda job: job.lines.map(letters),
        step="letters",
        expected="flat_map",
        got="`letters` is a generator",
    ),
    case(
        "coroutine given to map",
        lambda job: job.lines.map(fetch),
        step="fetch",
        expected="an ordinary function",
        got="`fetch` is asynchronous",
    ),
    case(
        "asynchronous generator given to map",
        lambda job: job.lines.map(stream, output=str),
        step="stream",
        expected="an ordinary function",
        got="`stream` is asynchronous",
    ),
    case(
        "lambda without output",
        lambda job: job.lines.map(lambda line: line),
        step="lambda",
        expected="output=TYPE",
        got="`<lambda>`",
    ),
    case(
        "lambda without output given to flat_map",
        lambda job: job.lines.flat_map(lambda line: [line]),
        step="lambda",
        expected="output=TYPE",
        got="`<lambda>`",
    ),
    case(
        "function that returns nothing",
        lambda job: job.lines.map(prints),
        step="prints",
        expected="a function that returns a record",
        got="annotated to return None",
    ),
    case(
        "flat_map with a function that returns one record",
        lambda job: job.lines.flat_map(shout),
        step="shout",
        expected="`Iterator[str]`",
        got="`shout` returns `str`",
    ),
    case(
        "no function at all",
        lambda job: job.lines.map("upper"),
        step="str",
        expected="a function",
        got="'upper'",
    ),
    case(
        "as_ of a table that is no text",
        lambda job: job.numbers.as_(Page),
        step="as_page",
        expected="str, bytes or dict",
        got="`int`",
    ),
]

ARGUMENTS = [
    case(
        "too few for a mapper",
        lambda job: job.lines.map(Sized),
        step="sized",
        expected="`Sized(size: int)",
        got="missing a required argument: 'size'",
    ),
    case(
        "too many for a mapper",
        lambda job: job.lines.map(Sized, 1, 2),
        step="sized",
        expected="`Sized(size: int)",
        got="(`int`, `int`): too many positional arguments",
    ),
    case(
        "too few for a function",
        lambda job: job.lines.map(cut),
        step="cut",
        expected="`cut(line: str, size: int)",
        got="(`str`): missing a required argument: 'size'",
    ),
    case(
        "too many for a function",
        lambda job: job.lines.map(cut, 1, 2),
        step="cut",
        expected="`cut(line: str, size: int)",
        got="(`str`, `int`, `int`): too many positional arguments",
    ),
    case(
        "too few for a joiner",
        lambda job: job.join(Limited, [job.in_4.bind_with(Limited.on_line)]),
        step="limited",
        expected="`Limited(limit: int)",
        got="missing a required argument: 'limit'",
    ),
    case(
        "too many for a joiner",
        lambda job: job.join(Merge, [job.in_4.bind_with(Merge.on_line)], 1),
        step="merge",
        expected="`Merge()`",
        got="(`int`): too many positional arguments",
    ),
    case(
        "a lock",
        lambda job: job.lines.map(cut, threading.Lock()),
        step="cut",
        expected="`setup`",
        got="lock",
    ),
    case(
        "a file open for writing",
        lambda job: job.lines.map(Sized, job.log),
        step="sized",
        expected="`setup`",
        got="BufferedWriter",
    ),
    case(
        "a text file open for reading",
        lambda job: job.lines.map(Sized, job.notes),
        step="sized",
        expected="`setup`",
        got="TextIOWrapper",
    ),
    case(
        "an unpicklable value in a closure",
        lambda job: job.lines.map(lambda line: job.log.name, output=str),
        step="lambda",
        expected="`setup`",
        got="BufferedWriter",
    ),
]

JOINS = [
    case(
        "handler that takes another type",
        lambda job: job.join(Merge, [job.counted.bind_with(Merge.on_line)]),
        step="merge",
        expected="`Merge.on_line` takes `str`",
        got="table `abs` holds `int`",
    ),
    case(
        "handler of another class",
        lambda job: job.join(Merge, [job.in_4.bind_with(OtherMerge.on_line)]),
        step="merge",
        expected="a method of `Merge`",
        got="`OtherMerge.on_line`",
    ),
    case(
        "handler by its name",
        lambda job: job.join(Merge, [job.in_4.bind_with("on_line")]),
        step="merge",
        expected="a method of `Merge`",
        got="got `str`",
    ),
    case(
        "generator as handler",
        lambda job: job.join(Merge, [job.in_4.bind_with(Merge.on_yield)]),
        step="merge",
        expected="ctx.write(record)",
        got="`Merge.on_yield` is a generator",
    ),
    case(
        "handler without a context",
        lambda job: job.join(Merge, [job.in_4.bind_with(Merge.on_alone)]),
        step="merge",
        expected="(self, record, ctx)",
        got="`Merge.on_alone(self, record: str)",
    ),
    case(
        "mapper given to join",
        lambda job: job.join(Sized, [job.in_4.bind_with(Sized.do)]),
        step="sized",
        expected="gaia.Joiner",
        got="Sized",
    ),
    case(
        "joiner that does not tell what it writes",
        lambda job: job.join(Untold, [job.in_4.bind_with(Untold.on_line)]),
        step="untold",
        expected="gaia.Joiner[Out]",
        got="`Untold`",
    ),
    case(
        "bare table",
        lambda job: job.join(Merge, [job.in_4]),
        step="merge",
        expected="table.bind_with(Merge.method)",
        got="PTable[str]('shout_4')",
    ),
    case(
        "binding outside of a list",
        lambda job: job.join(Merge, job.in_4.bind_with(Merge.on_line)),
        step="merge",
        expected="a list of inputs",
        got=".bind_with(Merge.on_line)`",
    ),
    case(
        "no inputs",
        lambda job: job.join(Merge, [], name="nothing"),
        step="nothing",
        expected="a list of inputs",
        got="[]",
    ),
    case(
        "inputs with different n",
        lambda job: job.join(Merge, [t.bind_with(Merge.on_line) for t in (job.in_4, job.in_8)]),
        step="merge",
        expected="the same number of shards",
        got="`in_4` has 4, `in_8` has 8",
    ),
    case(
        "table written in two ways",
        lambda job: job.join(Merge, [job.in_2_ways.bind_with(Merge.on_line)]),
        step="merge",
        expected="one way in which `shout_2_ways` is sharded",
        got="`one_way`, `other_way`",
    ),
    case(
        "keys of different types",
        lambda job: job.join(
            Merge, [job.in_4.bind_with(Merge.on_line), job.counted.bind_with(Merge.on_number)]
        ),
        step="merge",
        expected="sharded by keys of one type",
        got="that of `in_4` is str, that of `counted` is int",
    ),
    case(
        "method of a joiner that is made already",
        lambda job: job.join(Merge, [job.in_4.bind_with(Merge().on_line)]),
        step="merge",
        expected="the method of the class, `Merge.on_line`",
        got="one that is made already",
    ),
    case(
        "unwritten input",
        lambda job: job.join(Merge, [job.lines.bind_with(Merge.on_line)]),
        step="merge",
        expected="written tables",
        got="`lines` is not written",
    ),
    case(
        "input with custom shards",
        lambda job: job.join(Merge, [job.custom.bind_with(Merge.on_line)]),
        step="merge",
        expected="inputs sharded by number",
        got="`custom` has custom shards",
    ),
    case(
        "table of another pipeline",
        lambda job: gaia.Pipeline("other").join(Merge, [job.in_4.bind_with(Merge.on_line)]),
        step="merge",
        expected="pipeline `other`",
        got="`job`",
    ),
]

WRITES = [
    case(
        "unknown field as key",
        lambda job: job.page().with_mod_n_sharding(4, "link"),
        step="write out",
        expected="a field of `Page` (url, level, day, tags, links, inner)",
        got="'link'",
    ),
    case(
        "unknown field among several",
        lambda job: job.page().with_mod_n_sharding(4, ("url", "link")),
        step="write out",
        expected="a field of `Page`",
        got="'link'",
    ),
    case(
        "list as key",
        lambda job: job.page().with_mod_n_sharding(4, "tags"),
        step="write out",
        expected="a key that is str, bytes, int",
        got="field `tags` is `list[str]`",
    ),
    case(
        "dict as key",
        lambda job: job.page().with_mod_n_sharding(4, "links"),
        step="write out",
        expected="a key that is str, bytes, int",
        got="field `links` is `dict[str, int]`",
    ),
    case(
        "nested record as key",
        lambda job: job.page().with_mod_n_sharding(4, "inner"),
        step="write out",
        expected="a key that is str, bytes, int",
        got="field `inner` is `Inner`",
    ),
    case(
        "field of a table without fields",
        lambda job: job.text().with_mod_n_sharding(4, "word"),
        step="write out",
        expected="a field of `str` as key",
        got="'word'",
    ),
    case(
        "class without a key",
        lambda job: job.page().with_mod_n_sharding(4),
        step="write out",
        expected="a key",
        got="`Page`",
    ),
    case(
        "dict without a key",
        lambda job: job.dicts.write("out", gaia.JSONL).with_mod_n_sharding(4),
        step="write out",
        expected="a key",
        got="`dict`",
    ),
    case(
        "no fields",
        lambda job: job.page().with_mod_n_sharding(4, ()),
        step="write out",
        expected="a tuple of names",
        got="()",
    ),
    case(
        "number as key",
        lambda job: job.page().with_mod_n_sharding(4, 5),
        step="write out",
        expected="a field's name",
        got="5",
    ),
    case(
        "key function of several arguments",
        lambda job: job.text().with_mod_n_sharding(4, cut),
        step="write out",
        expected="`cut(line: str, size: int)",
        got="missing a required argument: 'size'",
    ),
    case(
        "key function that takes another type",
        lambda job: job.page().with_mod_n_sharding(4, shout),
        step="write out",
        expected="`shout` takes `str`",
        got="`Page`",
    ),
    case(
        "shard function of several arguments",
        lambda job: job.text().with_custom_sharding(cut),
        step="write out",
        expected="`cut(line: str, size: int)",
        got="missing a required argument: 'size'",
    ),
    case(
        "shard function that takes another type",
        lambda job: job.page().with_custom_sharding(shout),
        step="write out",
        expected="`shout` takes `str`",
        got="`Page`",
    ),
    case(
        "shard function that is none",
        lambda job: job.page().with_custom_sharding("url"),
        step="write out",
        expected="a function of the record",
        got="'url'",
    ),
    *(
        case(
            f"n = {n!r}",
            lambda job, n=n: job.text().with_mod_n_sharding(n),
            step="write out",
            expected="a number of shards from 1 to 1,000,000",
            got=repr(n),
        )
        for n in (0, -1, 1_000_001, 4.0, "4", True)
    ),
    *(
        case(
            f"{codec.name} level {level!r}",
            lambda job, codec=codec, level=level: job.text().and_compress(codec, level),
            step="write out",
            expected=f"a {codec.name} level from {span}",
            got=repr(level),
        )
        for codec, level, span in (
            (gaia.ZSTD, -8, "-7 to 22"),
            (gaia.ZSTD, 23, "-7 to 22"),
            (gaia.ZSTD, "3", "-7 to 22"),
            (gaia.GZIP, -1, "0 to 9"),
            (gaia.GZIP, 10, "0 to 9"),
        )
    ),
    case(
        "codec by its name",
        lambda job: job.text().and_compress("zstd"),
        step="write out",
        expected="gaia.ZSTD, gaia.GZIP, gaia.LZ4 or gaia.NONE",
        got="'zstd'",
    ),
    *(
        case(
            f"shard size {size!r}",
            lambda job, size=size: job.text().with_max_shard_size(size),
            step="write out",
            expected="a size in MB above 0",
            got=repr(size),
        )
        for size in (0, -1, "64")
    ),
    case(
        "format by its name",
        lambda job: job.lines.write("out", "txt"),
        step="write out",
        expected="gaia.TXT, gaia.JSONL or gaia.ARROW",
        got="'txt'",
    ),
    *(
        case(
            f"table named {name[:20]!r}",
            lambda job, name=name: job.lines.write(name, gaia.TXT),
            step="lines",
            expected="a table name",
            got=repr(name),
        )
        for name in ("", "a/b", "..", "_gaia", ".hidden", "a b", "wörter", "a\n", "a" * 101)
    ),
]

READS = [
    case(
        "empty from_records without type",
        lambda job: job.from_records([], name="nothing"),
        step="nothing",
        expected="at least one record",
        got="none",
    ),
    case(
        "from_records of several types",
        lambda job: job.from_records([1, 2, "three"], name="mixed"),
        step="mixed",
        expected="`int`",
        got="`str` as record 2",
    ),
    case(
        "from_records of another type than declared",
        lambda job: job.from_records([1], type=str),
        step="from_records",
        expected="`str`",
        got="`int` as record 0",
    ),
    case(
        "unknown encoding",
        lambda job: job.read_text("a.txt", encoding="utf-9"),
        step="read_text",
        expected="encoding",
        got="utf-9",
    ),
    case(
        "unknown handling of encoding errors",
        lambda job: job.read_text("a.txt", errors="forgive"),
        step="read_text",
        expected="an error handler",
        got="forgive",
    ),
    case(
        "no paths of text",
        lambda job: job.read_text([]),
        step="read_text",
        expected="at least one path",
        got="an empty list",
    ),
    case(
        "no paths of JSON",
        lambda job: job.read_jsonl([], name="visits"),
        step="visits",
        expected="at least one path",
        got="an empty list",
    ),
    case(
        "number as path",
        lambda job: job.read_text(5),
        step="read_text",
        expected="path",
        got="5",
    ),
    case(
        "shard below 0",
        lambda job: job.read_text(gaia.FileSpec("a.txt", shard=-1)),
        step="read_text",
        expected="shard",
        got="-1",
    ),
]

TYPES = [
    case(
        "set",
        lambda job: job.read_jsonl("a.jsonl", type=set),
        step="read_jsonl",
        expected="str, bytes, int, float, bool, dict",
        got="`set`",
    ),
    case(
        "class that declares no fields",
        lambda job: job.lines.map(shout, output=Plain),
        step="shout",
        expected="attrs class, dataclass, NamedTuple or msgspec.Struct",
        got="`Plain`",
    ),
    case(
        "attrs class without fields",
        lambda job: job.read_jsonl("a.jsonl", type=NoFields),
        step="read_jsonl",
        expected="at least one field",
        got="`NoFields`",
    ),
    case(
        "field that is no record type",
        lambda job: job.lines.as_(HasPlain),
        step="as_has_plain",
        expected="field `plain` of `HasPlain`",
        got="`Plain`",
    ),
    case(
        "Enum of several types",
        lambda job: job.lines.as_(HasMixed),
        step="as_has_mixed",
        expected="all str or all int",
        got="`Mixed`",
    ),
    case(
        "to_text without from_text",
        lambda job: job.lines.as_(OnlyToText),
        step="as_only_to_text",
        expected="`from_text`",
        got="`OnlyToText` defines `to_text`",
    ),
    case(
        "type by its name",
        lambda job: job.lines.map(len, output="int"),
        step="len",
        expected="int, float",
        got="'int'",
    ),
    case(
        "list instead of a type",
        lambda job: job.lines.map(len, output=[int]),
        step="len",
        expected="int, float",
        got="[",
    ),
]


@pytest.mark.parametrize(
    ("wrong", "step", "expected", "got"), [*MAPS, *ARGUMENTS, *JOINS, *WRITES, *READS, *TYPES]
)
def test_wrong_wiring_is_refused(job, wrong, step, expected, got):
    with pytest.raises(gaia.PipelineError) as error:
        wrong(job)

    message = str(error.value)
    assert message.startswith(f"step `{step}`: ")
    assert expected in message
    assert got in message
    assert names_line(message, first_line(wrong))


def test_a_name_is_given_to_one_step():
    pipeline = gaia.Pipeline("job")
    lines = pipeline.from_records(["a"], name="lines")  # taken
    with pytest.raises(gaia.PipelineError) as error:
        lines.map(shout, name="lines")  # wrong

    assert f"{HERE}:{marked('taken')} is called 'lines'" in str(error.value)
    assert names_line(str(error.value), marked("wrong"))


def test_a_name_is_given_to_one_table(job):
    job.lines.write("out", gaia.TXT)  # taken
    with pytest.raises(gaia.PipelineError) as error:
        job.numbers.write("out", gaia.TXT)  # wrong

    assert f"{HERE}:{marked('taken')} is called 'out'" in str(error.value)
    assert names_line(str(error.value), marked("wrong"))


@pytest.mark.parametrize("name", ["", "a\nb", 5])
def test_a_step_needs_a_printable_name(job, name):
    with pytest.raises(gaia.PipelineError, match="expected a name for a step") as error:
        job.lines.map(shout, name=name)  # wrong

    assert repr(name) in str(error.value)
    assert names_line(str(error.value), marked("wrong"))


@pytest.mark.parametrize(
    "planned",
    [
        pytest.param(lambda pipeline, folder: pipeline.explain(), id="explain"),
        pytest.param(lambda pipeline, folder: pipeline.plan(), id="plan"),
        pytest.param(lambda pipeline, folder: gaia.LocalRunner(folder).run(pipeline), id="run"),
    ],
)
def test_a_write_that_nobody_sharded_is_refused_before_anything_runs(planned, tmp_path):
    pipeline = gaia.Pipeline("job")
    lines = pipeline.from_records(["a"], name="lines")
    lines.write("out", gaia.TXT)  # wrong
    with pytest.raises(gaia.PipelineError) as error:
        planned(pipeline, tmp_path)

    message = str(error.value)
    assert message.startswith("step `write out`: expected a sharding for table `out`")
    assert "`lines` has no shards" in message
    assert names_line(message, marked("wrong"))
    assert not list(tmp_path.iterdir())


def test_a_sharding_that_changes_after_the_join_is_checked_again(job):
    other = job.lines.map(shout)
    output = other.write("out", gaia.TXT).with_mod_n_sharding(4)
    job.join(Merge, [t.bind_with(Merge.on_line) for t in (job.in_4, other)])  # wrong
    output.with_mod_n_sharding(5)
    with pytest.raises(gaia.PipelineError, match="`in_4` has 4, `out` has 5") as error:
        job.plan()

    assert names_line(str(error.value), marked("wrong"))


def test_the_line_is_that_of_the_call_within_a_chain(job):
    with pytest.raises(gaia.PipelineError) as error:
        (
            job.lines.map(shout)
            .write("out", gaia.TXT)
            .with_mod_n_sharding(0)  # wrong
            .and_compress(gaia.ZSTD)
        )

    assert names_line(str(error.value), marked("wrong"))


def test_the_line_is_that_of_the_wrong_input_within_a_join(job):
    with pytest.raises(gaia.PipelineError) as error:
        job.join(
            Merge,
            [
                job.in_4.bind_with(Merge.on_line),
                job.counted.bind_with(Merge.on_line),  # wrong
            ],
        )

    assert names_line(str(error.value), marked("wrong"))


def test_a_refused_step_leaves_the_pipeline_as_it_was(job):
    before = job.explain()
    for wrong in (
        lambda: job.numbers.map(shout, name="next"),
        lambda: job.lines.map(cut, threading.Lock(), name="next"),
        lambda: job.join(Merge, [job.lines.bind_with(Merge.on_line)], name="next"),
        lambda: job.lines.write("no/name", gaia.TXT),
    ):
        with pytest.raises(gaia.PipelineError):
            wrong()

    assert job.explain() == before
    assert job.lines.map(shout, name="next").name == "next"


class Anything(gaia.Mapper[Any, str]):
    def do(self, record: object, ctx: gaia.Context[str]) -> None: ...


class Number(gaia.Mapper[int | float, str]):
    def do(self, record: float, ctx: gaia.Context[str]) -> None: ...


class Inherited(TakesText):
    pass


@pytest.mark.parametrize(
    "right",
    [
        pytest.param(lambda job: job.pages.map(Anything), id="object and Any take all"),
        pytest.param(lambda job: job.numbers.map(Number), id="float takes int"),
        pytest.param(lambda job: job.lines.map(Inherited), id="do is inherited"),
        pytest.param(lambda job: job.lines.map(cut, 3), id="further arguments"),
        pytest.param(lambda job: job.page().with_mod_n_sharding(4, ("level", "day")), id="keys"),
        pytest.param(lambda job: job.from_records([], type=str), id="empty but typed"),
        pytest.param(
            lambda job: job.from_records([{"a": 1}], type=dict[str, int]), id="dict of a type"
        ),
        pytest.param(lambda job: job.read_text(Path("a.txt"), encoding="latin-1"), id="Path"),
    ],
)
def test_what_fits_is_taken(job, right):
    right(job)
    assert job.plan()


def names_line(message: str, number: int) -> bool:
    return message.endswith(f"\n  at {HERE}:{number}")


def first_line(function: Callable[..., Any]) -> int:
    return function.__code__.co_firstlineno


def marked(word: str) -> int:
    """The number of the calling test's line that ends with this word as its comment."""
    test = inspect.stack()[1].frame.f_code
    lines, first = inspect.getsourcelines(test)
    (found,) = (number for number, line in enumerate(lines) if line.endswith(f"# {word}\n"))
    return first + found


class Split(gaia.Mapper[str, str]):
    def __init__(self, pattern: str) -> None: ...

    def do(self, line: str, ctx: gaia.Context[str]) -> None: ...


class MergeWith(gaia.Joiner[str]):
    def __init__(self, mark: str) -> None: ...

    def on_line(self, line: str, ctx: gaia.Context[str]) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            lambda job: job.lines.map(Split),
            "missing a required argument: 'pattern'; pass it after the class: map(Split, pattern)",
        ),
        (
            lambda job: job.join(MergeWith, [job.in_4.bind_with(MergeWith.on_line)]),
            "pass it after the inputs: join(MergeWith, [...], mark)",
        ),
        (
            lambda job: job.lines.map(Split, pattern="x"),
            "expected arguments for `Split` by position, map(Split, 'x'), got pattern=",
        ),
        (
            lambda job: job.join(MergeWith, [job.in_4.bind_with(MergeWith.on_line)], mark="x"),
            "by position, join(MergeWith, [...], 'x'), got mark=",
        ),
        (
            lambda job: job.join(Merge, job.in_4.bind_with(Merge.on_line)),
            ", got `shout_4.bind_with(Merge.on_line)`\n",
        ),
    ],
)
def test_what_to_do_about_arguments_is_told(job, wrong, told):
    with pytest.raises(gaia.PipelineError) as error:
        wrong(job)
    assert told in str(error.value)
