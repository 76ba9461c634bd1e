"""Points given to the nearest of five centres, with NumPy in a mapper, and summed by centre.

points_gaia.py POINTS DEST WORKERS
"""

import os
import sys

import attrs
from centres import CENTRES

# Gaia's workers are processes: further threads of NumPy's would only be in their way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

import gaia


@attrs.define
class Point:
    x: float
    y: float
    z: float


@attrs.define
class Centre:
    centre: int
    n: int
    x: float
    y: float
    z: float


class Assign(gaia.Mapper[Point, Centre]):
    def do_batch(self, batch: gaia.Batch[Point], ctx: gaia.Context[Centre]) -> None:
        x, y, z = (np.asarray(batch[axis]) for axis in "xyz")
        distances = [(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in CENTRES]
        ctx.write_columns(centre=np.argmin(distances, axis=0), n=1, x=x, y=y, z=z)


def main() -> None:
    source, dest, workers = sys.argv[1:]
    pipeline = gaia.Pipeline("points")
    lines = pipeline.read_text(source, name="lines", skip_header=True)
    points = lines.map(gaia.ops.ParseCsv(Point), name="points")
    centres = points.map(Assign, batch_size=4096, name="centres")
    sums = {"n": "sum", "x": "sum", "y": "sum", "z": "sum"}
    centres.write("centres", gaia.TXT).with_mod_n_sharding(1, "centre").and_combine(
        "centre", **sums
    )
    totals = pipeline.join(gaia.ops.GroupBy("centre", **sums), [centres], name="totals")
    totals.write("result", gaia.TXT).and_compress(gaia.ZSTD)
    gaia.LocalRunner(dest, workers=int(workers)).run(pipeline)


if __name__ == "__main__":
    main()
