"""Points given to the nearest of five centres and summed, by DuckDB.

points_duckdb.py POINTS DEST WORKERS
"""

import sys
from pathlib import Path

import duckdb
from centres import CENTRES

source, dest, workers = sys.argv[1:]
Path(dest).mkdir(parents=True)
distances = ", ".join(
    f"(x - {a}) ** 2 + (y - {b}) ** 2 + (z - {c}) ** 2 AS d{i}"
    for i, (a, b, c) in enumerate(CENTRES)
)
nearest = " ".join(f"WHEN d{i} THEN {i}" for i in range(len(CENTRES)))
db = duckdb.connect(config={"threads": int(workers), "preserve_insertion_order": False})
db.execute(rf"""
    COPY (
        SELECT CASE least(d0, d1, d2, d3, d4) {nearest} END AS centre,
            count(*), sum(x), sum(y), sum(z)
        FROM (SELECT x, y, z, {distances} FROM read_csv('{source}'))
        GROUP BY centre
    ) TO '{dest}/result' (
        FORMAT csv, DELIMITER '\t', HEADER false, COMPRESSION zstd, PER_THREAD_OUTPUT
    )
""")
