"""Words of lines."""

import builtins
from typing import Any, Generic, TypeVar, overload

import attrs

from gaia import _core
from gaia.pipeline.aggregates import fields_of
from gaia.pipeline.names import type_name
from gaia.pipeline.native import NativeMapper
from gaia.pipeline.records import codec

R = TypeVar("R")


@attrs.define
class WordCount:
    """A word and how often it was seen."""

    word: str
    count: int = 1


class _TextPieces(NativeMapper[str, R]):
    """Makes a record of each piece of a line."""

    type: Any

    def output_type(self, takes: Any) -> Any:
        if takes is not str:
            raise ValueError(f"expected a table of `str`, got one of `{type_name(takes)}`")
        first, *others = fields_of(self.type).values()
        if first.kind != "str" or any(field.kind != "int" for field in others):
            raise ValueError(
                f"expected `str`, or a class whose first field is a `str` and whose others are "
                f"`int` (each gets 1), as type of the records, got `{type_name(self.type)}`"
            )
        return self.type


@attrs.frozen(init=False)
class Words(_TextPieces[R], Generic[R]):
    """The words of each line, as `str.split` makes them.

    Each becomes a `WordCount(word, 1)`, or a record of `type`: a `str`, or a class whose first
    field is the word and whose other fields are ints, which get 1.

    Args:
        separator: What stands between words; by default any white space. It is taken literally:
            `FindAll` takes a pattern.
        type: The type of the records.

    >>> import gaia
    >>> lines = gaia.Pipeline("p").from_records(["a b"], name="lines")
    >>> lines.map(gaia.ops.Words()), lines.map(gaia.ops.Words(",", type=str), name="cells")
    (PTable[WordCount]('words'), PTable[str]('cells'))
    """

    separator: str | None
    type: Any

    @overload
    def __init__(self: "Words[WordCount]", separator: str | None = None) -> None: ...

    @overload
    def __init__(self, separator: str | None = None, *, type: builtins.type[R]) -> None: ...

    def __init__(self, separator: str | None = None, *, type: Any = WordCount) -> None:
        self.__attrs_init__(separator, type)

    def output_type(self, takes: Any) -> Any:
        """See `NativeMapper.output_type`."""
        separator = self.separator
        if separator is not None and (not isinstance(separator, str) or not separator):
            raise ValueError(f"expected a separator of one character or more, got {separator!r}")
        if separator is not None and len(separator) > 1 and "\\" in separator:
            raise ValueError(
                f"expected a literal separator, got {separator!r}; for a pattern use "
                "gaia.ops.FindAll"
            )
        return super().output_type(takes)

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        return _core.Op("words", codec(takes), codec(gives), separator=self.separator)


@attrs.frozen(init=False)
class FindAll(_TextPieces[R], Generic[R]):
    r"""All matches of a pattern in each line, as `re.findall` finds them.

    The records are as those of `Words`. A pattern with one group gives what the group matched.
    Searching takes linear time, so there is no look-around and there are no back-references; the
    syntax is that of Rust's `regex` crate. There `\w` takes combining marks as well, where Python's
    takes letters, digits and `_`.

    >>> import gaia
    >>> lines = gaia.Pipeline("p").from_records(["a, b"], name="lines")
    >>> lines.map(gaia.ops.FindAll(r"\w+"))
    PTable[WordCount]('find_all')
    """

    pattern: str
    type: Any

    @overload
    def __init__(self: "FindAll[WordCount]", pattern: str) -> None: ...

    @overload
    def __init__(self, pattern: str, *, type: builtins.type[R]) -> None: ...

    def __init__(self, pattern: str, *, type: Any = WordCount) -> None:
        self.__attrs_init__(pattern, type)

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        return _core.Op("find_all", codec(takes), codec(gives), pattern=self.pattern)
