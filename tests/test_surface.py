"""The public surface and the house's layering."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gaia

PACKAGE = Path(gaia.__file__).parent

HEAVY = {
    "fastwarc",
    "fsspec",
    "gaia.runner.page",
    "hashlib",
    "html",
    "importlib.resources",
    "isal",
    "msgspec",
    "numpy",
    "pandas",
    "pyarrow",
    "ray",
    "rich",
    "zstandard",
}


def test_the_public_names():
    assert gaia.__all__ == [
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


@pytest.mark.parametrize("name", gaia.__all__)
def test_public_name_has_a_docstring(name):
    value = getattr(gaia, name)
    documented = value if hasattr(value, "__name__") else type(value)
    assert vars(documented).get("__doc__") if isinstance(documented, type) else documented.__doc__


@pytest.mark.parametrize(
    "name", [name for name in gaia.__all__ if isinstance(getattr(gaia, name), type)]
)
def test_public_methods_have_docstrings(name):
    methods = inspect.getmembers(
        getattr(gaia, name), lambda value: inspect.isroutine(value) or isinstance(value, property)
    )
    public = [(method, value) for method, value in methods if not method.startswith("_")]
    assert [method for method, value in public if not inspect.getdoc(value)] == []


def test_importing_gaia_imports_nothing_heavy():
    loaded = python("-c", "import sys, gaia; print(*sys.modules)").stdout.split()
    assert HEAVY.isdisjoint(loaded)
    assert "gaia.runner" not in loaded


def test_what_is_imported_later_is_found():
    found = python("-c", "import gaia; print(*dir(gaia)); gaia.LocalRunner, gaia.read_table").stdout
    assert {*gaia.__all__, "errors"} <= set(found.split())


@pytest.mark.parametrize(
    ("part", "forbidden"),
    [
        ("pipeline", ("gaia.io", "gaia.ops", "gaia.runner")),
        ("ops", ("gaia.io", "gaia.runner")),
        ("io", ("gaia.pipeline", "gaia.runner")),
        ("errors.py", ("gaia",)),
    ],
)
def test_imports_point_down_only(part, forbidden):
    path = PACKAGE / part
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    assert files
    assert [
        f"{file.relative_to(PACKAGE)} imports {module}"
        for file in files
        for module in imports(file)
        if any(f"{module}.".startswith(f"{other}.") for other in forbidden)
    ] == []


@pytest.mark.parametrize(
    "wrong",
    [
        "lines.map(lambda line: line)",
        "lines.write('out', gaia.TXT).with_mod_n_sharding(0)",
        "lines.write('out', gaia.TXT); gaia.LocalRunner('out').run(pipeline)",
    ],
)
def test_an_uncaught_error_shows_the_users_frames_only(tmp_path, wrong):
    script = tmp_path / "job.py"
    script.write_text(
        "import gaia\n"
        "pipeline = gaia.Pipeline('job')\n"
        "lines = pipeline.from_records(['a'], name='lines')\n"
        f"{wrong}\n"
    )
    ended = python(str(script), cwd=tmp_path)

    assert ended.returncode == 1
    assert f'File "{script}", line 4' in ended.stderr
    assert "gaia.errors.PipelineError: step `" in ended.stderr
    assert ended.stderr.endswith(f"\n  at {script}:4\n")
    assert str(PACKAGE) not in ended.stderr


def imports(file: Path) -> Iterator[str]:
    """The full names of all that a file imports, wherever in it."""
    package = ("gaia", *file.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def python(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=cwd)
