"""Points given to the nearest of five centres and summed, by NumPy on what pyarrow reads.

points_numpy.py POINTS DEST WORKERS
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from centres import CENTRES
from pyarrow import csv

source, dest, workers = sys.argv[1:]
pa.set_cpu_count(int(workers))
sums = np.zeros((len(CENTRES), 4))
for batch in csv.open_csv(source):
    x, y, z = (column.to_numpy() for column in batch.columns)
    distances = [(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in CENTRES]
    nearest = np.argmin(distances, axis=0)
    for column, values in enumerate([None, x, y, z]):
        sums[:, column] += np.bincount(nearest, values, len(CENTRES))
result = Path(dest, "result")
result.mkdir(parents=True)
with open(result / "centres.txt", "w") as file:
    for centre, (n, *totals) in enumerate(sums.tolist()):
        print(centre, int(n), *totals, sep="\t", file=file)
