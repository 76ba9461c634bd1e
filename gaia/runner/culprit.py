"""Finding the record that kills workers.

A search yields inputs for a task on trial and is told whether that killed its worker. Each trial
halves the range in which the culprit must be, so that about as many are needed as the size of the
input has bits.
"""

from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import attrs

from gaia.io import warc
from gaia.io.files import content
from gaia.io.sources import sized
from gaia.pipeline.graph import Format
from gaia.runner.columns import Columns
from gaia.runner.inputs import Archive, Lines, Slice, content_at

Source: TypeAlias = Lines | Columns | Archive | Slice
Inputs: TypeAlias = tuple[Source, ...]
Search: TypeAlias = Generator[Inputs, bool, "Culprit | str"]

_SHOWN = 200
# Where the length of the content is not known, ranges grow from the first size on, up to the last.
_FIRST, _LAST = 1 << 20, 1 << 44


@attrs.frozen
class Culprit:
    """A record that kills workers: where it stands, how it begins, and the input without it."""

    file: str
    position: int
    record: str
    rest: Inputs


def find(inputs: Inputs) -> Search:
    """Searches the input of a task that is known to kill workers; returns why none is to blame if
    no single record is."""
    if (yield ()):
        return "it dies without any as well, so none is to blame"
    pieces = tuple(piece for source in inputs for piece in _pieces(source))
    if not pieces:
        return _SUM
    number = yield from _narrowed(0, len(pieces), lambda low, high: pieces[low:high])
    piece = pieces[number]
    if isinstance(piece, Slice):
        position = yield from _narrowed(
            0, len(piece.records), lambda low, high: (_some(piece, low, high),)
        )
        alone: Source = _some(piece, position, position + 1)
    elif isinstance(piece, Columns):
        (rows,) = piece.parts
        return f"it is in {rows.path}, whose rows are not tried one by one"
    else:
        if _is_one_stream(piece):
            (part,) = piece.parts
            return f"{part.path} is one stream, whose records cannot be tried one by one"
        found = yield from _position(piece)
        if found is None:
            return _SUM
        position = found
        alone = _cut(piece, position, position + 1)
    if not (yield (alone,)):
        return _SUM
    culprit = _culprit(piece, position)
    rest = pieces[:number] + culprit.rest + pieces[number + 1 :]
    return attrs.evolve(culprit, rest=rest)


_SUM = "no single one kills a worker by itself, so it may be what adds up, such as memory"


def _pieces(source: Source) -> Inputs:
    """The source as several of one part each."""
    if isinstance(source, Slice):
        return (source,)
    whole: Any = source
    return tuple(attrs.evolve(whole, parts=(part,)) for part in whole.parts)


def _narrowed(
    low: int, high: int, cut: Callable[[int, int], Inputs]
) -> Generator[Inputs, bool, int]:
    """The one of some numbers that kills: the last if none of the others does."""
    while high - low > 1:
        middle = (low + high) // 2
        if (yield cut(low, middle)):
            high = middle
        else:
            low = middle
    return low


def _position(piece: Lines | Archive) -> Generator[Inputs, bool, int | None]:
    """Where the record starts that kills, if one does."""
    (part,) = piece.parts
    # A row of CSV starts where the one before it ends, which takes reading all before it.
    rows = isinstance(piece, Lines) and piece.format is Format.CSV

    def cut(low: int, high: int) -> Inputs:
        return (_cut(piece, part.start if rows else low, high),)

    low, high = part.start, part.end
    if high is None:
        high = low + _FIRST
        while not (yield cut(low, high)):
            if high > _LAST:
                return None
            low, high = high, high * 16
    return (yield from _narrowed(low, high, cut))


def _cut(piece: Lines | Archive, start: int, end: int | None) -> Lines | Archive:
    (part,) = piece.parts
    return attrs.evolve(piece, parts=(attrs.evolve(part, start=start, end=end),))


def _some(piece: Slice, low: int, high: int) -> Slice:
    return Slice(piece.records[low:high], piece.start + low)


def _is_one_stream(piece: Lines | Archive) -> bool:
    """Whether all records of a file belong to the range in which it begins."""
    (part,) = piece.parts
    if not isinstance(piece, Archive):
        return False
    return not warc.has_cuts(sized(part.file.source()), part.file.compression)


def _culprit(piece: Lines | Archive | Slice, position: int) -> Culprit:
    """The record at a position of a piece, and the rest of the piece."""
    if isinstance(piece, Slice):
        shown = _shown(repr(piece.records[position]))
        rest: Inputs = (_some(piece, 0, position), _some(piece, position + 1, len(piece.records)))
        return Culprit("", piece.start + position, shown, rest)
    (part,) = piece.parts
    following = position + 1
    if isinstance(piece, Archive):
        begin = next(content(part.file, position), b"")
    else:
        begin = content_at(piece, part, position)
        if piece.format is Format.CSV:
            # The next row starts behind the line end; what is left of that is a blank line, which
            # is no row of files that others wrote.
            following = position + len(begin) + piece.ours
    rest = (_cut(piece, part.start, position), _cut(piece, following, part.end))
    return Culprit(part.path, position, _shown(_text(begin)), rest)


def _text(begin: bytes) -> str:
    """Bytes as a `str` or, if they are no text, as bytes."""
    try:
        return repr(begin.decode())
    except UnicodeDecodeError:
        return repr(begin)


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
