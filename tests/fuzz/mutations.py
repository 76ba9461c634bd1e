"""Mutations: inputs made of others, as damage and malice make them."""

import random
from collections.abc import Callable, Sequence

# Nothing is gained by inputs beyond this: every path of a decoder shows in a few blocks.
LONGEST = 1 << 16

_EDGES = [
    (edge + delta) % (1 << bits)
    for bits in (8, 16, 32, 64)
    for edge in (0, 1 << (bits - 1), 1 << bits)
    for delta in (-1, 0, 1)
]


def mutated(
    chance: random.Random, pool: Sequence[bytes], tokens: Sequence[bytes], most: int = 4
) -> bytes:
    """One of the inputs, changed in a few ways."""
    data = bytearray(chance.choice(pool))
    for _ in range(chance.randint(1, most)):
        chance.choice(_WAYS)(chance, data, pool, tokens)
    return bytes(data[:LONGEST])


_Way = Callable[[random.Random, bytearray, Sequence[bytes], Sequence[bytes]], None]


def _flip(chance: random.Random, data: bytearray, *_: object) -> None:
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _byte(chance: random.Random, data: bytearray, *_: object) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x22))


def _integer(chance: random.Random, data: bytearray, *_: object) -> None:
    """An edge in place of an integer: absolute, or beside what is there."""
    width = chance.choice((1, 2, 4, 8))
    at = chance.randrange(max(1, len(data) - width + 1))
    order = chance.choice(("little", "big"))
    value = chance.choice(_EDGES)
    if chance.random() < 0.4:
        value = int.from_bytes(data[at : at + width], order) + chance.choice((-8, -1, 1, 8, 64))
    data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, order)


def _digits(chance: random.Random, data: bytearray, *_: object) -> None:
    """Another number in place of one that is written out."""
    numbers = [at for at, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not numbers:
        return
    start = end = chance.choice(numbers)
    while end < len(data) and 0x30 <= data[end] <= 0x39:
        end += 1
    data[start:end] = str(chance.choice((-1, 1e400, "0" * 40, *_EDGES))).encode()


def _remove(chance: random.Random, data: bytearray, *_: object) -> None:
    start, end = _range(chance, len(data))
    del data[start:end]


def _repeat(chance: random.Random, data: bytearray, *_: object) -> None:
    start, end = _range(chance, len(data))
    times = chance.choice((1, 1, 1, 2, 50))
    data[end:end] = data[start:end] * times
    del data[LONGEST:]


def _move(chance: random.Random, data: bytearray, *_: object) -> None:
    start, end = _range(chance, len(data))
    block = data[start:end]
    del data[start:end]
    at = chance.randint(0, len(data))
    data[at:at] = block


def _noise(chance: random.Random, data: bytearray, *_: object) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = chance.randbytes(chance.choice((1, 2, 8, 100)))


def _zeros(chance: random.Random, data: bytearray, *_: object) -> None:
    start, end = _range(chance, len(data))
    data[start:end] = bytes([chance.choice((0, 0xFF, 0x20))]) * (end - start)


def _truncate(chance: random.Random, data: bytearray, *_: object) -> None:
    if data:
        del data[chance.randrange(len(data)) :]


def _splice(chance: random.Random, data: bytearray, pool: Sequence[bytes], *_: object) -> None:
    """The beginning of one input, and the end of another."""
    other = chance.choice(pool)
    if chance.random() < 0.5:
        del data[chance.randint(0, len(data)) :]
        data += other[chance.randint(0, len(other)) :]
    else:
        start, end = _range(chance, len(other))
        at = chance.randint(0, len(data))
        data[at:at] = other[start:end]


def _token(
    chance: random.Random, data: bytearray, _pool: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    token = chance.choice(tokens) if tokens else b""
    at = chance.randint(0, len(data))
    data[at : at + chance.choice((0, len(token)))] = token


def _range(chance: random.Random, length: int) -> tuple[int, int]:
    start = chance.randint(0, length)
    size = int(min(length, 4096) ** chance.random())
    return start, min(length, start + size)


_WAYS: list[_Way] = [
    _flip,
    _flip,
    _byte,
    _integer,
    _integer,
    _digits,
    _remove,
    _repeat,
    _move,
    _noise,
    _zeros,
    _truncate,
    _splice,
    _token,
    _token,
]
