"""Summarises daily weather by year: python gsod_group.py --num_shards=8 'gsod/**/*.csv'

Rows are like those of NOAA's Global Summary of the Day, below a header: station, date, latitude,
temp, max, min (in °F), and whatever follows. Without inputs it makes up a few stations.
"""

import csv
import datetime
import math
import random
from pathlib import Path

import attrs

import gaia

STATIONS = {"OSLO": 59.9, "ROME": 41.8, "NAIROBI": -1.3, "SYDNEY": -33.9}
MISSING = 9999.9


@attrs.define
class Observation:
    """A day at a station."""

    year: int
    temp: float
    max: float
    min: float


@attrs.define
class YearSummary:
    year: int
    observations: int = 0
    mean: float = 0.0
    max: float = -math.inf
    min: float = math.inf

    def add(self, day: Observation) -> None:
        self.observations += 1
        self.mean += (day.temp - self.mean) / self.observations
        self.max = max(self.max, day.max)
        self.min = min(self.min, day.min)


class RowParser(gaia.Mapper[str, Observation]):
    """Parses rows; those without a valid date and temperatures are counted and left out."""

    def do(self, line: str, ctx: gaia.Context[Observation]) -> None:
        try:
            _station, date, _latitude, temp, high, low, *_rest = next(csv.reader([line]))
            day = Observation(
                year=datetime.date.fromisoformat(date).year,
                temp=temperature(temp),
                max=temperature(high),
                min=temperature(low),
            )
        except (ValueError, csv.Error):
            ctx.inc("malformed-rows")
        else:
            ctx.write(day)


def temperature(field: str) -> float:
    """The temperature in a field; one that cannot be, such as `MISSING`, is a ValueError."""
    value = float(field)
    if not -200 < value < 200:
        raise ValueError(f"no temperature: {field}")
    return value


class YearGroupBy(gaia.Joiner[YearSummary]):
    """Summarises the years of one shard."""

    def __init__(self) -> None:
        self.years: dict[int, YearSummary] = {}

    def on_observation(self, day: Observation, ctx: gaia.Context[YearSummary]) -> None:
        self.years.setdefault(day.year, YearSummary(day.year)).add(day)

    def on_shard_finish(self, ctx: gaia.Context[YearSummary]) -> None:
        for summary in self.years.values():
            ctx.write(summary)


def build(inputs: list[str], num_shards: int = 8) -> gaia.Pipeline:
    """The pipeline; its result is the table `years`."""
    pipeline = gaia.Pipeline("gsod_group")
    lines = pipeline.read_text(inputs, name="rows", skip_header=True)
    days = lines.map(RowParser, name="row_parser")
    (
        days.write("observations", gaia.TXT)
        .with_mod_n_sharding(num_shards, key="year")
        .and_compress(gaia.ZSTD)
    )
    years = pipeline.join(
        YearGroupBy, [days.bind_with(YearGroupBy.on_observation)], name="group_by"
    )
    years.write("years", gaia.JSONL)
    return pipeline


def make_weather(folder: Path) -> list[str]:
    """Makes up three years of weather, one file for each station; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    paths = []
    for station, latitude in STATIONS.items():
        path = folder / f"{station}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["STATION", "DATE", "LATITUDE", "TEMP", "MAX", "MIN"])
            for day in range(3 * 365):
                date = datetime.date(2021, 1, 1) + datetime.timedelta(days=day)
                temp = round(chance.gauss(85 - abs(latitude), 8), 1)
                low = MISSING if day % 100 == 99 else temp - 10
                writer.writerow([station, date, latitude, temp, f"{temp + 10:.1f}", f"{low:.1f}"])
        paths.append(str(path))
    return paths


def main() -> None:
    parser = gaia.arg_parser(__doc__, dest_dir="out/gsod_group")
    parser.add_argument("inputs", nargs="*", help="paths or globs of CSV files")
    parser.add_argument("--num_shards", type=int, default=8, help="files per table (8)")
    args = parser.parse_args()

    inputs = args.inputs or make_weather(Path(args.dest_dir, "inputs"))
    result = gaia.runner_from_args(args).run(build(inputs, args.num_shards))

    years: gaia.Table[YearSummary] = result["years"]
    print("year  observations   mean    min    max")
    for y in sorted(years.records(), key=lambda summary: summary.year):
        print(f"{y.year}  {y.observations:>12,} {y.mean:6.1f} {y.min:6.1f} {y.max:6.1f}")
    print(f"{result.counters.get('malformed-rows', 0):,} malformed rows ({result.elapsed:.1f} s)")


if __name__ == "__main__":
    main()
