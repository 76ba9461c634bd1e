"""What the measurements were taken on."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

PACKAGES = {
    "gaia-mr": "Gaia",
    "duckdb": "DuckDB",
    "polars": "polars",
    "pyspark": "PySpark",
    "numpy": "NumPy",
    "pyarrow": "pyarrow",
}
PROGRAMS = {"java": "-version", "mawk": "-Wversion"}


def machine() -> str:
    """Its processor, memory and system, in a line."""
    try:
        model = re.search("model name\\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        model = None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({platform.machine()}, {model[1] if model else 'unknown'}), "
        f"{memory:.0f} GiB, {platform.system()}"
    )


def versions() -> dict[str, str]:
    """The version of everything that takes part and is installed."""
    found = {"Python": platform.python_version()}
    for package, title in PACKAGES.items():
        try:
            found[title] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    for program, option in PROGRAMS.items():
        if shutil.which(program):
            said = subprocess.run(
                [program, option], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ).stdout
            number = re.search(r"\d+(\.\d+)+", said)
            found[program] = number[0] if number else "?"
    return found
