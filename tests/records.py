"""Records, and small runs of them, that several tests share."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs

import gaia

# What every run leaves of itself.
OWN = ["report.html", "run.json"]


@attrs.frozen
class WordCount:
    word: str
    count: int


def write_table(
    dest: Path,
    records: Iterable[Any],
    output: Callable[[gaia.Output[Any]], Any] = lambda output: output.with_mod_n_sharding(2),
    *,
    format: Any = gaia.TXT,
    compression: Any = gaia.NONE,
    workers: int = 0,
    type: Any = None,
) -> gaia.Table[Any]:
    """The table `out` in `dest`, sharded and compressed as told."""
    pipeline = gaia.Pipeline("write")
    table = pipeline.from_records(records, type=type, name="records")
    output(table.write("out", format)).and_compress(compression)
    return gaia.LocalRunner(dest, workers=workers).run(pipeline)["out"]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path, with its content; but for what runs leave of
    themselves, and for what one that goes on with a run that failed would use."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    own = ("_gaia/run/", *(f"_gaia/{name}" for name in OWN))
    return {name: content for name, content in found.items() if not name.startswith(own)}
