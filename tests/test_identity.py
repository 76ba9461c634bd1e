"""What stands for user code when a run resumes: its content, in whatever process."""

import os
import subprocess
import sys

import pytest

# What a step may be made of. Each name is replaced below, one at a time, by something else.
PROGRAM = """
import collections, dataclasses, enum, functools, re, threading, typing
import attrs, msgspec

@attrs.frozen
class Frozen:
    key: int
    names: frozenset = frozenset({"a", "b", "c"})

@attrs.define(unsafe_hash=True)
class Hashed:
    key: str = "x"

@dataclasses.dataclass(frozen=True)
class Data:
    key: int = 1

class Pair(typing.NamedTuple):
    first: int

class Struct(msgspec.Struct, frozen=True):
    key: int

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

    def shown(self):
        return self.value.upper()

class Flag(enum.IntFlag):
    A = 1
    B = 2

class Plain:
    rate = 3
    def __init__(self, held):
        self.held = held
    def method(self):
        return self.held

class Slots:
    __slots__ = ("x",)
    def __init__(self):
        self.x = {"k": Plain([1, 2])}

@functools.lru_cache
def cached(n):
    return n + 1

PLAIN = Plain({"a", "b", "c"})
ORDERED = collections.OrderedDict(a=Plain(1))

def step(line):
    return (Frozen(1), Hashed(), Data(), Pair(1), Struct(1), Colour.RED.shown(), Flag.A, cached(1),
            PLAIN.method(), Slots(), ORDERED, re.compile("a+"))

if __name__ == "__main__":
    from gaia.runner.identity import digest
    print(digest((step, Plain([3]), Colour.BLUE, threading.Lock())))
"""


def told(program: str, seed: int) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-"]
    ended = subprocess.run(
        command, input=program, capture_output=True, text=True, check=True, env=environment
    )
    return ended.stdout.strip()


@pytest.fixture(scope="module")
def unchanged() -> str:
    return told(PROGRAM, 1)


def test_every_process_tells_the_same(unchanged: str) -> None:
    assert told(PROGRAM, 2) == unchanged


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('Plain({"a", "b", "c"})', 'Plain({"a", "b", "d"})'),
        ('key: str = "x"', 'key: str = "y"'),
        ("    key: int = 1", "    key: int = 2"),
        ("first: int", "second: int"),
        ('BLUE = "blue"', 'BLUE = "navy"'),
        ("self.value.upper()", "self.value.lower()"),
        ("    B = 2", "    B = 4"),
        ("rate = 3", "rate = 4"),
        ("return self.held", "return [self.held]"),
        ("Plain([1, 2])", "Plain([1, 3])"),
        ("return n + 1", "return n + 2"),
        ("OrderedDict(a=Plain(1))", "OrderedDict(a=Plain(2))"),
        ('re.compile("a+")', 're.compile("a*")'),
        ("Plain([3])", "Plain([4])"),
        ("Colour.BLUE,", "Colour.RED,"),
    ],
)
def test_what_is_changed_is_seen(unchanged: str, old: str, new: str) -> None:
    assert PROGRAM.count(old) == 1
    assert told(PROGRAM.replace(old, new), 1) != unchanged
