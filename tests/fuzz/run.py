"""A seeded fuzzer of every decoder.

    python tests/fuzz/run.py --target csv --seconds 600 --seed 7

Mutates valid inputs, and keeps those with which something new happens. Each target runs in a child
whose memory is bounded, and whose input outlives it, so that a crash, an abort or a hang leaves the
input that it came of. What is found goes to `--found`, one file each; moved to `corpus/<target>/`
it is run again by every test.
"""

import argparse
import gc
import hashlib
import mmap
import os
import random
import re
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mutations import LONGEST, mutated
from targets import TARGETS, Target

# What a decoder may take beyond what the process has, and how long it may take.
MEMORY = 512 << 20
SECONDS = 10

CORPUS = Path(__file__).parent / "corpus"
# An input is kept where it leads to something new, but of these no more than so many.
_POOL = 600

_HEAD = struct.Struct("<QQI")
_SHARED = 1 << 20


class Shared:
    """What a child tells, even if it dies: executions, findings and its current input."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _SHARED)
        self.runs = self.found = 0

    def put(self, data: bytes) -> None:
        """Notes what is run next."""
        self.runs += 1
        self._map[_HEAD.size : _HEAD.size + len(data)] = data
        self._map[: _HEAD.size] = _HEAD.pack(self.runs, self.found, len(data))

    def get(self) -> tuple[int, int, bytes]:
        """What was run last."""
        runs, found, size = _HEAD.unpack(self._map[: _HEAD.size])
        return runs, found, self._map[_HEAD.size : _HEAD.size + size]


def outcome(target: Target, data: bytes) -> str:
    """What a target makes of an input, numbers and names left out.

    Raises:
        BaseException: It is none of those that the target may raise.
    """
    try:
        return f"{target.run(data)}"
    except target.raises as error:
        shape = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "_", str(error))
        return f"{type(error).__name__} {re.sub(r'[0-9]+', '0', shape)[:80]}"


def seeds(target: Target) -> list[bytes]:
    """The inputs that a target begins with."""
    folder = CORPUS / target.name
    kept = sorted(folder.iterdir()) if folder.is_dir() else []
    return [*target.seeds(), *(path.read_bytes() for path in kept)]


def fuzz(target: Target, seconds: float, seed: int, found: Path, shared: Shared) -> None:
    """Runs inputs until the time is over; what is found goes to a folder."""
    chance = random.Random(seed)
    pool = seeds(target)
    seen: set[str] = set()
    told: set[str] = set()
    first = list(pool)
    end = time.monotonic() + seconds
    while first or time.monotonic() < end:
        data = first.pop()[:LONGEST] if first else mutated(chance, pool, target.tokens)
        if shared.runs % 256 == 0:
            gc.collect()  # Contexts and what they call hold each other, and blocks of the input.
        shared.put(data)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)  # Kills the process.
        try:
            what = outcome(target, data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} {last.filename}:{last.lineno}"
            if what not in told:
                told.add(what)
                shared.found += 1
                lines = traceback.format_exception(error)
                keep(found, target.name, data, "".join(lines)[-3000:])
        signal.setitimer(signal.ITIMER_REAL, 0)
        if what not in seen and len(seen) < _POOL:
            seen.add(what)
            pool.append(data)


def keep(folder: Path, name: str, data: bytes, why: str) -> None:
    """Keeps an input that something is wrong with."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"{path}: {why}", file=sys.stderr, flush=True)


def bound_memory(extra: int) -> None:
    """Has this process fail where it asks for so much more memory than it has."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def watched(target: Target, seconds: float, seed: int, found: Path) -> tuple[int, int]:
    """Fuzzes in children, as many as die; returns how much was run, and how much was found."""
    end = time.monotonic() + seconds
    runs = findings = 0
    while (left := end - time.monotonic()) > 0:
        shared = Shared()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for data in target.seeds():  # What is imported and started now does not count.
                    with suppress(Exception):
                        target.run(data)
                bound_memory(MEMORY)
                fuzz(target, left, seed, found, shared)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        done, told, data = shared.get()
        runs += done
        findings += told
        if status > 0:
            raise SystemExit(f"{target.name}: the fuzzer itself failed")
        if status < 0:
            findings += 1
            why = signal.Signals(-status).name
            keep(found, target.name, data, f"killed by {why}" + " (hang)" * (why == "SIGALRM"))
            seed += 1_000_003
    return runs, findings


def main(args: Sequence[str] | None = None) -> int:
    """Runs targets one after the other; the status is 1 if anything was found."""
    parser = argparse.ArgumentParser(description="Fuzzes Gaia's decoders.")
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"))
    options = parser.parse_args(args)
    names = list(TARGETS) if options.target == "all" else [options.target]
    findings = 0
    for name in names:
        runs, found = watched(TARGETS[name], options.seconds, options.seed, options.found)
        findings += found
        print(f"{name}: {runs} inputs, seed {options.seed}, {found} findings", flush=True)
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
