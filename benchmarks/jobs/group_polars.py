"""Two columns of a CSV file summed by key, by polars: group_polars.py ROWS DEST WORKERS"""

import os
import sys

source, dest, workers = sys.argv[1:]
os.environ["POLARS_MAX_THREADS"] = workers

import polars as pl  # noqa: E402

pl.scan_csv(source).group_by("key").agg(pl.col("a").sum(), pl.col("b").sum()).sink_csv(
    f"{dest}/result/sums.csv.zst",
    separator="\t",
    include_header=False,
    compression="zstd",
    compression_level=1,
    maintain_order=False,
    mkdir=True,
    engine="streaming",
)
