"""The examples, each against the same computation in plain Python: as a module and as a script."""

import csv
import importlib
import io
import json
import os
import random
import re
import subprocess
import sys
import types
from collections import Counter, defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from warcio.warcwriter import WARCWriter

import gaia
from gaia.testing import assert_same_records

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports an example by its name."""

    def load(name: str) -> types.ModuleType:
        monkeypatch.syspath_prepend(EXAMPLES)
        return importlib.import_module(name)

    return load


def run_script(name: str, *args: str | Path) -> list[str]:
    """Runs an example as its users do; returns the lines that it printed."""
    command = [sys.executable, EXAMPLES / f"{name}.py", *args]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_help_tells_the_purpose(name: str, load: Any) -> None:
    shown = " ".join(run_script(name, "--help"))
    assert load(name).__doc__.splitlines()[0].split(":")[0] in shown


class TestWordCount:
    @pytest.fixture
    def books(self, tmp_path: Path) -> Path:
        folder = tmp_path / "books"
        folder.mkdir()
        chance = random.Random(1)
        for book in range(3):
            words = chance.choices(["sea", "Sea", "naïve", "x_1", "42", "whale"], k=300)
            (folder / f"{book}.txt").write_text(" - ".join(words) + "\n\nthe end", "utf-8")
        return folder

    def expected(self, books: Path) -> Counter[str]:
        text = "\n".join(path.read_text("utf-8") for path in books.iterdir())
        return Counter(re.findall(r"[a-z]+", text))

    @pytest.mark.parametrize("native", [True, False])
    @pytest.mark.parametrize("use_combine", [True, False])
    @pytest.mark.parametrize("workers", [0, 2])
    def test_counts(
        self,
        books: Path,
        native: bool,
        use_combine: bool,
        workers: int,
        load: Any,
        tmp_path: Path,
    ) -> None:
        pipeline = load("word_count").build(
            [f"{books}/*.txt"],
            num_shards=4,
            pattern="[a-z]+",
            use_combine=use_combine,
            native=native,
        )
        result = gaia.LocalRunner(tmp_path, workers=workers).run(pipeline)
        counts = [(wc.word, wc.count) for wc in result["wordcounts"].records()]
        assert_same_records(counts, self.expected(books).items())
        assert len(result["wordcounts"].shards) == 4

    def test_combining_writes_fewer_records(self, books: Path, load: Any, tmp_path: Path) -> None:
        written = {}
        for use_combine in (True, False):
            pipeline = load("word_count").build([f"{books}/*.txt"], use_combine=use_combine)
            result = gaia.LocalRunner(tmp_path).run(pipeline)
            written[use_combine] = len(result["word_interim"])
        assert written[True] < written[False]

    @pytest.mark.parametrize("flag", ["--use_combine", "--no-use_combine", "--native"])
    def test_script(self, books: Path, flag: str, tmp_path: Path) -> None:
        lines = run_script(
            "word_count",
            *("--num_shards=3", "--pattern=[a-z]+", flag, "--compress_level=3"),
            *(f"--dest_dir={tmp_path}", f"{books}/*.txt"),
        )
        expected = self.expected(books)
        assert lines[0] == f"{expected.total():,} words, {len(expected):,} distinct"
        top = {word: number(count) for count, word in map(str.split, lines[1:-1])}
        assert top == dict(expected.most_common(10))
        assert len(list(tmp_path.glob("wordcounts/*.zst"))) == 3


class TestGsodGroup:
    HEADER = "STATION,DATE,LATITUDE,TEMP,MAX,MIN,NAME"
    MALFORMED = (
        "OSLO,2021-13-45,59.9,50.0,60.0,40.0",
        "OSLO,2021-01-05,59.9,50.0,60.0",
        "OSLO,2021-01-06,59.9,warm,60.0,40.0",
        "OSLO,2021-01-07,59.9,50.0,9999.9,40.0",
        "OSLO,2021-01-08,59.9,nan,60.0,40.0",
        "OSLO,2021-01-09,59.9,50.0,60.0,-999.9",
        "",
    )

    @pytest.fixture
    def days(self) -> list[tuple[int, float, float, float]]:
        """Year, mean, maximum and minimum temperature of good rows."""
        chance = random.Random(1)
        days = []
        for _ in range(400):
            temp = round(chance.uniform(-40, 100), 1)
            days.append((chance.randint(1990, 2009), temp, temp + 7, temp - 9))
        return days

    @pytest.fixture
    def weather(self, days: list[tuple[int, float, float, float]], tmp_path: Path) -> Path:
        folder = tmp_path / "weather"
        folder.mkdir()
        for station in range(2):
            rows = [
                f'"S, {station}",{year}-02-28,1.5,{temp},{high},{low},"Far, away"'
                for year, temp, high, low in days[station::2]
            ]
            lines = [self.HEADER, *rows, *self.MALFORMED]
            (folder / f"{station}.csv").write_text("\n".join(lines) + "\n")
        return folder

    def expected(self, days: list[tuple[int, float, float, float]]) -> dict[int, Any]:
        by_year = defaultdict(list)
        for year, *temperatures in days:
            by_year[year].append(temperatures)
        return {
            year: (
                len(found),
                pytest.approx(fmean(temp for temp, _, _ in found)),
                min(low for _, _, low in found),
                max(high for _, high, _ in found),
            )
            for year, found in by_year.items()
        }

    def test_years(self, days: Any, weather: Path, load: Any, tmp_path: Path) -> None:
        pipeline = load("gsod_group").build([f"{weather}/*.csv"], num_shards=3)
        result = gaia.LocalRunner(tmp_path).run(pipeline)
        records = list(result["years"].records())
        years = {y.year: (y.observations, y.mean, y.min, y.max) for y in records}
        assert years == self.expected(days)
        assert len(records) == len(years)
        assert result.counters["malformed-rows"] == 2 * len(self.MALFORMED)

    def test_script(self, days: Any, weather: Path, tmp_path: Path) -> None:
        lines = run_script(
            "gsod_group", f"--dest_dir={tmp_path}", "--num_shards=2", f"{weather}/*.csv"
        )
        shown = [line.split() for line in lines[1:-1]]
        observations = {int(year): number(count) for year, count, *_ in shown}
        assert observations == {year: found[0] for year, found in self.expected(days).items()}
        assert lines[-1].startswith(f"{2 * len(self.MALFORMED)} malformed rows")
        assert len(list(tmp_path.glob("years/*.jsonl"))) == 2

    def test_script_makes_its_own_inputs(self, tmp_path: Path) -> None:
        lines = run_script("gsod_group", f"--dest_dir={tmp_path}")
        years: dict[str, list[float]] = defaultdict(list)
        for path in tmp_path.glob("inputs/*.csv"):
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    if row["MIN"] != "9999.9":
                        years[row["DATE"][:4]].append(float(row["TEMP"]))
        shown = [line.split()[:3] for line in lines[1:-1]]
        assert shown == [
            [year, f"{len(temps):,}", f"{fmean(temps):.1f}"]
            for year, temps in sorted(years.items())
        ]


class TestMoviesJoin:
    @pytest.fixture
    def inputs(self, tmp_path: Path) -> tuple[Path, Path]:
        chance = random.Random(1)
        movies = [
            {"id": 7 * n, "title": f"Film\t{n} “é”", "year": 1950 + n, "adult": n % 3 == 0}
            for n in range(40)
        ]
        cast = [
            {"movie_id": 7 * chance.randrange(50), "name": f"Name {n}", "role": "Self"}
            for n in range(60)
        ]
        paths = tmp_path / "movies.jsonl", tmp_path / "cast.jsonl"
        for path, records in zip(paths, (movies, cast), strict=True):
            path.write_text("\n".join(map(json.dumps, records)))
        return paths

    def expected(self, inputs: tuple[Path, Path]) -> tuple[dict[str, list[Any]], dict[str, int]]:
        """The joined movies by shard, and the counters."""
        movies, cast = (list(map(json.loads, path.read_text().splitlines())) for path in inputs)
        shards: dict[str, list[Any]] = {"adult": [], "family": []}
        for movie in movies:
            names = sorted(
                f"{member['name']} as {member['role']}"
                for member in cast
                if member["movie_id"] == movie["id"]
            )
            shards["adult" if movie["adult"] else "family"].append({**movie, "cast": names})
        joined = [movie for shard in shards.values() for movie in shard]
        counters = {
            "movies-without-cast": sum(not movie["cast"] for movie in joined),
            "cast-without-movie": len(cast) - sum(len(movie["cast"]) for movie in joined),
        }
        assert all(counters.values())
        return shards, counters

    def assert_written(self, folder: Path, shards: dict[str, list[Any]]) -> None:
        files = {path.stem: path.read_text("utf-8") for path in folder.glob("*.jsonl")}
        assert files.keys() == shards.keys()
        for name, text in files.items():
            movies = list(map(json.loads, text.splitlines()))
            for movie in movies:
                movie["cast"].sort()
            assert_same_records(movies, shards[name])

    def test_join(self, inputs: tuple[Path, Path], load: Any, tmp_path: Path) -> None:
        movies, cast = map(str, inputs)
        pipeline = load("movies_join").build([movies], [cast], num_shards=3)
        result = gaia.LocalRunner(tmp_path).run(pipeline)
        shards, counters = self.expected(inputs)
        self.assert_written(tmp_path / "movies", shards)
        assert counters.items() <= result.counters.items()

    def test_script(self, inputs: tuple[Path, Path], tmp_path: Path) -> None:
        movies, cast = inputs
        lines = run_script(
            "movies_join",
            *("--movies", movies, "--cast", cast, "--num_shards=2", f"--dest_dir={tmp_path}"),
        )
        shards, counters = self.expected(inputs)
        self.assert_written(tmp_path / "movies", shards)
        shown = {name: number(count) for count, name, *_ in map(str.split, lines[:-1])}
        assert shown == {name: len(found) for name, found in shards.items()} | counters

    def test_script_makes_its_own_inputs(self, tmp_path: Path) -> None:
        run_script("movies_join", f"--dest_dir={tmp_path}")
        inputs = tmp_path / "inputs"
        shards, _ = self.expected((inputs / "movies.jsonl", inputs / "cast.jsonl"))
        self.assert_written(tmp_path / "movies", shards)


class TestMrgrep:
    PATTERN = r"\b(sea|ship)s?\b"

    @pytest.fixture
    def files(self, tmp_path: Path) -> list[Path]:
        folder = tmp_path / "some files"
        folder.mkdir()
        files = [folder / "a.txt", folder / "b 2.txt", folder / "c.txt"]
        files[0].write_bytes("the sea\r\nthé ship: 1 2\nno\n".encode() * 20)
        files[1].write_bytes(b"\n\nseas\tof ships\nworship")
        files[2].write_bytes(b"nothing\n")
        return files

    def expected(self, files: list[Path]) -> list[str]:
        matches = []
        for file in files:
            position = 0
            for line in file.read_bytes().split(b"\n"):
                text = line.decode().removesuffix("\r")
                if re.search(self.PATTERN, text):
                    matches.append(f"{file}:{position} {text}")
                position += len(line) + 1
        return matches

    def test_matches(self, files: list[Path], load: Any, tmp_path: Path) -> None:
        pipeline = load("mrgrep").build(self.PATTERN, list(map(str, files)), num_shards=3)
        result = gaia.LocalRunner(tmp_path).run(pipeline)
        assert_same_records(result["matches"].records(), self.expected(files))
        assert result.freq_maps["matches"] == {str(files[0]): 40, str(files[1]): 1}

    def test_script_prints_in_order(self, files: list[Path], tmp_path: Path) -> None:
        lines = run_script(
            "mrgrep", "--num_shards=2", f"--dest_dir={tmp_path}", self.PATTERN, *files
        )
        assert lines[:41] == self.expected(files)
        assert lines[41].startswith("41 matches")
        assert lines[42:] == [f"      40  {files[0]}", f"       1  {files[1]}"]

    def test_script_without_matches(self, files: list[Path], tmp_path: Path) -> None:
        (line,) = run_script("mrgrep", f"--dest_dir={tmp_path}", "zebra", *files)
        assert line.startswith("0 matches")

    def test_script_searches_the_json_package(self, tmp_path: Path) -> None:
        lines = run_script("mrgrep", f"--dest_dir={tmp_path}", r"^class JSON\w+")
        assert [line.split(" ", 1)[1] for line in lines if " class " in line] == [
            "class JSONDecodeError(ValueError):",
            "class JSONDecoder(object):",
            "class JSONEncoder(object):",
        ]


class TestReshard:
    NAMES = types.MappingProxyType(
        {
            "Lima": "Lima",
            "New York": "New York",
            '"Lima, Ohio"': "Lima%2C Ohio",
            "N/A": "N%2FA",
            "..": "%2E%2E",
            "/etc": "%2Fetc",
            "Köln": "K%C3%B6ln",
            "x" * 300: "x" * 200,
            "": "(none)",
        }
    )

    @pytest.fixture
    def shards(self) -> dict[str, list[str]]:
        """Rows by the shard that they belong to, column 3 decides."""
        shards = {
            name: [f"{row},  padded ,{value},'q',end" for row in range(50)]
            for value, name in self.NAMES.items()
        }
        shards["(none)"] += ["too,short", ""]
        return shards

    @pytest.fixture
    def orders(self, shards: dict[str, list[str]], tmp_path: Path) -> Path:
        folder = tmp_path / "orders"
        folder.mkdir()
        rows = [row for rows in shards.values() for row in rows]
        random.Random(1).shuffle(rows)
        for part in range(2):
            lines = ["id,note,city,q,end", *rows[part::2]]
            (folder / f"{part}.csv").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return folder

    def test_a_file_for_each_value(
        self, shards: dict[str, list[str]], orders: Path, load: Any, tmp_path: Path
    ) -> None:
        result = gaia.LocalRunner(tmp_path).run(
            load("reshard").build([f"{orders}/*.csv"], column=3)
        )
        assert {shard.key for shard in result["rows"].shards} == shards.keys()
        files = {path.stem: path for path in tmp_path.glob("rows/*.txt")}
        assert files.keys() == shards.keys()
        for name, path in files.items():
            assert_same_records(path.read_text("utf-8").split("\n"), [*shards[name], ""])

    def test_script_cuts_large_files(
        self, shards: dict[str, list[str]], orders: Path, tmp_path: Path
    ) -> None:
        lines = run_script(
            "reshard",
            *("--column=3", "--max_shard_mb=0.0005", f"--dest_dir={tmp_path}", f"{orders}/*.csv"),
        )
        found: dict[str, list[str]] = defaultdict(list)
        for path in tmp_path.glob("rows/*.txt"):
            assert path.stat().st_size <= 500
            found[path.name.partition(".part-")[0]] += path.read_text("utf-8").splitlines()
        assert found.keys() == shards.keys()
        for name, rows in found.items():
            assert_same_records(rows, shards[name])
        assert lines[-1].startswith(f"{len(shards)} shards")

    def test_script_makes_its_own_inputs(self, tmp_path: Path) -> None:
        run_script("reshard", f"--dest_dir={tmp_path}")
        with (tmp_path / "inputs/orders.csv").open(newline="", encoding="utf-8") as file:
            cities = Counter(row["city"] for row in csv.DictReader(file))
        files = tmp_path.glob("rows/*.txt")
        rows = Counter(len(path.read_text("utf-8").splitlines()) for path in files)
        assert rows == Counter(cities.values())


def wet(pages: list[tuple[str, bytes]]) -> bytes:
    """A WET file of pages with a language each."""
    raw = io.BytesIO()
    writer = WARCWriter(raw, gzip=True)
    writer.write_record(writer.create_warcinfo_record("pages.warc.wet.gz", {"software": "test"}))
    for number, (language, content) in enumerate(pages):
        headers = {"WARC-Identified-Content-Language": language} if language else {}
        writer.write_record(
            writer.create_warc_record(
                f"https://example.com/{number}",
                "conversion",
                payload=io.BytesIO(content),
                warc_content_type="text/plain",
                warc_headers_dict=headers,
            )
        )
    return raw.getvalue()


class TestWarcParse:
    ENGLISH = (
        b"  The ship \t sailed.\r\n\nThe sea\nshort\nth\xc3\xa9 s\xc3\xa9a is wide",
        b"The ship sailed.\ncaf\xe9 in Latin-1\nan end",
    )
    OTHERS = (("deu,eng", b"Das Schiff ist gesegelt."), ("", b"Nobody knows the language."))

    @pytest.fixture
    def inputs(self, tmp_path: Path) -> Path:
        folder = tmp_path / "crawl"
        folder.mkdir()
        for number, content in enumerate(self.ENGLISH):
            pages = [("eng,fra", content), self.OTHERS[number]]
            (folder / f"{number}.warc.wet.gz").write_bytes(wet(pages))
        # Of the record at the end, half is lost.
        damaged = folder / "0.warc.wet.gz"
        tail = wet([("eng", b"The end is not here.")])
        damaged.write_bytes(damaged.read_bytes() + tail[:-20])
        return folder

    def test_lines(self, inputs: Path, load: Any, tmp_path: Path) -> None:
        pipeline = load("warc_parse").build(
            [f"{inputs}/*.gz"], num_shards=3, language="eng", min_chars=6
        )
        result = gaia.LocalRunner(tmp_path).run(pipeline)
        lines = ["The ship sailed.", "The sea", "thé séa is wide", "The ship sailed.", "an end"]
        assert_same_records(result["lines"].records(), lines)
        expected = {
            "pages": 2,
            "pages-in-other-languages": 2,
            "lines-too-short": 2,
            "lines-not-utf-8": 1,
            "parse-errors": 1,
        }
        assert expected.items() <= result.counters.items()

    def test_scripts_work_hand_in_hand(self, inputs: Path, load: Any, tmp_path: Path) -> None:
        options = ("--inputs", f"{inputs}/*.gz", "--min_chars=6", "--num_shards=2")
        lines = run_script("warc_parse", *options, f"--dest_dir={tmp_path}/parsed")
        assert lines[-2] == "7 lines"
        counted = run_script(
            "word_count",
            "--native",
            f"--dest_dir={tmp_path}/counted",
            f"{tmp_path}/parsed/lines/*.zst",
        )
        at_once = run_script("common_crawl_words", *options, f"--dest_dir={tmp_path}/words")
        text = (
            "The ship sailed The sea thé séa is wide The ship sailed an end "
            "Das Schiff ist gesegelt Nobody knows the language"
        )
        words = text.split(" ")
        assert at_once[0] == f"4 pages, {len(words)} words, {len(set(words))} distinct"
        counts = Counter(words)
        shown = {word: number(count) for count, word in map(str.split, at_once[1:-1])}
        assert shown.items() <= counts.items()
        table: gaia.Table[Any] = gaia.read_table(tmp_path / "words" / "wordcounts")
        assert {record.word: record.count for record in table.records()} == counts
        assert at_once[0] == f"4 pages, {counted[0]}"

    @pytest.mark.parametrize("name", ["warc_parse", "common_crawl_words"])
    def test_scripts_make_their_own_inputs(self, name: str, tmp_path: Path) -> None:
        lines = run_script(name, "--language=eng", f"--dest_dir={tmp_path}")
        assert number(lines[0].split()[0]) == 8
        assert (tmp_path / "inputs" / "pages.warc.wet.gz").exists()
