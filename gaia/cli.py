"""The command line: `gaia verify TABLE...`."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from gaia.errors import GaiaError
from gaia.io.manifest import read_manifest
from gaia.io.stores import local_path, store_of, url_of
from gaia.runner.result import Table


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0 if all went well, and 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="gaia", description="Commands for tables of Gaia's.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    verify = commands.add_parser(
        "verify", help="compare the files of tables with the sizes and checksums in their manifests"
    )
    verify.add_argument("tables", nargs="+", metavar="TABLE", help="a table's folder, or its URL")
    verify.set_defaults(run=_verify)
    given = parser.parse_args(args)
    code: int = given.run(given)
    return code


def _verify(given: argparse.Namespace) -> int:
    code = 0
    for path in given.tables:
        try:
            store = store_of(path)
            folder = local_path(path) if store is None else url_of(path, store)
            # The records' type does not matter: they are not made.
            table: Table[Any] = Table(folder, Any, read_manifest(folder, store), store)
            table.verify()
            print(f"{path}: {len(table.shards)} shards, {len(table)} records: whole")
        except GaiaError as error:
            print(f"{path}: {error}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
