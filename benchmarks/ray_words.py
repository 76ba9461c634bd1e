"""Words counted on Ray, beside one machine without it, and beside Ray Data.

    python benchmarks/ray_words.py TEXT --small SMALL [--turns 3] [--folder out/ray_words]

All of it on this machine, in turns, the best turn of each; Ray is started once, before the first,
and a first turn of everything is not counted. TEXT is counted by `RayRunner` and by `LocalRunner`,
which has a new process for every turn, as without Ray's threads it forks its workers. SMALL, of
some ten MB, is counted by `RayRunner` and by Ray Data's own groupby, which takes long.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gaia

STORE = 1 << 30
# The most that RayRunner may take, in parts of what the other takes.
BOUNDS = {"LocalRunner": 1.25, "Ray Data": 0.1}

Counted = tuple[float, int]
"""Seconds, and how many distinct words were found."""


def pipeline(text: str) -> gaia.Pipeline:
    """Words are added up before they are shuffled."""
    made = gaia.Pipeline("words")
    words = made.read_text(text, name="lines").map(gaia.ops.Words(), name="words")
    words.write("words", gaia.TXT).with_mod_n_sharding(64, "word").and_combine("word", count="sum")
    counts = made.join(gaia.ops.GroupBy("word", count="sum"), [words], name="counts")
    counts.write("counts", gaia.TXT).and_compress(gaia.ZSTD)
    return made


def timed(runner: Any, text: str) -> Counted:
    begin = time.perf_counter()
    result = runner.run(pipeline(text))
    return time.perf_counter() - begin, len(result["counts"])


def by_local_runner(text: str, dest: str, workers: int) -> Counted:
    command = [sys.executable, __file__, "--local", text, dest, str(workers)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, words = ended.stdout.split()
    return float(seconds), int(words)


def by_ray_runner(text: str, dest: str) -> Counted:
    return timed(gaia.RayRunner(dest, progress=False), text)


def by_ray_data(text: str, dest: str) -> Counted:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    find = re.compile(r"\w+").findall

    def split(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"word": word} for word in find(row["text"])]

    begin = time.perf_counter()
    counts = ray.data.read_text(text).flat_map(split).groupby("word").count()
    counts.write_parquet(dest)
    seconds = time.perf_counter() - begin
    return seconds, ray.data.read_parquet(dest).count()


def best(lanes: dict[str, Callable[[str], Counted]], folder: Path, turns: int) -> dict[str, float]:
    """The seconds of the best turn of each; all have to find as many words."""
    found: dict[str, list[float]] = {name: [] for name in lanes}
    for turn in range(turns + 1):
        distinct = {}
        for name, count in lanes.items():
            dest = folder / "dest"
            seconds, distinct[name] = count(str(dest))
            shutil.rmtree(dest)
            os.sync()
            print(f"{'warm-up' if turn == 0 else turn}: {name} {seconds:.2f} s", file=sys.stderr)
            if turn:
                found[name].append(seconds)
        if len(set(distinct.values())) != 1:
            raise SystemExit(f"they find different numbers of words: {distinct}")
    return {name: min(seconds) for name, seconds in found.items()}


def show(text: Path, seconds: dict[str, float]) -> None:
    ours = seconds["RayRunner"]
    for name, other in seconds.items():
        bound = f"<= {BOUNDS[name]}" if name in BOUNDS else ""
        ratio = f"{ours / other:.2f}" if name in BOUNDS else ""
        size = f"{text.stat().st_size >> 20} MiB"
        print(f"| {size} | {name} | {other:.2f} | {ratio} | {bound} |")


def main() -> None:
    if sys.argv[1:2] == ["--local"]:
        text, dest, workers = sys.argv[2:]
        print(*timed(gaia.LocalRunner(dest, int(workers), progress=False), text))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path, nargs="?")
    parser.add_argument("--small", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, default=Path("out/ray_words"))
    args = parser.parse_args()
    folder = args.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    import ray

    ray.init(
        num_cpus=args.workers,
        object_store_memory=STORE,
        include_dashboard=False,
        logging_level="warning",
    )
    try:
        rows = []
        if args.text is not None:
            text = str(args.text.resolve())
            lanes: dict[str, Callable[[str], Counted]] = {
                "RayRunner": lambda dest: by_ray_runner(text, dest),
                "LocalRunner": lambda dest: by_local_runner(text, dest, args.workers),
            }
            rows.append((args.text, best(lanes, folder, args.turns)))
        if args.small is not None:
            small = str(args.small.resolve())
            lanes = {
                "RayRunner": lambda dest: by_ray_runner(small, dest),
                "Ray Data": lambda dest: by_ray_data(small, dest),
            }
            rows.append((args.small, best(lanes, folder, args.turns)))
    finally:
        ray.shutdown()
        shutil.rmtree(folder)
    print("| text | counted by | s | RayRunner / it | wanted |")
    print("| --- | --- | --- | --- | --- |")
    for counted, seconds in rows:
        show(counted, seconds)


if __name__ == "__main__":
    main()
