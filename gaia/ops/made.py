"""Record classes that operators make where the user names none."""

from typing import Any

import attrs


def made_class(name: str, fields: dict[str, Any]) -> type:
    """An attrs class with these fields. Equal fields give the same class, as long as the program
    runs."""
    key = (name, tuple(fields.items()))
    found = _made.get(key)
    if found is None:
        made = {field: attrs.field(type=tp) for field, tp in fields.items()}
        found = _made[key] = attrs.make_class(name, made, slots=True)
        found.__module__ = __name__
    return found


_made: dict[tuple[Any, ...], type] = {}
