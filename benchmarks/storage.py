"""Reading large inputs: how much faster with two workers, and how near to the bare libraries.

    python benchmarks/storage.py TEXT [--folder out/storage] [--repeats 3] [--only zstd,gzip,...]

TEXT is a large plain text, such as one that make_data.py writes. Each line of the table that is
printed is a ratio of two things measured in turns, the shortest of the repeats of each.
"""

import argparse
import gzip
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gaia

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from children import running

BUCKET = "bench"


def in_turns(repeats: int, *jobs: Callable[[], float]) -> list[float]:
    """The shortest time of each job, in seconds. The first turn warms up."""
    times = [[job() for job in jobs] for _ in range(repeats + 1)][1:]
    return [min(turn[number] for turn in times) for number in range(len(jobs))]


def script(code: str, *args: object) -> float:
    """How long a Python program takes, from its start to its end."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *map(str, args)], check=True)
    return time.perf_counter() - begin


# Reads lines and keeps hardly any: what is measured is reading.
READ = """
import sys, gaia
path, workers, dest = sys.argv[1], int(sys.argv[2]), sys.argv[3]
pipeline = gaia.Pipeline("read")
found = pipeline.read_text(path).map(gaia.ops.Grep("no such words at all"))
found.write("found", gaia.TXT).with_mod_n_sharding(2)
gaia.LocalRunner(dest, workers=workers).run(pipeline)
"""

IGZIP = """
import sys
from isal import igzip
with igzip.open(sys.argv[1]) as file:
    while file.read(1 << 20):
        pass
"""

WET_GAIA = """
import sys, gaia
class Count(gaia.Mapper[gaia.WarcRecord, int]):
    def do(self, record, ctx):
        ctx.inc("words", len(record.payload.split()))
        ctx.inc("urls", len(record.url))
pipeline = gaia.Pipeline("wet")
counts = pipeline.read_warc(sys.argv[1]).map(Count)
counts.write("counts", gaia.TXT).with_mod_n_sharding(1)
result = gaia.LocalRunner(sys.argv[2], workers=1).run(pipeline)
print(result.counters["words"], result.counters["urls"], file=sys.stderr)
"""

WET_FASTWARC = """
import sys
from fastwarc.warc import ArchiveIterator, WarcRecordType
words = urls = 0
with open(sys.argv[1], "rb") as file:
    for record in ArchiveIterator(file, record_types=WarcRecordType.conversion):
        words += len(record.reader.read().split())
        urls += len(record.headers.get("WARC-Target-URI"))
print(words, urls, file=sys.stderr)
"""


def zstd(text: str, folder: Path, repeats: int) -> list[tuple[str, float, float, str]]:
    """One shard that Gaia wrote, with one worker and with two."""
    dest = folder / "zstd"
    pipeline = gaia.Pipeline("pack")
    lines = pipeline.read_text(text)
    lines.write("packed", gaia.TXT).with_mod_n_sharding(1).and_compress(gaia.ZSTD)
    table = gaia.LocalRunner(dest).run(pipeline)["packed"]
    shard = dest / "packed" / table.shards[0].files[0].path
    one, two = in_turns(
        repeats,
        lambda: script(READ, shard, 1, folder / "out"),
        lambda: script(READ, shard, 2, folder / "out"),
    )
    size = shard.stat().st_size / 2**30
    return [(f"one zstd shard of {size:.2f} GiB: 1 worker / 2 workers", one, two, ">= 1.7")]


def gz(text: str, folder: Path, repeats: int) -> list[tuple[str, float, float, str]]:
    """A gzip file, against the decompressor alone."""
    path = folder / f"{Path(text).name}.gz"
    if not path.exists():
        with path.open("wb") as file:
            subprocess.run(["gzip", "-6", "-c", text], stdout=file, check=True)
    ours, bare = in_turns(
        repeats,
        lambda: script(READ, path, 1, folder / "out"),
        lambda: script(IGZIP, path),
    )
    return [("a gzip file: Gaia / isal's igzip alone", ours, bare, "<= 1.1")]


def wet(text: str, folder: Path, repeats: int) -> list[tuple[str, float, float, str]]:
    """Records of text, against a loop of fastwarc's on one core."""
    path = folder / f"{Path(text).name}.warc.wet.gz"
    if not path.exists():
        make_wet(text, path)
    bare, ours = in_turns(
        repeats,
        lambda: script(WET_FASTWARC, path),
        lambda: script(WET_GAIA, path, folder / "out"),
    )
    return [("words of a WET file: fastwarc's loop / Gaia, 1 worker", bare, ours, ">= 0.8")]


def make_wet(text: str, path: Path) -> None:
    """A WET file of 200 MB of text, with records of 8 KB."""
    with open(text, "rb") as source, path.open("wb") as target:
        for number in range(25_000):
            payload = source.read(8_000)
            head = (
                "WARC/1.0\r\nWARC-Type: conversion\r\n"
                f"WARC-Target-URI: https://example.com/{number}\r\n"
                "WARC-Date: 2026-01-31T10:00:00Z\r\n"
                f"WARC-Record-ID: <urn:uuid:{number:032x}>\r\n"
                "WARC-Identified-Content-Language: eng\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(payload)}\r\n\r\n"
            )
            target.write(gzip.compress(head.encode() + payload + b"\r\n\r\n", 6))


def latency(text: str, folder: Path, repeats: int) -> list[tuple[str, float, float, str]]:
    """A file of an emulated bucket, with 20 ms before every answer and without."""
    os.environ |= {
        "GOOGLE_APPLICATION_CREDENTIALS": os.devnull,
        "NO_GCE_CHECK": "true",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }
    url = f"gs://{BUCKET}/{Path(text).name}"
    server = str(Path(__file__).parent.parent / "tests" / "gcs_emulator.py")
    served = ["--folder", f"{Path(text).resolve().parent}={BUCKET}"]
    with (
        running(server, *served) as near,
        running(server, *served, "--latency", "0.02") as far,
    ):

        def read(host: str) -> float:
            os.environ["STORAGE_EMULATOR_HOST"] = host
            return script(READ, url, 2, folder / "out")

        without, with_latency = in_turns(repeats, lambda: read(near), lambda: read(far))
    return [("a file in a bucket: no latency / 20 ms", without, with_latency, ">= 0.8")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text")
    parser.add_argument("--folder", default="out/storage")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="zstd,gzip,wet,latency")
    args = parser.parse_args()
    folder = Path(args.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    jobs = {"zstd": zstd, "gzip": gz, "wet": wet, "latency": latency}
    print("| what | first, s | second, s | ratio | wanted |\n| --- | --- | --- | --- | --- |")
    for name in args.only.split(","):
        for what, first, second, wanted in jobs[name](args.text, folder, args.repeats):
            print(f"| {what} | {first:.2f} | {second:.2f} | {first / second:.2f} | {wanted} |")


if __name__ == "__main__":
    main()
