"""Two columns of a CSV file summed by key: group_gaia.py ROWS DEST WORKERS"""

import sys

import attrs

import gaia


@attrs.define
class Row:
    key: int
    a: int
    b: float


def main() -> None:
    source, dest, workers = sys.argv[1:]
    pipeline = gaia.Pipeline("group")
    lines = pipeline.read_text(source, name="lines", skip_header=True)
    rows = lines.map(gaia.ops.ParseCsv(Row), name="rows")
    (
        rows.write("rows", gaia.TXT)
        .with_mod_n_sharding(64, "key")
        .and_combine("key", a="sum", b="sum")
    )
    sums = pipeline.join(gaia.ops.GroupBy("key", a="sum", b="sum"), [rows], name="sums")
    sums.write("result", gaia.TXT).and_compress(gaia.ZSTD)
    gaia.LocalRunner(dest, workers=int(workers)).run(pipeline)


if __name__ == "__main__":
    main()
