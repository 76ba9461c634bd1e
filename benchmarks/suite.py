"""Which jobs are measured, and the systems that do each of them."""

import importlib.util
import shutil
import sys
from pathlib import Path

import attrs

JOBS = Path(__file__).parent / "jobs"


@attrs.frozen
class System:
    """A script in `jobs/` that does a job: `script INPUT... DEST WORKERS`.

    Its result is what it leaves in `DEST/result`. `inputs` and `workers` stand for those of the job
    and the run; `comparable` is false if the result need not be the one of the others.
    """

    title: str
    script: str
    inputs: tuple[str, ...] | None = None
    workers: int | None = None
    extra: bool = False
    comparable: bool = True

    @property
    def family(self) -> str:
        return Path(self.script).stem.split("_")[1]

    def is_named_by(self, names: set[str]) -> bool:
        return self.family in names or Path(self.script).stem in names

    def command(self, inputs: list[Path], dest: Path, workers: int) -> list[str]:
        interpreter = "sh" if self.script.endswith(".sh") else sys.executable
        arguments = [*inputs, dest, self.workers or workers]
        return [interpreter, str(JOBS / self.script), *map(str, arguments)]


@attrs.frozen
class Job:
    """What every system has to do; the first system is what Gaia is judged by.

    `columns` are those of the result, tab-separated. `found` tells of a result: its `rows` and the
    sums of its integer columns. `pairs` are two systems whose ratio is of interest, by title.
    """

    name: str
    title: str
    about: str
    inputs: tuple[str, ...]
    columns: dict[str, type]
    found: str
    systems: tuple[System, ...]
    pairs: tuple[tuple[str, str], ...] = ()


SUITE = [
    Job(
        name="words",
        title="Word count",
        about="Text is split at white space, and every word is written with its count.",
        inputs=("text",),
        columns={"word": str, "count": int},
        found="{count:,} words, {rows:,} distinct",
        systems=(
            System("Gaia", "words_gaia.py"),
            System("Gaia, one worker", "words_gaia.py", workers=1),
            System("Gaia, nothing combined", "words_gaia_raw.py"),
            System("Gaia, columns from Python", "words_gaia_columns.py"),
            System("Gaia, records from Python", "words_gaia_records.py"),
            System("Gaia, a dict in the mapper", "words_gaia_dict.py", extra=True),
            System("Gaia, records to a Python joiner", "words_gaia_pairs.py", extra=True),
            System("DuckDB", "words_duckdb.py"),
            System("polars", "words_polars.py"),
            System("PySpark", "words_pyspark.py"),
            System("Python, one loop", "words_python.py"),
            System("mawk", "words_mawk.sh"),
        ),
    ),
    Job(
        name="regex",
        title="Word count by a regular expression",
        about=r"What `\w+` finds in text, with counts. The last row splits at spaces instead.",
        inputs=("text",),
        columns={"word": str, "count": int},
        found="{count:,} words, {rows:,} distinct",
        systems=(
            System("Gaia", "regex_gaia.py"),
            System("DuckDB", "regex_duckdb.py"),
            System("polars", "regex_polars.py"),
            System("DuckDB, split", "words_duckdb.py", comparable=False),
        ),
    ),
    Job(
        name="group",
        title="CSV rows grouped",
        about="An integer and a decimal column of a CSV file are summed by an integer key.",
        inputs=("rows",),
        columns={"key": int, "a": int, "b": float},
        found="{rows:,} keys",
        systems=(
            System("Gaia", "group_gaia.py"),
            System("DuckDB", "group_duckdb.py"),
            System("polars", "group_polars.py"),
            System("PySpark", "group_pyspark.py"),
            System("Python, one loop", "group_python.py"),
            System("mawk", "group_mawk.sh"),
        ),
    ),
    Job(
        name="join",
        title="Two CSV files joined",
        about="Facts `id,amount` get the names of a file `id,name` with one row for each id.",
        inputs=("facts", "dims"),
        columns={"id": int, "amount": float, "name": str},
        found="{rows:,} rows",
        systems=(
            System("Gaia", "join_gaia.py"),
            System("DuckDB", "join_duckdb.py"),
            System("polars", "join_polars.py"),
            System("PySpark", "join_pyspark.py"),
        ),
    ),
    Job(
        name="points",
        title="Numeric columns",
        about="Points `x,y,z` go to the nearest of five centres; its count and sums are written.",
        inputs=("points",),
        columns={"centre": int, "n": int, "x": float, "y": float, "z": float},
        found="{n:,} points, {rows} centres",
        systems=(
            System("Gaia, NumPy in the mapper", "points_gaia.py"),
            System("DuckDB", "points_duckdb.py"),
            System("polars", "points_polars.py"),
            System("NumPy, read by pyarrow", "points_numpy.py"),
        ),
    ),
    Job(
        name="scaling",
        title="Twice the workers, four times the text",
        about="Word count again, with one worker and two, and on four times as much text.",
        inputs=("text",),
        columns={"word": str, "count": int},
        found="{count:,} words, {rows:,} distinct",
        systems=(
            System("Gaia, one worker", "words_gaia.py", workers=1),
            System("Gaia", "words_gaia.py"),
            System("Gaia, 4 x", "words_gaia.py", inputs=("text4",)),
            System("DuckDB", "words_duckdb.py"),
            System("DuckDB, 4 x", "words_duckdb.py", inputs=("text4",)),
        ),
        pairs=(
            ("Gaia, one worker", "Gaia"),
            ("Gaia, 4 x", "Gaia"),
            ("DuckDB, 4 x", "DuckDB"),
        ),
    ),
]

MODULES = {
    "gaia": ["gaia"],
    "duckdb": ["duckdb"],
    "polars": ["polars"],
    "pyspark": ["pyspark"],
    "numpy": ["numpy", "pyarrow"],
}
PROGRAMS = {"pyspark": "java", "mawk": "mawk"}


def missing(family: str) -> str | None:
    """What is not installed that these systems need."""
    modules = [name for name in MODULES.get(family, []) if importlib.util.find_spec(name) is None]
    program = PROGRAMS.get(family)
    programs = [program] if program and not shutil.which(program) else []
    return ", ".join(modules + programs) or None
