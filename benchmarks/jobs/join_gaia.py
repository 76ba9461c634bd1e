"""Facts joined with the names of their ids: join_gaia.py FACTS DIMS DEST WORKERS"""

import sys

import attrs

import gaia


@attrs.define
class Fact:
    id: int
    amount: float


@attrs.define
class Dim:
    id: int
    name: str


def main() -> None:
    facts_csv, dims_csv, dest, workers = sys.argv[1:]
    pipeline = gaia.Pipeline("join")
    facts = pipeline.read_text(facts_csv, name="fact_lines", skip_header=True).map(
        gaia.ops.ParseCsv(Fact), name="facts"
    )
    dims = pipeline.read_text(dims_csv, name="dim_lines", skip_header=True).map(
        gaia.ops.ParseCsv(Dim), name="dims"
    )
    facts.write("facts", gaia.TXT).with_mod_n_sharding(64, "id")
    dims.write("dims", gaia.TXT).with_mod_n_sharding(64, "id")
    named = pipeline.join(gaia.ops.InnerJoin("id"), [facts, dims], name="named")
    named.write("result", gaia.TXT).and_compress(gaia.ZSTD)
    gaia.LocalRunner(dest, workers=int(workers)).run(pipeline)


if __name__ == "__main__":
    main()
