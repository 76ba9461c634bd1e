"""Splits CSV files by a column, a file for every value: python reshard.py --column=2 'orders*.csv'

Rows stay as they are, one a line; headers are left out. Without inputs it makes up a few orders.
"""

import csv
import random
from pathlib import Path
from urllib.parse import quote

import gaia

CITIES = ["Lagos", "Lima", "New York", "São Paulo", "N/A", ""]
MAX_NAME = 200  # characters; longer values that begin alike share a shard


def shard_name(row: str, column: int) -> str:
    """The shard of a row: the value of its column, with unsafe characters as `%XX`.

    >>> shard_name("7,N/A,12.50", column=2)
    'N%2FA'
    >>> shard_name("8,,3.20", column=2)
    '(none)'
    """
    fields = next(csv.reader([row]))
    value = fields[column - 1] if column <= len(fields) else ""
    # `quote` keeps dots, but `..` is no name. It never gives `(none)`, so that is not a value's.
    return quote(value, safe=" ").replace(".", "%2E")[:MAX_NAME] or "(none)"


def build(inputs: list[str], column: int, max_shard_mb: float | None = None) -> gaia.Pipeline:
    """The pipeline; its result is the table `rows`. Columns are counted from 1."""
    pipeline = gaia.Pipeline("reshard")
    rows = pipeline.read_text(inputs, name="read_rows", skip_header=True)
    output = rows.write("rows", gaia.TXT)
    output.with_custom_sharding(lambda row: shard_name(row, column))
    if max_shard_mb is not None:
        output.with_max_shard_size(max_shard_mb)
    return pipeline


def make_orders(path: Path) -> list[str]:
    """Makes up orders from a few cities; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["order", "city", "amount"])
        for order in range(1000):
            writer.writerow([order, chance.choice(CITIES), round(chance.uniform(1, 100), 2)])
    return [str(path)]


def main() -> None:
    parser = gaia.arg_parser(__doc__, dest_dir="out/reshard")
    parser.add_argument("inputs", nargs="*", help="paths or globs of CSV files")
    parser.add_argument("--column", type=int, default=2, help="column to split by, from 1 (2)")
    parser.add_argument("--max_shard_mb", type=float, help="cut larger files into several")
    args = parser.parse_args()
    if args.column < 1:
        parser.error(f"expected a --column from 1, got {args.column}")

    inputs = args.inputs or make_orders(Path(args.dest_dir, "inputs", "orders.csv"))
    pipeline = build(inputs, args.column, args.max_shard_mb)
    result = gaia.runner_from_args(args).run(pipeline)

    rows = result["rows"]
    for shard in rows.shards:
        print(f"{shard.records:>12,} rows in {len(shard.files)} files: {shard.key}")
    print(f"{len(rows.shards)} shards in {rows.path} ({result.elapsed:.1f} s)")


if __name__ == "__main__":
    main()
