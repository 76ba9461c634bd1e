"""`gaia verify`: whether tables are as they were written."""

import argparse
import sys
from typing import Any

from gaia.cli.command import FAILED, FINE, Command, one_line


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tables", nargs="+", metavar="TABLE", help="a table's folder, or its URL")


def _verify(given: argparse.Namespace) -> int:
    from gaia.errors import GaiaError
    from gaia.io.manifest import read_manifest
    from gaia.io.stores import local_path, store_of, url_of
    from gaia.runner.result import Table

    code = FINE
    for path in given.tables:
        try:
            store = store_of(path)
            folder = local_path(path) if store is None else url_of(path, store)
            # The records' type does not matter: they are not made.
            table: Table[Any] = Table(folder, Any, read_manifest(folder, store), store)
            table.verify()
            print(one_line(f"{path}: {len(table.shards)} shards, {len(table)} records: whole"))
        except GaiaError as error:
            print(one_line(f"gaia verify: {path}: {error}"), file=sys.stderr)
            code = FAILED
    return code


VERIFY = Command(
    "verify",
    "compare the files of tables with the sizes and checksums in their manifests",
    (
        ("gaia verify out/words", "one line, and exit code 1 if a file is damaged or missing"),
        ("gaia verify out/* && echo whole", "several tables; all of them are looked at"),
        ("gaia verify gs://bucket/out/words", "a table in a bucket"),
    ),
    _arguments,
    _verify,
)
