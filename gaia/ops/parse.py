"""Lines to typed records: ParseCsv, ParseJson, Split."""

from typing import Any, TypeVar

import attrs

from gaia import _core
from gaia.pipeline.csv_format import check_delimiter, check_fields
from gaia.pipeline.names import type_name
from gaia.pipeline.native import NativeMapper
from gaia.pipeline.records import codec, record_type

T = TypeVar("T")


def _check_lines(takes: Any) -> None:
    if takes is not str:
        raise ValueError(f"expected a table of `str`, got one of `{type_name(takes)}`")


@attrs.frozen
class ParseCsv(NativeMapper[str, T]):
    """Reads each line as a row of CSV (RFC 4180), its fields in the order of the class's.

    An empty field is None where the class allows it, and `""` for a `str`; in quotes it is `""` for
    a `str | None`, too. A row that does not fit is counted as a parse error and left out. Rows are
    lines, so a quoted newline ends one: `read_csv` reads whole files of CSV.

    Args:
        type: The class of the records.
        delimiter: The character between fields.

    >>> import gaia
    >>> lines = gaia.Pipeline("p").read_text("words.csv", skip_header=True, name="lines")
    >>> lines.map(gaia.ops.ParseCsv(gaia.ops.WordCount))
    PTable[WordCount]('parse_csv')
    """

    type: type[T]
    delimiter: str = ","

    def output_type(self, takes: Any) -> Any:
        """See `NativeMapper.output_type`."""
        _check_lines(takes)
        check_fields(self.type)
        check_delimiter(self.delimiter)
        return self.type

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        return _core.Op("parse_csv", codec(takes), codec(gives), delimiter=self.delimiter)


@attrs.frozen
class Split(NativeMapper[str, T]):
    """Splits each line at a separator into the fields of a class, in their order.

    No quotes, no escapes: what stands between separators is the field. Otherwise as `ParseCsv`.

    >>> import gaia
    >>> lines = gaia.Pipeline("p").read_text("words.tsv", name="lines")
    >>> lines.map(gaia.ops.Split(gaia.ops.WordCount, separator="; "))
    PTable[WordCount]('split')
    """

    type: type[T]
    separator: str = "\t"

    def output_type(self, takes: Any) -> Any:
        """See `NativeMapper.output_type`."""
        _check_lines(takes)
        check_fields(self.type)
        if not isinstance(self.separator, str) or not self.separator:
            raise ValueError(
                f"expected a separator of one character or more, got {self.separator!r}"
            )
        return self.type

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        return _core.Op("split", codec(takes), codec(gives), separator=self.separator)


@attrs.frozen
class ParseJson(NativeMapper[str, T]):
    """Reads each line as a JSON object with the fields of a class, as `read_jsonl(type=T)` does.

    A line that does not parse is counted as a parse error and left out.

    >>> import gaia
    >>> lines = gaia.Pipeline("p").read_text("words.jsonl", name="lines")
    >>> lines.map(gaia.ops.ParseJson(gaia.ops.WordCount))
    PTable[WordCount]('parse_json')
    """

    type: type[T]

    def output_type(self, takes: Any) -> Any:
        """See `NativeMapper.output_type`."""
        _check_lines(takes)
        described = record_type(self.type)
        if described.kind != "class" or described.from_json is None:
            raise ValueError(f"expected a class that JSON can hold, got `{type_name(self.type)}`")
        return self.type

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """See `NativeMapper.core`."""
        json = _core.Codec(record_type(gives), "jsonl")
        return _core.Op("parse_json", codec(takes), json)
