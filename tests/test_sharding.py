"""Which shard a record goes to, and the files that shards become."""

import datetime
import enum
import gzip
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywhere
import attrs
import pytest
import xxhash
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import gaia
import gaia.testing
from gaia._core import shard_of as core_shard_of
from gaia.pipeline.records import plain_key

settings.register_profile("steady", deadline=None, database=None)
settings.load_profile("steady")

SHARDS = 13


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Row:
    word: str
    raw: bytes
    count: int
    score: float
    day: datetime.date | None


rows = st.builds(
    Row,
    st.text(max_size=3),
    st.binary(max_size=3),
    st.integers(-3, 3) | st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.dates(),
)


def shard_of(key: Any, shards: int = SHARDS) -> int:
    return core_shard_of(key, shards, plain_key)


def shards_of(
    records: list[Any], key: Any = None, *, tasks: int = 2, shards: int = SHARDS
) -> dict[Any, list[Any]]:
    """The records of every shard, in one order."""
    pipeline = gaia.Pipeline("shard")
    table = pipeline.from_records(records, name="records")
    table.write("out", gaia.JSONL).with_mod_n_sharding(shards, key)
    written = anywhere.run(pipeline, {"records": records}, tasks=tasks).shards["out"]
    return {shard: sorted(found, key=repr) for shard, found in written.items()}


def write(
    folder: Path, output: Callable[[gaia.PTable[str]], Any], records: list[str]
) -> gaia.Table[str]:
    """The table that a runner makes of a write."""
    pipeline = gaia.Pipeline("write")
    output(pipeline.from_records(records, type=str, name="records"))
    (table,) = anywhere.Runner(folder).run(pipeline).tables.values()
    return table


@given(st.text() | st.binary(), st.integers(1, 10**6))
def test_str_and_bytes_go_by_their_fingerprint(key: str | bytes, shards: int) -> None:
    raw = key.encode() if isinstance(key, str) else key
    assert shard_of(key, shards) == xxhash.xxh3_64_intdigest(raw) % shards


@given(
    st.integers() | st.sampled_from([2**63, -(2**63), -(2**63) - 1, 10**5000]),
    st.integers(1, 10**6),
)
def test_an_int_goes_by_its_remainder(key: int, shards: int) -> None:
    assert shard_of(key, shards) == key % shards


@given(st.integers(-(2**1000), 2**1000) | st.integers(-5, 5))
def test_a_float_shares_a_shard_with_the_int_it_equals(key: int) -> None:
    key = int(float(key))
    assert shard_of(float(key)) == shard_of(key)
    assert shard_of((float(key), "a")) == shard_of((key, "a"))


def test_equal_numbers_share_a_shard() -> None:
    assert shard_of(1) == shard_of(1.0) == shard_of(True)
    assert shard_of(0) == shard_of(-0.0) == shard_of(False)
    assert shard_of(("a", 1)) == shard_of(("a", 1.0)) == shard_of(("a", True))


@given(st.datetimes(), st.timezones(), st.timezones())
def test_equal_moments_share_a_shard(
    moment: datetime.datetime, here: zoneinfo.ZoneInfo, there: zoneinfo.ZoneInfo
) -> None:
    moment = moment.replace(tzinfo=datetime.UTC)
    try:
        first, second = moment.astimezone(here), moment.astimezone(there)
    except OverflowError:
        return
    assert shard_of(first) == shard_of(second) == shard_of(moment)


@pytest.mark.parametrize("moment", [datetime.datetime.min, datetime.datetime.max])
@pytest.mark.parametrize("hours", [-12, 12])
def test_the_ends_of_time_have_a_shard(moment: datetime.datetime, hours: int) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=hours))
    assert 0 <= shard_of(moment.replace(tzinfo=zone)) < SHARDS


def test_an_enum_goes_by_its_value_and_none_has_a_shard() -> None:
    assert shard_of(Color.RED) == shard_of("red")
    assert 0 <= shard_of(None) < SHARDS


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_the_parts_of_a_tuple_do_not_run_together(a: tuple[str, str], b: tuple[str, str]) -> None:
    huge = 2**32 - 1
    assert (shard_of(a, huge) == shard_of(b, huge)) == (a == b)


@pytest.mark.parametrize("key", [[1], {1}, object(), 1j])
def test_a_key_of_another_type_is_refused(key: object) -> None:
    with pytest.raises(TypeError, match=f"key.*expected `.*`, got `{type(key).__name__}`"):
        shard_of(key)


@settings(max_examples=15)
@given(st.lists(rows, min_size=1, max_size=10))
def test_fields_and_functions_give_equal_keys_the_same_shards(records: list[Row]) -> None:
    for name in ("word", "raw", "count", "score", "day"):
        by_field = shards_of(records, name)
        assert by_field == shards_of(records, (name,))
        assert by_field == shards_of(records, lambda row, name=name: getattr(row, name))
        assert all(row in by_field[shard_of(getattr(row, name))] for row in records)
    assert shards_of(records, ("word", "count", "day")) == shards_of(
        records, lambda row: (row.word, row.count, row.day)
    )


@pytest.mark.anywhere
def test_a_tuple_of_one_is_the_same_key_by_name_and_by_function() -> None:
    records = [Row(str(n), b"", n, 0.0, None) for n in range(20)]
    assert shards_of(records, ("word",)) == shards_of(records, lambda row: (row.word,))


@settings(max_examples=15)
@given(st.lists(st.text() | st.text("ab", max_size=2), min_size=1, max_size=30), st.integers(1, 40))
def test_shards_do_not_depend_on_the_number_of_tasks(records: list[str], tasks: int) -> None:
    assert shards_of(records, tasks=tasks) == shards_of(records, tasks=1)


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("compression", "suffix", "unpack"),
    [
        (gaia.NONE, ".txt", bytes),
        (gaia.GZIP, ".txt.gz", gzip.decompress),
        (
            gaia.ZSTD,
            ".txt.zst",
            lambda raw: zstandard.ZstdDecompressor().decompressobj().decompress(raw),
        ),
    ],
    ids=["none", "gzip", "zstd"],
)
def test_there_are_exactly_n_files_and_empty_ones_are_valid(
    tmp_path: Path, compression: Any, suffix: str, unpack: Callable[[bytes], bytes]
) -> None:
    table = write(
        tmp_path,
        lambda t: t.write("out", gaia.TXT).with_mod_n_sharding(4).and_compress(compression),
        ["a"],
    )
    files = sorted(Path(table.path).glob("out-*"))
    assert [file.name for file in files] == [f"out-0000{i}-of-00004{suffix}" for i in range(4)]
    full = shard_of("a", 4)
    assert [unpack(file.read_bytes()) for file in files] == [
        b"a\n" if shard == full else b"" for shard in range(4)
    ]
    assert [list(table.records(shard)) for shard in range(4)] == [
        ["a"] if shard == full else [] for shard in range(4)
    ]


@pytest.mark.anywhere
def test_a_table_of_no_records_has_all_its_shards(tmp_path: Path) -> None:
    table = write(tmp_path, lambda t: t.write("out", gaia.TXT).with_mod_n_sharding(3), [])
    assert [shard.records for shard in table.shards] == [0, 0, 0]
    assert len(list(Path(table.path).glob("out-*-of-00003.txt"))) == 3


@pytest.mark.anywhere
def test_custom_shards_are_files_in_subfolders(tmp_path: Path) -> None:
    names = ["fr/news", "fr/blogs", "fr/news", "misc", "..dots", "ü/ß"]
    table = write(
        tmp_path, lambda t: t.write("out", gaia.TXT).with_custom_sharding(lambda name: name), names
    )
    assert {shard.key: shard.records for shard in table.shards} == {
        name: names.count(name) for name in names
    }
    for name in names:
        expected = f"{name}\n" * names.count(name)
        assert (Path(table.path) / f"{name}.txt").read_text() == expected
        assert list(table.records(name)) == [name] * names.count(name)


@pytest.mark.anywhere
def test_custom_shards_may_be_prefixes_of_each_other(tmp_path: Path) -> None:
    names = ["a", "a/b", "a.txt", "manifest.json", "counter_map.csv"]
    table = write(
        tmp_path, lambda t: t.write("out", gaia.TXT).with_custom_sharding(lambda name: name), names
    )
    assert {name: list(table.records(name)) for name in names} == {name: [name] for name in names}


@pytest.mark.anywhere
@pytest.mark.parametrize(
    "name",
    [
        "../up",
        "a/../../up",
        "/etc/up",
        "..",
        "",
        ".",
        "a//b",
        "a/",
        "a\0b",
        "a\\b",
        "a\nb",
        "a\udc80",
        "x" * 300,
    ],
)
def test_names_that_are_no_path_in_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(gaia.StepError, match=r"shard.* (is|has|holds|would)"):
        write(
            tmp_path / "dest",
            lambda t: t.write("out", gaia.TXT).with_custom_sharding(lambda _: name),
            ["a"],
        )
    assert [path.name for path in tmp_path.iterdir()] == ["dest"]
    assert not list(tmp_path.rglob("*up*"))


@pytest.mark.anywhere
def test_a_name_that_is_no_str_is_refused(tmp_path: Path) -> None:
    with pytest.raises(gaia.StepError, match="expected `str`, got `int`"):
        write(tmp_path, lambda t: t.write("out", gaia.TXT).with_custom_sharding(lambda _: 1), ["a"])


class Route(gaia.Mapper[str, str]):
    """Obeys its records: `2 text` goes to shard 2, `set 2` and `close 2` are for what follows."""

    def do(self, line: str, ctx: gaia.Context[str]) -> None:
        match line.split():
            case ["set", shard]:
                ctx.set_output_shard(None if shard == "none" else int(shard))
            case ["close", shard]:
                ctx.close_shard(int(shard))
            case [text]:
                ctx.write(text)
            case [shard, text]:
                ctx.write(text, shard=int(shard))


def route(folder: Path, *lines: str) -> dict[Any, list[str]]:
    pipeline = gaia.Pipeline("route")
    file = folder / "in.txt"
    file.write_text("\n".join(lines))
    routed = pipeline.read_text(file, name="lines").map(Route, name="route")
    routed.write("out", gaia.TXT).with_mod_n_sharding(4, lambda text: 0)
    table = anywhere.Runner(folder / "out").run(pipeline)["out"]
    return {shard.key: sorted(table.records(shard.key)) for shard in table.shards if shard.records}


@pytest.mark.anywhere
def test_a_write_may_name_its_shard(tmp_path: Path) -> None:
    assert route(tmp_path, "3 a", "b", "1 c") == {0: ["b"], 1: ["c"], 3: ["a"]}


@pytest.mark.anywhere
def test_a_shard_may_be_set_for_the_writes_that_follow(tmp_path: Path) -> None:
    lines = ["a", "set 2", "b", "1 c", "d", "set none", "e"]
    assert route(tmp_path, *lines) == {0: ["a", "e"], 1: ["c"], 2: ["b", "d"]}


@pytest.mark.anywhere
def test_a_closed_shard_takes_no_more(tmp_path: Path) -> None:
    assert route(tmp_path, "2 a", "close 2", "close 3", "b") == {0: ["b"], 2: ["a"]}
    with pytest.raises(gaia.StepError, match=r"shard that this task has closed"):
        route(tmp_path, "2 a", "close 2", "2 b")


@pytest.mark.anywhere
@pytest.mark.parametrize("shard", [-1, 4, 2**32])
def test_a_shard_that_does_not_exist_is_refused(tmp_path: Path, shard: int) -> None:
    for line in (f"{shard} a", f"close {shard}"):
        with pytest.raises(gaia.StepError, match=f"expected a shard from 0 to 3, got {shard}"):
            route(tmp_path, line)


@pytest.mark.anywhere
def test_a_custom_shard_may_be_named_by_a_write(tmp_path: Path) -> None:
    class Named(gaia.Mapper[str, str]):
        def do(self, text: str, ctx: gaia.Context[str]) -> None:
            ctx.write(text, shard=f"by/{text}")

    table = write(
        tmp_path,
        lambda t: t.map(Named).write("out", gaia.TXT).with_custom_sharding(lambda _: "others"),
        ["a", "b"],
    )
    assert sorted(shard.key for shard in table.shards) == ["by/a", "by/b"]


@pytest.mark.anywhere
@pytest.mark.parametrize("compression", [gaia.NONE, gaia.GZIP, gaia.ZSTD])
@pytest.mark.parametrize("size", [1, 100, 1000, 200_000])
def test_no_file_is_larger_than_the_limit_but_for_a_single_record(
    tmp_path: Path, compression: Any, size: int
) -> None:
    records = ["x" * (7 * i % 150) for i in range(300)] + ["y" * 400_000]
    table = write(
        tmp_path,
        lambda t: (
            t.write("out", gaia.TXT)
            .with_mod_n_sharding(2)
            .with_max_shard_size(size / 1e6)
            .and_compress(compression)
        ),
        records,
    )
    for shard in table.shards:
        for file in shard.files:
            packed = (Path(table.path) / file.path).read_bytes()
            raw = _unpack(compression, packed)
            assert len(packed) == file.size
            assert len(raw) <= size or raw.count(b"\n") == 1
    assert sorted(table.records()) == sorted(records)


def _unpack(compression: Any, packed: bytes) -> bytes:
    if compression is gaia.GZIP:
        return gzip.decompress(packed)
    if compression is gaia.ZSTD:
        with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as stream:
            return stream.read()
    return packed
