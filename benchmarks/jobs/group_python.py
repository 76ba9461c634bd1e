"""Two columns of a CSV file summed by key, by one plain loop: group_python.py ROWS DEST"""

import csv
import sys
from pathlib import Path

source, dest, *_ = sys.argv[1:]
sums: dict[int, list[float]] = {}
with open(source, newline="") as file:
    rows = csv.reader(file)
    next(rows)
    for key, a, b in rows:
        entry = sums.setdefault(int(key), [0, 0.0])
        entry[0] += int(a)
        entry[1] += float(b)
result = Path(dest, "result")
result.mkdir(parents=True)
with open(result / "sums.txt", "w") as file:
    file.writelines(f"{key}\t{a}\t{b}\n" for key, (a, b) in sums.items())
