"""CSV, read and written."""

import csv
import datetime
import enum
import gzip
import io
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from records import WordCount, tree, write_table

import gaia
import gaia.testing
from gaia import _core
from gaia.pipeline.records import record_type
from gaia.runner import splits

settings.register_profile("steady", deadline=None, database=None)
settings.load_profile("steady")

BLOCK = 256 * 1024


class Colour(enum.Enum):
    RED = "red"
    NONE = ""
    ODD = 'a"b,\n'


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Row:
    name: str
    note: str | None
    count: int
    price: float | None
    good: bool | None
    day: datetime.date | None
    at: datetime.datetime | None
    colour: Colour | None
    level: Level


@attrs.frozen
class Pair:
    a: str
    b: str | None


@attrs.frozen
class Lone:
    text: str | None


TEXTS = st.text(st.sampled_from('ab ,"\n\r\t;é\\'), max_size=8) | st.text(max_size=4)
TEXTS = TEXTS.filter(lambda text: text.isascii() or text.encode("utf-8", "ignore").decode() == text)
MOMENTS = st.datetimes() | st.datetimes(timezones=st.just(datetime.UTC))
MOMENTS = MOMENTS.map(lambda moment: moment.replace(fold=0))
ROWS = st.lists(
    st.builds(
        Row,
        TEXTS,
        st.none() | TEXTS,
        st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.booleans(),
        st.none() | st.dates(),
        st.none() | MOMENTS,
        st.none() | st.sampled_from(Colour),
        st.sampled_from(Level),
    ),
    max_size=12,
)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=12)


@attrs.frozen
class Reader:
    """Reads files of CSV through a pipeline."""

    folder: Path

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def run(self, paths: Any, tp: Any, **options: Any) -> gaia.RunResult:
        pipeline = gaia.Pipeline("read")
        rows = pipeline.read_csv(paths, type=tp, **options)
        rows.write("rows", gaia.JSONL).with_mod_n_sharding(1, lambda record: 0)
        return gaia.LocalRunner(self.folder / "out", workers=0).run(pipeline)

    def rows(self, paths: Any, tp: Any = Pair, **options: Any) -> list[Any]:
        return list(self.run(paths, tp, **options)["rows"].records())

    def of(self, content: bytes, tp: Any = Pair, **options: Any) -> list[Any]:
        return self.rows(self.file("a.csv", content), tp, **options)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def written(rows: Any, **options: Any) -> bytes:
    """Rows as Python's csv module writes them."""
    text = io.StringIO()
    csv.writer(text, **options).writerows(rows)
    return text.getvalue().encode()


def raw(path: Path, start: int = 0, end: int | None = None) -> list[Pair]:
    """The rows that start in a range of a file without a header."""
    codec = _core.Codec(record_type(Pair), "csv", columns=([0, 1], 2))
    lines = _core.Lines(str(path), start, end, crlf=True, skip_bom=True, delimiter=",")
    return list(_core.RecordReader(lines, codec))


class TestCuts:
    @settings(max_examples=200)
    @given(
        pairs=PAIRS,
        # Fields with \r alone are written without quotes where rows end with \n.
        style=st.sampled_from(
            [(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_MINIMAL, "\r\n")]
        ),
        bom=st.booleans(),
        data=st.data(),
    )
    def test_every_row_is_read_once_wherever_a_file_is_cut(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        pairs: list[tuple[str, str]],
        style: tuple[Any, str],
        bom: bool,
        data: st.DataObject,
    ) -> None:
        quoting, end = style
        content = b"\xef\xbb\xbf" * bom + written(pairs, quoting=quoting, lineterminator=end)
        path = tmp_path_factory.getbasetemp() / "cut.csv"
        path.write_bytes(content)
        inner = sorted(data.draw(st.sets(st.integers(0, len(content)))))
        cuts = [0, *_core.csv_cuts(str(path), ",", inner), len(content)]
        assert cuts == sorted(cuts)
        assert all(cut >= wanted for cut, wanted in zip(cuts[1:], inner, strict=False))
        read = [row for start, end in itertools.pairwise(cuts) for row in raw(path, start, end)]
        assert read == raw(path)
        assert [(row.a, row.b or "") for row in read] == pairs

    @settings(max_examples=200)
    @given(content=st.text('ab",\n\r', max_size=60).map(str.encode), data=st.data())
    def test_so_is_every_row_of_damaged_files(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
    ) -> None:
        folder = tmp_path_factory.mktemp("damaged")
        inner = data.draw(st.lists(st.integers(0, len(content)), max_size=6))
        path = folder / "a.csv"
        path.write_bytes(content)
        cuts = {0, len(content), *_core.csv_cuts(str(path), ",", sorted(inner))}
        parts = [content[start:end] for start, end in itertools.pairwise(sorted(cuts))]
        whole, apart = [folder / "whole", folder / "apart"]
        for out in (whole, apart):
            out.mkdir()
        (whole / "0.csv").write_bytes(content)
        for number, part in enumerate(parts):
            (apart / f"{number}.csv").write_bytes(part)

        def outcome(files: Path) -> Any:
            pipeline = gaia.Pipeline("p")
            rows = pipeline.read_csv(f"{files}/*.csv", type=Pair, header=False)
            rows.write("rows", gaia.CSV).with_mod_n_sharding(1, "a")
            result = gaia.testing.run(pipeline, {})
            kinds = {name: n for name, n in result.counters.items() if "errors" in name}
            return sorted(map(str, result["rows"])), kinds

        if parts:
            assert outcome(whole) == outcome(apart)

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 30, 1000])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
    def test_splits_of_any_size_give_the_same_rows(
        self, reader: Reader, monkeypatch: pytest.MonkeyPatch, size: int, encoding: str
    ) -> None:
        for name in ("_MIN_SPLIT", "_MAX_SPLIT"):
            monkeypatch.setattr(splits, name, size)
        monkeypatch.setattr(splits, "_SLIVER", 0)
        content = '\r\n\r\nb,"a\n"\r\n1,é\r\n\r\n"2","x\ny,""z"""\r\n,""\r\n3,"last\n'
        path = reader.file("a.csv", content.replace("a\n", "a").encode(encoding))
        result = reader.run(path, Pair, encoding=encoding)
        assert sorted(result["rows"].records(), key=lambda row: row.b or "") == [
            Pair("", None),
            Pair("é", "1"),
            Pair('x\ny,"z"', "2"),
        ]
        assert result.counters["parse-errors-quotes"] == 1

    @pytest.mark.parametrize("shift", range(-3, 4))
    def test_newlines_in_quotes_where_a_block_ends(self, reader: Reader, shift: int) -> None:
        pairs = [("x" * (BLOCK + shift - 9), "1"), ('\n"\n', "\n"), ("y" * 2 * BLOCK, '"\r\n,')]
        pairs += [("\n" * (BLOCK + shift), "z"), ("", "")] * 3
        content = written([("a", "b"), *pairs], lineterminator="\n")
        found = reader.of(content)
        assert [(row.a, row.b or "") for row in found] == pairs

    def test_workers_share_a_file(self, tmp_path: Path) -> None:
        pairs = [(f"{i}\n{i}", "," * (i % 5)) for i in range(200_000)]
        (tmp_path / "a.csv").write_bytes(written([("a", "b"), *pairs]))
        pipeline = gaia.Pipeline("p")
        rows = pipeline.read_csv(tmp_path / "a.csv", type=Pair)
        rows.write("rows", gaia.CSV).with_mod_n_sharding(3, "a").and_compress(gaia.ZSTD)
        result = gaia.LocalRunner(tmp_path / "out", workers=2).run(pipeline)
        assert sorted((row.a, row.b or "") for row in result["rows"].records()) == sorted(pairs)
        assert "parse-errors" not in result.counters

    def test_a_file_that_cannot_be_cut_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No such file"):
            _core.csv_cuts(str(tmp_path / "missing"), ",", [1])


class TestRows:
    @pytest.mark.parametrize(
        ("content", "pairs"),
        [
            (b"", []),
            (b"a,b\n", []),
            (b"a,b", []),
            (b"a,b\n1,2", [("1", "2")]),
            (b"a,b\n1,2\r\n3,4\n", [("1", "2"), ("3", "4")]),
            (b"\n\r\na,b\n\n1,2\n\r\n", [("1", "2")]),
            (b'a,b\n"x ""y"" z","1,2\n3"\n', [('x "y" z', "1,2\n3")]),
            (b'a,b\n5" pipe,say "hi"\n', [('5" pipe', 'say "hi"')]),
            (b"a,b\n a , b\n", [(" a ", " b")]),
            (b'a,b\n,""\n"",\n', [("", ""), ("", None)]),
            (b'"a","b"\n"1","2"\n', [("1", "2")]),
            (b"\xef\xbb\xbfa,b\n1,2\n", [("1", "2")]),
            (b'\xef\xbb\xbf"a","b"\n"\n",2\n', [("\n", "2")]),
            (b"a,b\n1\r2,3\r4\n", [("1\r2", "3\r4")]),
            (b"a,b\n1\0,2\n", [("1\0", "2")]),
        ],
    )
    @pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
    def test_rfc_4180(
        self,
        reader: Reader,
        pack: Callable[[bytes], bytes],
        content: bytes,
        pairs: list[tuple[str, str]],
    ) -> None:
        assert [attrs.astuple(row) for row in reader.of(pack(content))] == pairs

    @given(PAIRS, st.sampled_from(",;\t|"), st.booleans())
    def test_what_the_csv_module_writes(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        pairs: list[tuple[str, str]],
        delimiter: str,
        all_quoted: bool,
    ) -> None:
        reader = Reader(tmp_path_factory.mktemp("csv"))
        quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
        content = written([("a", "b"), *pairs], delimiter=delimiter, quoting=quoting)
        found = reader.of(content, delimiter=delimiter)
        empty = "" if all_quoted else None
        assert [(row.a, row.b) for row in found] == [(a, b or empty) for a, b in pairs]

    def test_columns_are_found_by_their_names(self, reader: Reader) -> None:
        content = b"x,b,y,a\n,1,bad \xff,2\n"
        assert reader.of(content) == [Pair("2", "1")]

    def test_every_file_has_its_own_header(self, reader: Reader) -> None:
        paths = [reader.file("1.csv", b"a,b\n1,2\n"), reader.file("2.csv", b"c,b,a\n5,4,3\n")]
        assert reader.rows([*paths, reader.file("3.csv", b"")]) == [Pair("1", "2"), Pair("3", "4")]

    def test_without_a_header_columns_are_the_fields(self, reader: Reader) -> None:
        result = reader.run(reader.file("a.csv", b"a,b\n1,2\n1,2,3\n"), Pair, header=False)
        assert list(result["rows"].records()) == [Pair("a", "b"), Pair("1", "2")]
        assert result.counters["parse-errors-columns"] == 1

    def test_values_of_all_types(self, reader: Reader) -> None:
        content = (
            b"level,colour,at,day,good,price,count,note,name\n"
            b"1,red,2026-01-02 03:04,2026-01-02,TRUE,1e3, 7,,x\n"
            b'"2","","","","","","8","",""\n'
            b"2,,,,,,9,,\n"
        )
        at = datetime.datetime(2026, 1, 2, 3, 4)
        assert reader.of(content, Row) == [
            Row("x", None, 7, 1e3, True, at.date(), at, Colour.RED, Level.LOW),
            Row("", "", 8, None, None, None, None, Colour.NONE, Level.HIGH),
            Row("", None, 9, None, None, None, None, None, Level.HIGH),
        ]

    def test_single_values_are_a_column(self, reader: Reader) -> None:
        assert reader.of(b"n,value\n1,2\n3,4\n", int) == [2, 4]

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "cp1252", "utf-8-sig"])
    def test_other_encodings(self, reader: Reader, encoding: str) -> None:
        content = 'a,b\r\n"¶\n",ü\r\n'.encode(encoding)
        assert reader.of(content, encoding=encoding) == [Pair("¶\n", "ü")]

    def test_text_that_does_not_decode_stops_the_run_but_in_utf_8(self, reader: Reader) -> None:
        path = reader.file("a.csv", b"a,b\n1,\x81\n2,3\n")
        with pytest.raises(gaia.InputError, match=f"{path} is not charmap: .* near position 6"):
            reader.rows(path, encoding="cp1252")
        result = reader.run(path, Pair)
        assert list(result["rows"].records()) == [Pair("2", "3")]
        assert result.counters["parse-errors-str"] == 1

    def test_positions_are_those_of_rows(self, reader: Reader) -> None:
        @attrs.frozen
        class Seen:
            count: int
            position: int

        class See(gaia.Mapper[WordCount, Seen]):
            def do(self, record: WordCount, ctx: gaia.Context[Seen]) -> None:
                ctx.write(Seen(record.count, ctx.input_pos))

        content = b'\xef\xbb\xbfcount,word\r\n1,"x\r\n""y"\r\n\r\nbad,\r\n2,\r\n3,"z"\n'
        pipeline = gaia.Pipeline("p")
        rows = pipeline.read_csv(reader.file("a.csv", content), type=WordCount)
        rows.map(See).write("seen", gaia.CSV).with_mod_n_sharding(1, "count")
        result = gaia.LocalRunner(reader.folder / "out", workers=0).run(pipeline)
        starts = {1: b'1,"x', 2: b"2,", 3: b'3,"z"'}
        assert {seen.count: seen.position for seen in result["seen"].records()} == {
            count: content.index(start) for count, start in starts.items()
        }


class TestErrors:
    def test_rows_that_do_not_fit_are_counted_by_what_is_wrong(
        self, reader: Reader, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good = b"n,,1,1.5,true,2026-01-01,,,1\n"
        bad = {
            "columns": [b"n\n", b"n,,1,1.5,true,2026-01-01,,,1,\n"],
            "quotes": [b'"n"x,,1,1.5,true,2026-01-01,,,1\n'],
            "int": [good.replace(b"1,1", b"x,1"), good.replace(b"1,1", b"9" * 19 + b",1")],
            "float": [good.replace(b"1.5", b"1.5.")],
            "bool": [good.replace(b"true", b"yes")],
            "date": [good.replace(b"01-01", b"02-30").replace(b",1\n", b",7\n")],
            "datetime": [good.replace(b",,,1", b",soon,,1")],
            "enum": [good.replace(b",,,1", b",,green,1"), good.replace(b",1\n", b",3\n")],
            "str": [good.replace(b"n", b"\xff")],
        }
        names = [field.name for field in attrs.fields(Row)]
        content = (",".join(names) + "\n").encode() + good
        content += b"".join(row + good for rows in bad.values() for row in rows)
        path = reader.file("a.csv", content)
        result = reader.run(path, Row)
        total = sum(map(len, bad.values()))
        assert len(result["rows"]) == total + 1
        counted = {name: n for name, n in result.counters.items() if "parse-errors" in name}
        assert counted == {"parse-errors": total} | {
            f"parse-errors-{what}": len(rows) for what, rows in bad.items()
        }
        shown = capsys.readouterr().err
        assert f"{path}, position {content.index(bad['columns'][0] + good)}: expected 9" in shown

    def test_a_quote_that_is_open_at_the_end_is_an_error_of_its_row(self, reader: Reader) -> None:
        result = reader.run(reader.file("a.csv", b'a,b\n1,2\n3,"4\n5,6\n'), Pair)
        assert list(result["rows"].records()) == [Pair("1", "2")]
        assert result.counters["parse-errors-quotes"] == 1

    @pytest.mark.parametrize("size", [1 << 20, 1 << 30])
    def test_a_quote_that_is_never_closed_stops_the_run(
        self, reader: Reader, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        for name in ("_MIN_SPLIT", "_MAX_SPLIT"):
            monkeypatch.setattr(splits, name, size)
        path = reader.file("a.csv", b'a,b\n1,"2\n' + b"3,4\n" * (17 << 20))
        with pytest.raises(
            gaia.InputError, match=rf"cannot read {path}: the quote at position 6 is not closed"
        ):
            reader.rows(path)

    @pytest.mark.parametrize(
        ("header", "why"),
        [
            (b"a,c\n1,2\n", r"got no column `b`; it has 'a', 'c'"),
            (b"a,b,b\n1,2,3\n", r"got several columns `b`; it has 'a', 'b', 'b'"),
            (b"A,B\n", r"got no column `a`"),
            (b"a;b\n", r"got no column `a`; it has 'a;b'"),
        ],
    )
    def test_a_header_has_one_column_for_each_field(
        self, reader: Reader, header: bytes, why: str
    ) -> None:
        path = reader.file("a.csv", header)
        start = f"expected a column for each field of `Pair` in the header of {path}, "
        with pytest.raises(gaia.InputError, match=re.escape(start) + why):
            reader.rows(path)

    @pytest.mark.parametrize(
        ("header", "why"), [(b'a,"b\n', "field 2: expected a closing"), (b"\xff,b\n", "UTF-8")]
    )
    def test_a_header_that_cannot_be_read(self, reader: Reader, header: bytes, why: str) -> None:
        path = reader.file("a.csv", header)
        with pytest.raises(gaia.InputError, match=f"cannot read the header of {path}: .*{why}"):
            reader.rows(path)

    def test_other_columns_may_have_one_name(self, reader: Reader) -> None:
        assert reader.of(b"x,a,x,b,\n,1,,2,\n") == [Pair("1", "2")]

    @pytest.mark.parametrize(
        ("tp", "options", "why"),
        [
            (Pair, {"delimiter": ";;"}, "expected an ASCII character as delimiter, got ';;'"),
            (Pair, {"delimiter": '"'}, "cannot be the delimiter"),
            (Pair, {"encoding": "nope"}, "nope"),
            (dict, {}, "CSV cannot hold `dict`: expected a class with fields"),
            (bytes, {}, "CSV cannot hold `bytes`"),
            (set, {}, "as the type of a record, got `set`"),
        ],
    )
    def test_what_does_not_fit_is_refused_at_once(
        self, tp: Any, options: dict[str, Any], why: str
    ) -> None:
        with pytest.raises(gaia.PipelineError, match=rf"(?s)step `read_csv`: .*{re.escape(why)}"):
            gaia.Pipeline("p").read_csv("a.csv", type=tp, **options)

    def test_an_error_of_a_later_step_is_its_own(self, reader: Reader) -> None:
        def fail(row: Pair) -> str:
            raise ValueError(row.a)

        pipeline = gaia.Pipeline("p")
        rows = pipeline.read_csv(reader.file("a.csv", b"a,b\n1,2\n"), type=Pair)
        rows.map(fail).write("out", gaia.TXT).with_mod_n_sharding(1)
        with pytest.raises(gaia.StepError, match=r"step `fail` failed(?s:.*)Pair\(a='1', b='2'\)"):
            gaia.LocalRunner(reader.folder / "out", workers=0).run(pipeline)


CODECS = [gaia.NONE, gaia.GZIP, gaia.ZSTD]


class TestWriting:
    @settings(max_examples=40)
    @given(
        rows=ROWS,
        compression=st.sampled_from([gaia.NONE, gaia.GZIP, gaia.ZSTD]),
        batches=st.booleans(),
    )
    def test_what_is_written_comes_back(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        rows: list[Row],
        compression: Any,
        batches: bool,
    ) -> None:
        class Again(gaia.Mapper[Row, Row]):
            def do_batch(self, batch: gaia.Batch[Row], ctx: gaia.Context[Row]) -> None:
                ctx.write_columns(**{name: batch[name] for name in batch.column_names})

        folder = tmp_path_factory.mktemp("written")
        pipeline = gaia.Pipeline("p")
        table: Any = pipeline.from_records(rows, type=Row)
        table = table.map(Again) if batches else table
        table.write("out", gaia.CSV).with_mod_n_sharding(2, "name").and_compress(compression)
        written = gaia.LocalRunner(folder, workers=0).run(pipeline)["out"]
        gaia.testing.assert_same_records(written.records(), rows)
        # As foreign files, by the names of the columns.
        second = gaia.Pipeline("p")
        again = second.read_csv(f"{folder}/out/out-*", type=Row)
        again.write("out", gaia.CSV).with_mod_n_sharding(1, "name")
        gaia.testing.assert_same_records(gaia.testing.run(second, {})["out"], rows)

    @given(PAIRS)
    def test_the_csv_module_reads_it(
        self, tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
    ) -> None:
        records = [Pair(a, b or None) for a, b in pairs]
        table = write_table(
            tmp_path_factory.mktemp("written"),
            records,
            lambda output: output.with_mod_n_sharding(1, "a"),
            format=gaia.CSV,
            type=Pair,
        )
        [file] = Path(table.path).glob("out-*")
        with file.open(newline="", encoding="utf-8") as text:
            assert list(csv.reader(text)) == [["a", "b"], *map(list, pairs)]

    def test_as_text(self, tmp_path: Path) -> None:
        rows = [
            Row("x", None, -1, 1e300, True, None, None, None, Level.LOW),
            Row("", "", 0, math.inf, None, datetime.date(2026, 1, 2), None, Colour.NONE, Level.LOW),
            Row(" y", 'a"b', 1, 0.5, False, None, datetime.datetime(2026, 1, 2), None, Level.HIGH),
        ]
        write_table(
            tmp_path, rows, lambda output: output.with_mod_n_sharding(1, "name"), format=gaia.CSV
        )
        assert (tmp_path / "out" / "out-00000-of-00001.csv").read_text() == (
            "name,note,count,price,good,day,at,colour,level\n"
            "x,,-1,1e+300,true,,,,1\n"
            '"","",0,inf,,2026-01-02,,"",1\n'
            '" y","a""b",1,0.5,false,,2026-01-02T00:00:00,,2\n'
        )

    @pytest.mark.parametrize("compression", [gaia.NONE, gaia.GZIP, gaia.ZSTD])
    def test_every_file_has_a_header(self, tmp_path: Path, compression: Any) -> None:
        def output(output: gaia.Output[Any]) -> Any:
            return output.with_mod_n_sharding(4, "count").with_max_shard_size(0.0001)

        records = [WordCount(f"{i:030}", 2 * i) for i in range(20)]
        table = write_table(tmp_path, records, output, format=gaia.CSV, compression=compression)
        gaia.testing.assert_same_records(table.records(), records)
        unpack = {gaia.NONE: bytes, gaia.GZIP: gzip.decompress, gaia.ZSTD: _unzstd}[compression]
        files = [unpack(raw) for name, raw in tree(Path(table.path)).items() if "-of-" in name]
        assert len(files) > 6
        assert all(file.startswith(b"word,count\n") for file in files)
        # Two of the shards have no records.
        assert files.count(b"word,count\n") == 2

    @pytest.mark.parametrize(
        ("tp", "values"),
        [
            (str, ["", "a", "\n", '"', ",", " "]),
            (int, [1, -2]),
            (float, [0.5, -0.0, math.inf]),
            (bool, [True, False]),
        ],
    )
    def test_single_values_are_a_column(self, tmp_path: Path, tp: Any, values: list[Any]) -> None:
        table = write_table(tmp_path, values, format=gaia.CSV)
        gaia.testing.assert_same_records(table.records(), values)
        gaia.testing.assert_same_records(gaia.read_table(table.path).records(), values)
        second = gaia.Pipeline("p")
        again = second.read_csv(f"{table.path}/out-*", type=tp)
        again.write("out", gaia.TXT if tp is not str else gaia.JSONL).with_mod_n_sharding(1)
        gaia.testing.assert_same_records(gaia.testing.run(second, {})["out"], values)

    def test_a_row_of_none_alone_is_a_record_of_a_table(self, tmp_path: Path) -> None:
        records = [Lone(None), Lone(""), Lone("x"), Lone(None)]
        table = write_table(
            tmp_path, records, lambda output: output.with_mod_n_sharding(1, "text"), format=gaia.CSV
        )
        assert list(table.records()) == records

    def test_a_class_is_made_for_a_table(self, tmp_path: Path) -> None:
        @attrs.frozen
        class Local:
            a: str
            b: int | None
            c: Colour

        record = Local("x", None, Colour.ODD)
        output = write_table(
            tmp_path, [record], lambda output: output.with_mod_n_sharding(1, "a"), format=gaia.CSV
        )
        [found] = gaia.read_table(output.path).records()
        assert attrs.asdict(found) == {"a": "x", "b": None, "c": Colour.ODD.value}

    def test_a_table_is_read_by_later_stages_and_runs(self, tmp_path: Path) -> None:
        class Sum(gaia.Joiner[WordCount]):
            def __init__(self) -> None:
                self.total = 0

            def on_count(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None:
                self.total += record.count

            def on_shard_finish(self, ctx: gaia.Context[WordCount]) -> None:
                ctx.write(WordCount("total\n", self.total))

        pipeline = gaia.Pipeline("p")
        words = pipeline.from_records([WordCount("a\nb", i) for i in range(10)])
        output = words.write("words", gaia.CSV).with_mod_n_sharding(2, "word")
        output.and_combine("word", count="sum")
        totals = pipeline.join(Sum, [words.bind_with(Sum.on_count)])
        totals.write("totals", gaia.CSV).and_compress(gaia.GZIP)
        result = gaia.LocalRunner(tmp_path, workers=0).run(pipeline)
        assert sum(total.count for total in result["totals"].records()) == 45
        second = gaia.Pipeline("second")
        read = second.read_table(tmp_path / "totals", type=WordCount)
        read.write("again", gaia.CSV).with_mod_n_sharding(1, "word")
        again = gaia.LocalRunner(tmp_path, workers=0).run(second)["again"]
        gaia.testing.assert_same_records(again.records(), result["totals"].records())

    @pytest.mark.parametrize(
        ("old", "new", "why"),
        [
            (b"a,1\n", b"a,x\n", 'field `count`: expected `int`, got "x"'),
            (b"a,1\n", b"a;1\n", "expected 2 fields, got 1"),
            (b"a,1\n", b'"a,1', "expected a closing quote"),
        ],
    )
    def test_what_gaia_wrote_and_does_not_parse_is_damaged(
        self, tmp_path: Path, old: bytes, new: bytes, why: str
    ) -> None:
        table = write_table(
            tmp_path,
            [WordCount("a", 1)],
            lambda output: output.with_mod_n_sharding(1, "word"),
            format=gaia.CSV,
        )
        [file] = Path(table.path).glob("out-*")
        file.write_bytes(file.read_bytes().replace(old, new))
        with pytest.raises(gaia.InputError, match=rf"{file} is damaged: position 11: .*{why}"):
            list(table.records())
        pipeline = gaia.Pipeline("p")
        pipeline.read_table(table.path, type=WordCount).write("o", gaia.CSV).with_mod_n_sharding(
            1, "word"
        )
        with pytest.raises(gaia.InputError, match=rf"{file} is damaged at position 11: .*{why}"):
            gaia.LocalRunner(tmp_path / "second", workers=0).run(pipeline)

    @pytest.mark.parametrize(
        ("record", "why"),
        [
            (WordCount("a", 2**63), "field `count`: CSV holds ints of 64 bits, got one beyond"),
            (WordCount("\ud800", 1), "field `word`: the str holds lone surrogates"),
            (WordCount("a", "b"), "field `count`: expected `int`, got `str`"),
        ],
    )
    def test_what_would_not_come_back_is_refused(
        self, tmp_path: Path, record: Any, why: str
    ) -> None:
        with pytest.raises(gaia.StepError, match=re.escape(why)):
            write_table(
                tmp_path,
                [record],
                lambda output: output.with_mod_n_sharding(1, lambda record: 0),
                format=gaia.CSV,
                type=WordCount,
            )

    def test_types_that_csv_cannot_hold_are_refused_at_once(self) -> None:
        @attrs.frozen
        class Raw:
            name: str
            data: bytes | None

        @attrs.frozen
        class Nested:
            tags: list[str]

        for record, why in [
            (Raw("a", b""), "field `data` of `Raw` is `bytes | None`; expected str, int"),
            (Nested([]), "field `tags` of `Nested` is `list[str]`"),
            ({"a": 1}, "expected a class with fields, got `dict`"),
            (b"", "got `bytes`"),
        ]:
            table = gaia.Pipeline("p").from_records([record])
            with pytest.raises(gaia.PipelineError, match=rf"(?s)write out.*{re.escape(why)}"):
                table.write("out", gaia.CSV)

    def test_shards_keep_off_the_counters(self, tmp_path: Path) -> None:
        with pytest.raises(gaia.OutputError, match=r"shard 'counter_map' .* another name"):
            write_table(
                tmp_path,
                ["a"],
                lambda output: output.with_custom_sharding(lambda record: "counter_map"),
                format=gaia.CSV,
            )


def _unzstd(raw: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(raw)


@attrs.define
class Tabbed:
    one: int
    two: int


def test_the_header_of_a_file_with_tabs_hints_at_the_delimiter(tmp_path):
    (tmp_path / "a.csv").write_text("one\ttwo\n1\t2\n")
    pipeline = gaia.Pipeline("p")
    rows = pipeline.read_csv(str(tmp_path / "a.csv"), type=Tabbed, name="rows")
    rows.write("out", gaia.TXT).with_mod_n_sharding(1, "one")
    with pytest.raises(gaia.InputError) as told:
        gaia.LocalRunner(tmp_path / "out", workers=0).run(pipeline)
    assert str(told.value).startswith("step `rows`: expected a column for each field of `Tabbed`")
    assert str(told.value).endswith('; the columns seem to be apart by tabs: delimiter="\\t"')


@pytest.mark.parametrize(("text", "hinted"), [("a b", True), ("a\n/b", True), ("a.txt", False)])
def test_a_text_in_place_of_a_path_hints_at_from_records(tmp_path, text, hinted):
    pipeline = gaia.Pipeline("p")
    pipeline.read_text(text, name="x").write("out", gaia.TXT).with_mod_n_sharding(1)
    with pytest.raises(gaia.InputError, match="no file matches") as told:
        gaia.LocalRunner(tmp_path / "out").run(pipeline)
    assert ("from_records" in str(told.value)) is hinted
