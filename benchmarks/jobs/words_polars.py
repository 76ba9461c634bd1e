"""Words counted by polars, streaming: words_polars.py TEXT DEST WORKERS"""

import os
import sys

source, dest, workers = sys.argv[1:]
os.environ["POLARS_MAX_THREADS"] = workers

import polars as pl  # noqa: E402

pl.scan_lines(source).select(pl.col("line").str.split(" ").explode().alias("word")).group_by(
    "word"
).len().sink_csv(
    f"{dest}/result/counts.csv.zst",
    separator="\t",
    include_header=False,
    quote_style="never",
    compression="zstd",
    compression_level=1,
    maintain_order=False,
    mkdir=True,
    engine="streaming",
)
