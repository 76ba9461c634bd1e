"""The inputs of the benchmarks; the same arguments give the same files.

python benchmarks/make_data.py FOLDER [--scale 1]
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from jobs.centres import CENTRES

VOCABULARY = 4_000_000
ROWS = 10_000_000
KEYS = 1_000_000
LETTERS = np.frombuffer(b"etaoinshrdlcumwfgypbvk0123xjqz", np.uint8)


def make(name: str, folder: Path, scale: float, mib: int) -> Path:
    """The file of this input, made if need be: `mib` of text or ten million rows, x `scale`."""
    is_text = name.startswith("text")
    size = max(1, round(scale * (mib if is_text else ROWS)))
    path = folder / (f"{name}-{size}MiB.txt" if is_text else f"{name}-{size}.csv")
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        MAKERS[name](part, size)
        part.rename(path)
    return path


def make_text(path: Path, mib: int) -> None:
    """Zipf-distributed lower-case words between single spaces, in lines of 1 to 40 words.

    Words grow longer as they grow rarer. Short ones were drawn more than once, so there are fewer
    distinct words than `VOCABULARY`.
    """
    letters, starts, lengths = _vocabulary(VOCABULARY)
    rng = np.random.default_rng(1)
    left = mib << 20
    with path.open("wb") as file:
        while left > 0:
            ranks = _zipf(rng, 200_000)
            sizes = lengths[ranks]
            ends = np.cumsum(sizes, dtype=np.int32)
            places = np.arange(ends[-1], dtype=np.int32)
            places += np.repeat(starts[ranks] - (ends - sizes), sizes)
            text = letters[places]
            last_words = np.cumsum(rng.integers(1, 41, 12_000))
            text[ends[last_words[last_words < len(ends)] - 1] - 1] = ord("\n")
            text[-1] = ord("\n")
            file.write(text.tobytes())
            left -= len(text)


def make_rows(path: Path, rows: int) -> None:
    rng = np.random.default_rng(2)
    _write(
        path,
        key=rng.integers(0, _keys(rows), rows),
        a=rng.integers(0, 1000, rows),
        b=rng.random(rows).round(4),
    )


def make_facts(path: Path, rows: int) -> None:
    rng = np.random.default_rng(3)
    _write(
        path,
        id=rng.integers(0, _keys(rows), rows),
        amount=(1000 * rng.random(rows) + 0.01).round(2),
    )


def make_dims(path: Path, rows: int) -> None:
    """A name for every id of the facts; one row for ten of theirs."""
    count = _keys(rows)
    letters, _, _ = _vocabulary(count)
    words = letters.tobytes().decode().split(" ")
    _write(path, id=np.random.default_rng(4).permutation(count), name=words[:count])


def make_points(path: Path, rows: int) -> None:
    rng = np.random.default_rng(5)
    points = np.array(CENTRES)[rng.integers(0, len(CENTRES), rows)] + rng.normal(0, 2, (rows, 3))
    _write(path, **dict(zip("xyz", points.round(6).T, strict=True)))


MAKERS: dict[str, Callable[[Path, int], None]] = {
    "text": make_text,
    "text4": lambda path, mib: make_text(path, 4 * mib),
    "rows": make_rows,
    "facts": make_facts,
    "dims": make_dims,
    "points": make_points,
}


def _keys(rows: int) -> int:
    return max(1, rows * KEYS // ROWS)


def _zipf(rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
    """Ranks with density (rank + 2.7) ** -1.08, by the inverse of its integral."""
    power = -0.08
    high, low = 2.7**power, (VOCABULARY + 2.7) ** power
    return ((high - rng.random(count) * (high - low)) ** (1 / power) - 2.7).astype(np.int64)


def _vocabulary(
    count: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The letters of all words, each with a space behind, and the starts and lengths of these."""
    rng = np.random.default_rng(7)
    typical = 2 + 0.33 * np.log2(np.arange(1, count + 1))
    lengths = np.clip((typical + rng.normal(0, 1.2, count)).round(), 1, 18).astype(np.int32) + 1
    ends = np.cumsum(lengths, dtype=np.int32)
    odds = 1 / np.arange(1, len(LETTERS) + 1) ** 0.7
    letters = rng.choice(LETTERS, size=ends[-1], p=odds / odds.sum())
    letters[ends - 1] = ord(" ")
    return letters, ends - lengths, lengths


def _write(path: Path, **columns: object) -> None:
    pl.DataFrame(columns).write_csv(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--mib", type=int, default=1024)
    args = parser.parse_args()
    for name in MAKERS:
        print(make(name, args.folder, args.scale, args.mib))


if __name__ == "__main__":
    main()
