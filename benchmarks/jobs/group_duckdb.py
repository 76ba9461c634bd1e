"""Two columns of a CSV file summed by key, by DuckDB: group_duckdb.py ROWS DEST WORKERS"""

import sys
from pathlib import Path

import duckdb

source, dest, workers = sys.argv[1:]
Path(dest).mkdir(parents=True)
db = duckdb.connect(config={"threads": int(workers), "preserve_insertion_order": False})
db.execute(rf"""
    COPY (SELECT key, sum(a), sum(b) FROM read_csv('{source}') GROUP BY key) TO '{dest}/result' (
        FORMAT csv, DELIMITER '\t', HEADER false, COMPRESSION zstd, PER_THREAD_OUTPUT
    )
""")
