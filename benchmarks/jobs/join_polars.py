"""Facts joined with the names of their ids by polars: join_polars.py FACTS DIMS DEST WORKERS"""

import os
import sys

facts, dims, dest, workers = sys.argv[1:]
os.environ["POLARS_MAX_THREADS"] = workers

import polars as pl  # noqa: E402

pl.scan_csv(facts).join(pl.scan_csv(dims), on="id").sink_csv(
    f"{dest}/result/named.csv.zst",
    separator="\t",
    include_header=False,
    compression="zstd",
    compression_level=1,
    maintain_order=False,
    mkdir=True,
    engine="streaming",
)
