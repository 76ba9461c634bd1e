"""Facts joined with the names of their ids by DuckDB: join_duckdb.py FACTS DIMS DEST WORKERS"""

import sys
from pathlib import Path

import duckdb

facts, dims, dest, workers = sys.argv[1:]
Path(dest).mkdir(parents=True)
db = duckdb.connect(config={"threads": int(workers), "preserve_insertion_order": False})
db.execute(rf"""
    COPY (
        SELECT id, amount, name
        FROM read_csv('{facts}') AS facts JOIN read_csv('{dims}') AS dims USING (id)
    ) TO '{dest}/result' (
        FORMAT csv, DELIMITER '\t', HEADER false, COMPRESSION zstd, PER_THREAD_OUTPUT
    )
""")
