"""Gaia: MapReduce for one big machine, written as ordinary Python, with a native core."""

from typing import TYPE_CHECKING, Any

from gaia._core import Batch
from gaia.errors import (
    GaiaError,
    InputError,
    OutputError,
    PipelineError,
    StepError,
    TableError,
    WorkerError,
    hide_own_frames,
)
from gaia.pipeline.graph import Compression, FileSpec, Format
from gaia.pipeline.on_error import DeadLetter, dead_letter, fail, skip
from gaia.pipeline.operators import Context, Joiner, Mapper, Run
from gaia.pipeline.output import Output
from gaia.pipeline.pipeline import Pipeline
from gaia.pipeline.table import PTable
from gaia.warc import WarcRecord

TXT = Format.TXT
JSONL = Format.JSONL
CSV = Format.CSV
ARROW = Format.ARROW
PARQUET = Format.PARQUET
NONE = Compression.NONE
ZSTD = Compression.ZSTD
GZIP = Compression.GZIP
LZ4 = Compression.LZ4

__version__ = "0.1.0"

__all__ = [
    "ARROW",
    "CSV",
    "GZIP",
    "JSONL",
    "LZ4",
    "NONE",
    "PARQUET",
    "TXT",
    "ZSTD",
    "Batch",
    "Context",
    "DeadLetter",
    "ExecutorRunner",
    "FileSpec",
    "GaiaError",
    "InputError",
    "Joiner",
    "LocalRunner",
    "Mapper",
    "Output",
    "OutputError",
    "PTable",
    "Pipeline",
    "PipelineError",
    "RayRunner",
    "Run",
    "RunResult",
    "StepError",
    "Table",
    "TableError",
    "WarcRecord",
    "WorkerError",
    "arg_parser",
    "dead_letter",
    "fail",
    "ops",
    "read_table",
    "runner_from_args",
    "skip",
]

hide_own_frames()

if TYPE_CHECKING:
    from gaia import ops
    from gaia.args import arg_parser, runner_from_args
    from gaia.runner.executor import ExecutorRunner
    from gaia.runner.local import LocalRunner
    from gaia.runner.ray import RayRunner
    from gaia.runner.result import RunResult, Table, read_table

# Imported when they are used, which halves the time of `import gaia`.
_LATER = {
    "ExecutorRunner": "gaia.runner.executor",
    "LocalRunner": "gaia.runner.local",
    "RayRunner": "gaia.runner.ray",
    "RunResult": "gaia.runner.result",
    "Table": "gaia.runner.result",
    "arg_parser": "gaia.args",
    "read_table": "gaia.runner.result",
    "runner_from_args": "gaia.args",
}


def __getattr__(name: str) -> Any:
    """`gaia.ops`, runners and their results, and what makes flags of scripts."""
    from importlib import import_module

    if name == "ops":
        return import_module("gaia.ops")
    if name in _LATER:
        found = globals()[name] = getattr(import_module(_LATER[name]), name)
        return found
    raise AttributeError(f"module 'gaia' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
