r"""What `\w+` finds counted by DuckDB: regex_duckdb.py TEXT DEST WORKERS"""

import sys
from pathlib import Path

import duckdb

source, dest, workers = sys.argv[1:]
Path(dest).mkdir(parents=True)
db = duckdb.connect(config={"threads": int(workers), "preserve_insertion_order": False})
db.execute(f"""
    COPY (
        SELECT word, count(*)
        FROM (
            SELECT unnest(regexp_extract_all(line, '\\w+')) AS word
            FROM read_csv(
                '{source}', columns = {{'line': 'VARCHAR'}}, auto_detect = false,
                header = false, delim = '\x01', quote = '', escape = ''
            )
        )
        GROUP BY word
    ) TO '{dest}/result' (
        FORMAT csv, DELIMITER '\t', QUOTE '', HEADER false, COMPRESSION zstd, PER_THREAD_OUTPUT
    )
""")
