"""The decoders, each as a function of bytes, and valid inputs of each.

A target returns what it found in a few numbers, and may raise Gaia's errors, and `ValueError` and
`TypeError` where a decoder documents them. Anything else is a mistake of Gaia's.
"""

import atexit
import bz2
import datetime
import enum
import functools
import gzip
import io
import itertools
import lzma
import os
import shutil
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import attrs
import cloudpickle
import lz4.frame
import zstandard

from gaia import _core, ops
from gaia.errors import GaiaError
from gaia.io import compression, frames, manifest, parquet, warc
from gaia.io.bundle import Bundle
from gaia.io.files import InputFile
from gaia.io.folder import Folder
from gaia.io.sources import LocalSource
from gaia.pipeline.graph import Format
from gaia.pipeline.records import describe, plain_key, record_type, same_shape, why_not
from gaia.runner import journal
from gaia.runner.columns import Columns, Rows, codec_of, measured, open_batches
from gaia.runner.identity import Identity
from gaia.runner.inputs import Lines, Part, codec_for, open_lines
from gaia.runner.task import Task, TaskReport


@attrs.frozen
class Target:
    """A decoder. `tokens` are what its format is made of."""

    name: str
    run: Callable[[bytes], Any]
    seeds: Callable[[], list[bytes]]
    tokens: Sequence[bytes] = ()
    raises: tuple[type[BaseException], ...] = (GaiaError, ValueError, TypeError)


class Colour(enum.Enum):
    RED = "red"
    GREEN = "grün"


class Level(enum.Enum):
    LOW = -1
    HIGH = 2


@attrs.frozen
class Wide:
    """A field of every kind."""

    text: str
    raw: bytes
    number: int | None
    real: float | None
    flag: bool
    day: datetime.date | None
    moment: datetime.datetime | None
    colour: Colour
    level: Level | None
    items: list[int]


@attrs.frozen
class Plain:
    """Fields that every format has."""

    text: str
    number: int | None
    real: float
    flag: bool
    moment: datetime.datetime | None
    colour: Colour | None


class Pair(NamedTuple):
    word: str
    count: int | None


class Deep(NamedTuple):
    word: str
    items: list[int]


_OPERATORS: list[tuple[Any, Any]] = [
    (ops.ParseJson(Plain), Plain),
    (ops.ParseJson(Deep), Deep),
    (ops.ParseCsv(Plain), Plain),
    (ops.FindAll(r"\w+"), str),
    (ops.Replace(r"(\w)\W", "$1"), str),
    (ops.Words(), str),
]

MOMENT = datetime.datetime(2024, 2, 29, 1, 2, 3, 456789)
WIDE = [
    Wide("a\tb\\", b"\0\xff", 1, -0.5, True, MOMENT.date(), MOMENT, Colour.RED, Level.LOW, [1, 2]),
    Wide("", b"", None, None, False, None, None, Colour.GREEN, None, []),
    Wide(
        "größer",
        b"x",
        -(2**63),
        1e300,
        True,
        datetime.date(1, 1, 1),
        MOMENT.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-9, minutes=30))),
        Colour.RED,
        Level.HIGH,
        [10**30],
    ),
]
PLAIN = [
    Plain("a,b", 1, 0.5, True, MOMENT, Colour.RED),
    Plain('say "hi"\nthere', None, -1e-300, False, None, None),
    Plain("", 2**63 - 1, float("inf"), True, MOMENT, Colour.GREEN),
]
PAIRS = [Pair(f"word {n}", None if n % 3 == 0 else n) for n in range(12)]

_FOLDER = tempfile.mkdtemp(
    prefix="gaia-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None
)
_OWNER = os.getpid()


@atexit.register
def _clean() -> None:
    if os.getpid() == _OWNER:
        shutil.rmtree(_FOLDER, ignore_errors=True)


def _file(data: bytes, name: str = "input") -> str:
    """A file of these bytes, which the next call replaces."""
    path = os.path.join(_FOLDER, f"{os.getpid()}-{name}")
    with open(path, "wb") as file:
        file.write(data)
    return path


def _input(data: bytes, packed: str = "none") -> InputFile:
    return InputFile(_file(data), len(data), packed)


class _Sink:
    """A context behind which records, or batches of them, go nowhere."""

    def __init__(self, tp: Any, batches: bool) -> None:
        self.state = _core.TaskState("", None, None)
        codec = _core.Codec(record_type(tp), "txt")
        into: _core.Context[Any] = _core.Context(self.state, codec, [], [])
        take: tuple[str, Any] = ("do", self.do)
        if batches:
            take = ("do_batch", (self.do_batch, 5))
        self.context: _core.Context[Any] = _core.Context(
            self.state, codec, [], [("sink", *take, into)]
        )
        self.records: list[Any] = []

    def do(self, record: Any, _: Any) -> None:
        self.records.append(record)

    def do_batch(self, batch: Any, _: Any) -> None:
        self.records += batch.records()

    def outcome(self) -> tuple[int, int]:
        """How many records there were, and how many were none."""
        self.context.flush()
        return len(self.records), self.state.parse_errors[0]


# ----- lines


def _read_lines(data: bytes, source: Lines, tp: Any, batches: bool, lenient: bool) -> Any:
    part = source.parts[0]
    sink = _Sink(tp, batches)
    lines = open_lines(source, part)
    _core.feed_lines(lines, codec_for(source, part, tp), sink.context, lenient)
    return sink.outcome(), sink.records


def _lines(format: Format, types: Sequence[Any]) -> Callable[[bytes], Any]:
    def run(data: bytes) -> Any:
        file = _input(data)
        found = []
        for tp in types:
            # Records stand in lines of text where Gaia wrote them.
            ours = format is Format.TXT and tp not in (str, bytes)
            source = Lines((Part(file),), format, ours=ours)
            one, records = _read_lines(data, source, tp, False, True)
            many, same = _read_lines(data, source, tp, True, True)
            # Blocks pass on what is odd behind the rest.
            expect(one == many, f"{tp}: {one} records one by one, {many} in batches")
            expect(
                sorted(map(repr, records)) == sorted(map(repr, same)),
                f"{tp}: records differ in batches",
            )
            middle = len(data) // 2
            halves = 0
            for part in (Part(file, 0, middle), Part(file, middle, len(data))):
                cut = attrs.evolve(source, parts=(part,))
                halves += _read_lines(data, cut, tp, True, True)[0][0]
            expect(halves == one[0] or middle == 0, f"{tp}: {halves} of {one[0]} in halves")
            found.append(one)
        ours = attrs.evolve(source, ours=True)
        found.append(_tried(lambda: _read_lines(data, ours, types[0], True, False)[0]))
        return found

    return run


def expect(truth: bool, message: str) -> None:
    """A decoder's promise."""
    if not truth:
        raise AssertionError(message)


def _encoded(format: str, records: Sequence[Any], tp: Any) -> bytes:
    codec = _core.Codec(record_type(tp), format)
    return codec.head() + b"".join(codec.encode(record) + b"\n" for record in records)


def _csv(data: bytes) -> Any:
    path = _file(data)
    found: list[Any] = []
    cuts = _core.csv_cuts(path, ",", [0, len(data) // 3, len(data) // 2, len(data)])
    expect(cuts == sorted(cuts) and cuts[-1] <= len(data), f"cuts {cuts} of {len(data)}")
    for header in (False, True):
        source = Lines((Part(_input(data)),), Format.CSV, skip_header=header)
        try:
            _columns = codec_for(source, source.parts[0], Plain)
        except GaiaError as error:
            found.append(str(error)[:20])
            continue
        del _columns
        whole, records = _read_lines(data, source, Plain, True, True)
        single, same = _read_lines(data, source, Plain, False, True)
        expect((whole, list(map(repr, records))) == (single, list(map(repr, same))), "batches")
        rows: list[Any] = []
        edges = sorted({0, *cuts[1:-1], len(data)})
        for start, end in itertools.pairwise(edges):
            part = Part(source.parts[0].file, start, end)
            cut = attrs.evolve(source, parts=(part,))
            rows += _read_lines(data, cut, Plain, True, True)[1]
        expect(list(map(repr, rows)) == list(map(repr, records)) or not data, "cut rows differ")
        found.append(whole)
    names = _tried(lambda: _core.csv_header(_core.Lines([data], delimiter=","), ","))
    found.append(len(names or ()))
    for start in range(0, len(data), max(1, len(data) // 4)):
        lines = _core.Lines([data[:start], data[start:]], crlf=True, delimiter=",")
        codec = _core.Codec(record_type(Pair), "csv", columns=([0, 1], 2))
        sink = _Sink(Pair, True)
        _core.feed_lines(lines, codec, sink.context, True)
        found.append(sink.outcome()[0])
    return found


def _ops(data: bytes) -> Any:
    """What native operators make of lines."""
    found = []
    for op, gives in _OPERATORS:
        sink = _Sink(gives, True)
        codec = _core.Codec(record_type(str), "txt")
        native = ("parse", "native", op.core(str, gives), sink.context)
        context: _core.Context[Any] = _core.Context(sink.state, codec, [], [native])
        _core.feed_lines(_core.Lines([data], crlf=True), codec, context, True)
        context.flush()
        found.append(sink.outcome())
    return found


# ----- columns


def _arrow(data: bytes) -> Any:
    path = _file(data)
    found: list[Any] = []
    for tp in (Pair, Deep, Wide):
        for source in (path, [data[: len(data) // 2], data[len(data) // 2 :]]):
            for batches in (False, True):
                found.append(_fed(lambda: _core.Batches.stream(source), tp, batches))  # noqa: B023
        found.append(_tried(lambda: _core.check_arrow(_core.Batches.stream(path), codec_of(tp))))  # noqa: B023
    blocks = _tried(lambda: _core.arrow_blocks(path))
    if isinstance(blocks, list):
        ranges = [(offset, length) for offset, length, _ in blocks]
        found.append(_fed(lambda: _core.Batches.stream(path, ranges), Pair, True))
    found.append(_tried(lambda: _through(data, Format.ARROW, Deep)))
    return found


def _parquet(data: bytes) -> Any:
    source = LocalSource(_file(data), len(data))
    _tried(lambda: parquet.schema(source))
    _tried(lambda: parquet.row_groups(source))
    return [_tried(lambda: _through(data, Format.PARQUET, tp)) for tp in (Pair, Deep)]  # noqa: B023


def _through(data: bytes, format: Format, tp: Any) -> Any:
    """Reads a file of columns as a stage does it."""
    found = []
    for parts in measured([_input(data)], format, tp, ours=False):
        for rows, _ in parts:
            expect(isinstance(rows, Rows), "rows")
            source = Columns((rows,), format)
            sink = _Sink(tp, True)
            _core.feed_batches(open_batches(source, rows, tp), codec_of(tp), sink.context, True)
            found.append(sink.outcome())
    return found


def _fed(make: Callable[[], Any], tp: Any, batches: bool) -> Any:
    sink = _Sink(tp, batches)
    return _tried(
        lambda: (
            _core.feed_batches(make(), codec_of(tp), sink.context, True),
            sink.outcome(),
        )
    )


def _tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (GaiaError, ValueError, TypeError) as error:
        return type(error).__name__


# ----- compressed data


def _streams(data: bytes) -> Any:
    found: list[Any] = []
    sniffed = compression.sniff(data)
    for codec in {sniffed, "gzip", "zstd"} - {"none"}:
        pieces = compression.decompress(iter([data[:100], data[100:]]), codec, "input")
        found.append(_tried(lambda: _drained(pieces)))  # noqa: B023
    lines = _tried(
        lambda: open_lines(Lines((Part(_input(data, "zstd")),), Format.TXT), _part(data))
    )
    if isinstance(lines, _core.Lines):
        codec = _core.Codec(record_type(bytes), "txt")
        found.append(_tried(lambda: sum(1 for _ in _core.RecordReader(lines, codec))))
    return [sniffed, *found]


def _part(data: bytes) -> Part:
    return Part(_input(data, "zstd"))


def _drained(pieces: Iterator[bytes]) -> int:
    """How much there is, up to a bound: what is behind it is more of the same."""
    total = 0
    for piece in pieces:
        expect(len(piece) <= 1 << 20, f"a piece of {len(piece)} bytes")
        total += len(piece)
        if total > 1 << 26:
            break
    return total.bit_length()


def _frames(data: bytes) -> Any:
    source = LocalSource(_file(data), len(data))
    found = []
    for codec in ("zstd", "gzip"):
        starts = frames.frame_starts(source, codec)
        if starts is not None:
            expect(starts == sorted(starts), f"places out of order: {starts[:9]}")
            expect(starts[0] == (0, 0) and starts[-1][0] <= len(data), f"places {starts[-1]}")
            frames.before(starts, starts[-1][1])
        found.append(starts and len(starts))
    return found


def _warc(data: bytes) -> Any:
    source = LocalSource(_file(data), len(data))
    sniffed = compression.sniff(data)
    found: list[Any] = []
    for codec in {sniffed if sniffed in ("gzip", "zstd") else "none", "none"}:
        broken: list[int] = []

        def note(at: int, _: str, broken: list[int] = broken) -> None:
            broken.append(at)

        records = warc.records(source, codec, 0, len(data), None, note)
        found.append(_tried(lambda: sum(1 for _ in records)))  # noqa: B023
        found.append(len(broken))
        for start, end in ((0, len(data) // 2), (len(data) // 2, len(data))):
            part = warc.records(source, codec, start, end, ["response", "conversion"])
            found.append(_tried(lambda: sum(1 for _ in part)))  # noqa: B023
    return found


# ----- what Gaia keeps about its own files


def _manifest(data: bytes) -> Any:
    folder = os.path.join(_FOLDER, "table")
    kept = manifest.kept_files(data)
    expect(kept is None or isinstance(kept, list), "kept files")
    found = manifest.parsed(data, folder)
    for shard in found.shards:
        for file in shard.files:
            inside(folder, file.path)
            expect(isinstance(file.size, int) and file.size >= 0, "size")
        expect(isinstance(shard.records, int) and isinstance(shard.raw_bytes, int), "counts")
    same = [same_shape(tp, found.record) for tp in (Pair, str)]
    why_not(Pair, found.record)
    return len(found.shards), same, found.format, found.compression


def inside(folder: str, name: str) -> None:
    """Promises that a name stands for a file below a folder."""
    path = os.path.normpath(os.path.join(folder, name))
    expect(path.startswith(folder + os.sep), f"{name!r} leads outside")
    expect("\0" not in name, "a name with a null byte")


def _bundle(data: bytes) -> Any:
    found = Bundle("t", "p", data, ("a", "b")).frames()
    Bundle("t", "p", data, ()).frames()
    return len(found), Bundle("t", "p", data, ()).size.bit_length()


def _journal(data: bytes) -> Any:
    path = os.path.join(_FOLDER, "journal")
    with open(path, "wb") as file:
        file.write(data)
    past = journal.read_journal(Folder(_FOLDER))
    again = journal.read_journal(Folder(_FOLDER))
    expect(os.path.getsize(path) <= len(data), "a longer journal")
    expect(past.committed.keys() == again.committed.keys(), "another journal")
    return sorted(past.committed), {name: len(half.reports) for name, half in past.half.items()}


@functools.cache
def _named() -> _core.Output:
    return _core.Output(
        "t",
        _core.Codec(record_type(str), "txt"),
        os.path.join(_FOLDER, "named.bundle"),
        shards=0,
        key=None,
        custom=lambda record: record,
        kept=None,
        plain_key=plain_key,
        combine=None,
        compression="none",
        level=0,
        frame_bytes=1 << 16,
        budget=1 << 20,
    )


def _names(data: bytes) -> Any:
    name = data.decode("utf-8", "surrogateescape")
    state = _core.TaskState("", None, None)
    codec = _core.Codec(record_type(str), "txt")
    context: _core.Context[Any] = _core.Context(state, codec, [_named()], [])
    context.set_output_shard(name)
    folder = os.path.join(_FOLDER, "table")
    for part in (None, 3):
        inside(folder, manifest.shard_path("t", name, None, ".txt", part))
    expect(manifest.is_inside(f"{name}.txt"), f"a manifest refuses shard {name!r}")
    return name.count("/")


# ----- valid inputs


def _lines_seeds(format: str) -> list[bytes]:
    return [
        _encoded(format, WIDE, Wide),
        _encoded(format, PAIRS, Pair),
        _encoded(format, ["a", "größer", "c" * 100], str),
        _encoded(format, [1, -5, 2**70], int),
        _encoded(format, [{"a": [1, {"b": None}]}, {}], dict),
        b"\xef\xbb\xbfa\r\n\r\nb\r\n",
    ]


def _csv_seeds() -> list[bytes]:
    plain = _encoded("csv", PLAIN, Plain)
    shuffled = b"extra,flag,colour,real,number,text,moment\r\n1,true,red,1.5,7,x,\r\n"
    return [
        plain,
        plain * 3,
        b"\xef\xbb\xbf" + shuffled * 4,
        b'word,count\na,1\n"b\nc",\n\n\n"d""e",3',
        b'"a","1"\r\n"b" ,2\r\n"',
    ]


def _tables() -> list[Any]:
    import pyarrow as pa

    pairs = pa.table(
        {"word": [pair.word for pair in PAIRS], "count": [pair.count for pair in PAIRS]}
    )
    words = pairs["word"]
    coded = pairs.set_column(0, "word", words.dictionary_encode())
    views = pairs.set_column(0, "word", words.cast(pa.string_view()))
    large = pairs.set_column(0, "word", words.cast(pa.large_string()))
    deep = pa.table(
        {
            "word": ["a", "b", None],
            "items": pa.array([[1], None, [2, 3]], pa.list_(pa.int64())),
            "more": pa.array([{"x": 1}, None, {"x": 2}]),
        }
    )
    texts = pa.table({"word": ["a", "b"], "items": ["[1]", "[2, 3]"]})
    return [pairs, coded, views, large, deep, texts]


def _wide_stream() -> bytes:
    """As Gaia writes it."""
    path = os.path.join(_FOLDER, f"{os.getpid()}-wide.bundle")
    records = [attrs.evolve(record, moment=None) for record in WIDE]
    output = _core.Output(
        "t",
        codec_of(Wide),
        path,
        shards=1,
        key=lambda record: 0,
        custom=None,
        kept=None,
        plain_key=plain_key,
        combine=None,
        compression="zstd",
        level=1,
        frame_bytes=1 << 16,
        budget=1 << 20,
    )
    state = _core.TaskState("", None, None)
    context: _core.Context[Any] = _core.Context(
        state, _core.Codec(record_type(Wide), "txt"), [output], []
    )
    for record in records:
        context.write(record)
    _, _, zones = output.finish()
    with open(path, "rb") as file:
        frames_ = file.read()
    os.remove(path)
    return _core.arrow_head(codec_of(Wide), zones) + frames_ + _core.ARROW_END


@functools.cache
def _arrow_seeds() -> list[bytes]:
    import pyarrow as pa

    found = [_wide_stream()]
    for number, table in enumerate(_tables()):
        new = pa.ipc.new_file if number % 2 else pa.ipc.new_stream
        for packed in (None, "zstd" if number % 2 else "lz4"):
            buffer = io.BytesIO()
            options = pa.ipc.IpcWriteOptions(compression=packed)
            with new(buffer, table.schema, options=options) as writer:
                writer.write_table(table, max_chunksize=5)
            found.append(buffer.getvalue())
    return found


@functools.cache
def _parquet_seeds() -> list[bytes]:
    import pyarrow.parquet as pq

    found = []
    for table in _tables():
        for packed in ("none", "zstd"):
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression=packed, row_group_size=7)
            found.append(buffer.getvalue())
    return found


_TEXT = b"".join(b"%d a line of text\n" % number for number in range(40))


def _bgzip_block(raw: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(raw) + packer.flush()
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(packed) + 25)
    return head + packed + struct.pack("<II", zlib.crc32(raw), len(raw))


def _packed() -> dict[str, Callable[[bytes], bytes]]:
    return {
        "gzip": lambda raw: gzip.compress(raw, mtime=0),
        "bgzip": _bgzip_block,
        "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
        "bzip2": bz2.compress,
        "xz": lzma.compress,
        "lz4": lambda raw: bytes(lz4.frame.compress(raw, content_checksum=True)),
    }


def _streams_seeds() -> list[bytes]:
    halves = _TEXT[:300], _TEXT[300:]
    found = [b"".join(map(pack, halves)) for pack in _packed().values()]
    return [*found, b"\x50\x2a\x4d\x18\x04\0\0\0skip" + found[2], found[0] + bytes(500)]


def _frames_seeds() -> list[bytes]:
    pack = _packed()
    pieces = [_TEXT[:300], _TEXT[300:500], _TEXT[500:]]
    plain = [pack["zstd"](piece) for piece in pieces]
    table = frames.seek_table([(len(a), len(b)) for a, b in zip(plain, pieces, strict=True)])
    bgzip = b"".join(map(_bgzip_block, [*pieces, b""]))
    return [b"".join(plain), b"".join(plain) + table, bgzip, pack["gzip"](_TEXT)]


def _record(kind: str, block: bytes, **headers: str) -> bytes:
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": "<urn:uuid:1>",
        "WARC-Date": "2024-01-01T00:00:00Z",
    }
    head |= {name.replace("_", "-"): value for name, value in headers.items()}
    head["Content-Length"] = str(len(block))
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return b"WARC/1.0\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n"


def _warc_seeds() -> list[bytes]:
    body = gzip.compress(b"<html>hello</html>", mtime=0)
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    kind = "application/http; msgtype=response"
    records = [
        _record("warcinfo", b"software: x\r\n", Content_Type="application/warc-fields"),
        _record("conversion", _TEXT[:200], WARC_Target_URI="http://a/", Content_Type="text/plain"),
        _record(
            "response",
            http + b"Content-Length: %d\r\n\r\n" % len(body) + body,
            WARC_Target_URI="<http://b/>",
            Content_Type=kind,
        ),
        _record("response", chunked, WARC_Target_URI="http://c/", Content_Type=kind),
        _record("request", b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", Content_Type="application/http"),
    ]
    pack = _packed()
    return [
        b"".join(records),
        b"".join(map(pack["gzip"], records)),
        b"".join(map(pack["zstd"], records)),
        pack["gzip"](b"".join(records)),
    ]


def _of(tp: Any, **how: Any) -> manifest.Manifest:
    shards = tuple(
        manifest.Shard(key, 3, 40, (manifest.ShardFile(f"{name}.txt", 40, "0" * 16),))
        for key, name in how.pop("keys")
    )
    return manifest.Manifest("words", "txt", "none", how.pop("sharding"), describe(tp), shards)


def _manifest_seeds() -> list[bytes]:
    return [
        manifest.packed(_of(Pair, keys=[(0, "w-0"), (1, "w-1")], sharding="mod")),
        manifest.packed(_of(str, keys=[("fr/news", "fr/news"), ("de", "de")], sharding="custom")),
        manifest.unfinished(["notes.txt", "a/b"]),
    ]


def _journal_seeds() -> list[bytes]:
    report = TaskReport(
        0, 1, (Bundle("t", "p", b"", ()),), {"n": 1}, {"f": Counter("ab")}, (), {}, 0.5
    )
    identity = Identity({"code": "x"})
    began = journal.Began("words", identity, 1, "/tmp/x")
    planned = journal.Planned("words", [Task(0, ())])
    committed = journal.Committed("words", identity, {}, {"n": 1}, {}, None)
    finished = journal.Finished("words", report)
    records = []
    for entry in (began, planned, finished, committed, {"a": 1}):
        pickled = cloudpickle.dumps(entry)
        head = struct.pack("<I", len(pickled))
        records.append(head + _core.checksum_of(pickled).to_bytes(16, "little") + pickled)
    return [b"".join(records), b"".join(reversed(records[:4])), b"".join(records[1:])]


_JSON = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"true", b"1e999", b"\\u", b"\\ud800"]

TARGETS = {
    target.name: target
    for target in (
        Target(
            "txt",
            _lines(Format.TXT, [Wide, Pair, str, bytes, int]),
            lambda: _lines_seeds("txt"),
            [
                b"\t",
                b"\n",
                b"\r\n",
                b"\\N",
                b"\\x",
                b"\\x0",
                b"\\",
                b"\\t",
                b"nan",
                b"\xc3",
                b"\xff",
            ],
        ),
        Target(
            "jsonl",
            _lines(Format.JSONL, [Wide, Pair, dict, str, int]),
            lambda: [*_lines_seeds("jsonl"), b"[" * 5000 + b"\n"],
            [*_JSON, b"\n", b"\xff", b'{"word":', b"[" * 2000, b'{"a":' * 2000, b"9" * 400],
        ),
        Target(
            "csv",
            _csv,
            _csv_seeds,
            [
                b'"',
                b'""',
                b",",
                b"\n",
                b"\r\n",
                b"\r",
                b'",',
                b'"\n',
                b"\xef\xbb\xbf",
                b"\xff",
                b"\0",
            ],
        ),
        Target(
            "ops",
            _ops,
            lambda: [*_csv_seeds(), *_lines_seeds("jsonl"), _encoded("jsonl", PLAIN[:2], Plain)],
            [
                *_JSON,
                b"\n",
                b",",
                b'""',
                b"\xff",
                b"\xcc\x81",
                b'{"text":',
                b"[" * 2000,
                b"9" * 400,
            ],
        ),
        Target(
            "arrow",
            _arrow,
            _arrow_seeds,
            [
                b"ARROW1\0\0",
                b"ARROW1",
                b"\xff" * 4,
                b"\xff" * 8,
                bytes(8),
                struct.pack("<q", 2**40),
            ],
        ),
        Target(
            "parquet", _parquet, _parquet_seeds, [b"PAR1", b"\xff\xff\xff\x7f", b"\x15\0", b"\x19"]
        ),
        Target(
            "warc",
            _warc,
            _warc_seeds,
            [
                b"WARC/1.0\r\n",
                b"WARC/1.1\r\n",
                b"\r\n\r\n",
                b"\r\n",
                b"Content-Length: ",
                b"Content-Length: 99999999999\r\n",
                b"WARC-Type: response\r\n",
                b"HTTP/1.1 200 OK\r\n",
                b"Content-Encoding: gzip\r\n",
                b"Content-Encoding: br\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"ffffffff\r\n",
                b"\x1f\x8b\x08",
                b"\x28\xb5\x2f\xfd",
            ],
        ),
        Target(
            "streams",
            _streams,
            _streams_seeds,
            [
                b"\x1f\x8b\x08",
                b"\x28\xb5\x2f\xfd",
                b"BZh9",
                b"1AY&SY",
                b"\xfd7zXZ\0",
                b"\x04\x22\x4d\x18",
                b"\x50\x2a\x4d\x18",
            ],
        ),
        Target(
            "frames",
            _frames,
            _frames_seeds,
            [
                b"\x28\xb5\x2f\xfd",
                b"\x5e\x2a\x4d\x18",
                b"\xb1\xea\x92\x8f",
                b"BC\x02\0",
                b"\xff" * 8,
            ],
        ),
        Target(
            "manifest",
            _manifest,
            _manifest_seeds,
            [*_JSON, b"../", b"/", b"\\u0000", b"..", b"-1", b"1e9", b'""', b"[" * 3000, b"{}"],
            (GaiaError,),
        ),
        Target(
            "bundle",
            _bundle,
            lambda: [struct.pack("<IIQQQ", 1, 2, 0, 30, 40) * 3],
            (),
            (GaiaError,),
        ),
        Target("journal", _journal, _journal_seeds, (), ()),
        Target(
            "names",
            _names,
            lambda: [b"fr/news", b"a", "größe/ä b".encode(), b"x" * 200],
            [
                b"..",
                b"/",
                b"../",
                b".",
                b"//",
                b"\\",
                b"\0",
                b"\n",
                b"~",
                b"\xc2\x80",
                b"\xed\xa0\x80",
            ],
        ),
    )
}
