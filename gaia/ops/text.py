"""Operators on a text field: Grep, Replace, Lower."""

from typing import Any, TypeVar

import attrs

from gaia import _core
from gaia.pipeline.aggregates import field_named, field_numbers, fields_of
from gaia.pipeline.names import type_name
from gaia.pipeline.native import NativeMapper
from gaia.pipeline.records import codec

R = TypeVar("R")


def _text_field(tp: Any, field: str | None) -> str:
    """The field to work on: the one named, or the only `str`."""
    if field is not None:
        if field_named(tp, field).kind != "str":
            raise ValueError(f"expected a field that is `str`, got {field!r}")
        return field
    texts = [name for name, found in fields_of(tp).items() if found.kind == "str"]
    if len(texts) != 1:
        raise ValueError(
            f"expected field= to tell which field of `{type_name(tp)}` to work on: "
            f"{', '.join(texts) or 'none is a str'}"
        )
    return texts[0]


def _number(tp: Any, field: str | None) -> int:
    return field_numbers(tp, (_text_field(tp, field),))[0]


@attrs.frozen
class Grep(NativeMapper[R, R]):
    """Keeps the records in whose text a pattern is found (see `FindAll` for its syntax).

    Args:
        pattern: What to search for.
        field: In which field; by default the record itself, or its only `str`.

    >>> import gaia
    >>> lines = gaia.Pipeline("p").from_records(["ok", "error 7"], name="lines")
    >>> lines.map(gaia.ops.Grep("error [0-9]+"))
    PTable[str]('grep')
    """

    pattern: str
    field: str | None = attrs.field(default=None, kw_only=True)

    def output_type(self, takes: Any) -> Any:
        """See `NativeMapper.output_type`."""
        _text_field(takes, self.field)
        return takes

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        field = _number(takes, self.field)
        return _core.Op("grep", codec(takes), codec(gives), pattern=self.pattern, field=field)


@attrs.frozen
class Replace(NativeMapper[R, R]):
    r"""Replaces all matches of a pattern in a text, as `re.sub` does.

    The replacement may name groups: `\1`, `\g<name>`. See `FindAll` for the syntax of patterns, and
    `Grep` for `field`.

    >>> import gaia
    >>> lines = gaia.Pipeline("p").from_records(["card 1234"], name="lines")
    >>> lines.map(gaia.ops.Replace("[0-9]+", "#"))
    PTable[str]('replace')
    """

    pattern: str
    replacement: str
    field: str | None = attrs.field(default=None, kw_only=True)

    def output_type(self, takes: Any) -> Any:
        """See `NativeMapper.output_type`."""
        _text_field(takes, self.field)
        return takes

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        return _core.Op(
            "replace",
            codec(takes),
            codec(gives),
            pattern=self.pattern,
            replacement=self.replacement,
            field=_number(takes, self.field),
        )


@attrs.frozen
class Lower(NativeMapper[R, R]):
    """A text in lower case, as `str.lower` has it. See `Grep` for `field`.

    >>> import gaia
    >>> lines = gaia.Pipeline("p").from_records(["To Be"], name="lines")
    >>> lines.map(gaia.ops.Lower()).map(gaia.ops.Words())
    PTable[WordCount]('words')
    """

    field: str | None = None

    def output_type(self, takes: Any) -> Any:
        """See `NativeMapper.output_type`."""
        _text_field(takes, self.field)
        return takes

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        return _core.Op("lower", codec(takes), codec(gives), field=_number(takes, self.field))
