"""What CSV can hold."""

from typing import Any

from gaia.pipeline.names import type_name
from gaia.pipeline.records import record_type

_SINGLE = ("str", "int", "float", "bool")


def check_fields(tp: Any) -> None:
    """Refuses a class without fields, or with one of which no text stands for every value.

    Raises:
        ValueError: It is such a class, or none at all.
    """
    described = record_type(tp)
    if described.kind != "class" or not described.fields:
        raise ValueError(f"expected a class with fields, got `{type_name(tp)}`")
    for field in described.fields:
        if field.kind in ("json", "bytes"):
            raise ValueError(
                f"field `{field.name}` of `{type_name(tp)}` is `{type_name(field.type)}`; expected "
                "str, int, float, bool, date, datetime or Enum"
            )


def check_type(tp: Any) -> None:
    """As `check_fields`, of records that may be single values, too.

    Raises:
        ValueError: CSV cannot hold them.
    """
    if record_type(tp).kind not in _SINGLE:
        check_fields(tp)


def check_delimiter(delimiter: Any) -> None:
    """Refuses what cannot stand between the fields of CSV.

    Raises:
        ValueError: It is such.
    """
    if not (isinstance(delimiter, str) and len(delimiter) == 1 and delimiter.isascii()):
        raise ValueError(f"expected an ASCII character as delimiter, got {delimiter!r}")
    if delimiter in '"\r\n':
        raise ValueError(f"{delimiter!r} cannot be the delimiter of CSV")
