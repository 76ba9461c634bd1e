"""Points given to the nearest of five centres and summed, by polars.

points_polars.py POINTS DEST WORKERS
"""

import os
import sys

from centres import CENTRES

source, dest, workers = sys.argv[1:]
os.environ["POLARS_MAX_THREADS"] = workers

import polars as pl  # noqa: E402

x, y, z = pl.col("x"), pl.col("y"), pl.col("z")
points = pl.scan_csv(source).with_columns(
    ((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2).alias(f"d{i}")
    for i, (a, b, c) in enumerate(CENTRES)
)
shortest = pl.min_horizontal("d0", "d1", "d2", "d3", "d4")
nearest = pl.coalesce(
    pl.when(pl.col(f"d{i}") == shortest).then(i) for i in range(len(CENTRES))
).alias("centre")
points.group_by(nearest).agg(pl.len(), x.sum(), y.sum(), z.sum()).sink_csv(
    f"{dest}/result/centres.csv.zst",
    separator="\t",
    include_header=False,
    compression="zstd",
    compression_level=1,
    mkdir=True,
    engine="streaming",
)
