"""Memory: what jobs take that are larger than what they may use, in all their processes.

    python benchmarks/memory.py TEXT [--folder out/memory] [--only shuffle,groups]

`shuffle` writes every word of TEXT to its shard, nothing combined, with memory="1GB"; to shuffle
4 GiB, TEXT has about that size. `groups` groups 50 million distinct keys in a single shard, with
memory="500MB".
"""

import argparse
import shutil
import sys
from pathlib import Path

from measure import measure

SHUFFLE = """
import sys, gaia
text, dest = sys.argv[1:]
pipeline = gaia.Pipeline("shuffle")
words = pipeline.read_text(text).map(gaia.ops.Words())
words.write("words", gaia.TXT).with_mod_n_sharding(64, "word")
table = gaia.LocalRunner(dest, workers=2, memory="1GB").run(pipeline)["words"]
print(f"{len(table):,} words, {sum(shard.raw_bytes for shard in table.shards):,} bytes shuffled")
"""

GROUPS = """
import sys, gaia
text, dest = sys.argv[1:]
pipeline = gaia.Pipeline("groups")
words = pipeline.read_text(text).map(gaia.ops.Words())
words.write("words", gaia.TXT).with_mod_n_sharding(1, "word")
groups = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words])
groups.write("groups", gaia.TXT).and_compress(gaia.ZSTD)
table = gaia.LocalRunner(dest, workers=2, memory="500MB").run(pipeline)["groups"]
print(f"{len(table):,} groups")
assert len(table) == 50_000_000
"""

# In MB (10^6 bytes).
BOUNDS = {"shuffle": 1200, "groups": 500}


def distinct(path: Path, count: int) -> Path:
    """A text of so many distinct words, each of them twice."""
    with open(path, "w") as file:
        for start in [*range(0, count, 10_000), *range(0, count, 10_000)]:
            file.write(" ".join(f"key{n:08}" for n in range(start, start + 10_000)) + "\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("out/memory"))
    parser.add_argument("--only", default="shuffle,groups")
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    args.folder.mkdir(parents=True)
    texts = {"shuffle": args.text}
    if "groups" in args.only:
        texts["groups"] = distinct(args.folder / "keys.txt", 50_000_000)
    print("| job | peak of the process tree, MB | wanted | wall, s |")
    print("| --- | --- | --- | --- |")
    for name in args.only.split(","):
        code = {"shuffle": SHUFFLE, "groups": GROUPS}[name]
        command = [sys.executable, "-c", code, str(texts[name]), str(args.folder / name)]
        found = measure(command, memory_every=0.05)
        print(f"| {name} | {found.peak_mb:.0f} | <= {BOUNDS[name]} | {found.wall:.1f} |")
    shutil.rmtree(args.folder)


if __name__ == "__main__":
    main()
