"""A plan in words: `explain`, and the words that drawings of it use as well."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from gaia.pipeline.graph import (
    Call,
    Compression,
    Custom,
    Files,
    ModN,
    Records,
    StoredTable,
)
from gaia.pipeline.names import label, type_name
from gaia.pipeline.native import NativeJoiner, NativeMapper
from gaia.pipeline.on_error import Fail
from gaia.pipeline.plan import Branch, Input, Plan, Stage, Table

_VERBS = (Call.FILTER, Call.FLAT_MAP)


def explain(
    plan: Plan, about: Sequence[str] = (), notes: Mapping[str, Sequence[str]] | None = None
) -> str:
    """The plan as text; `about` are lines on the whole run, `notes` on its stages, by name."""
    tables = [table for stage in plan.stages for table in stage.tables()]
    lines = [
        f"pipeline {plan.pipeline}: {counted(len(plan.stages), 'stage')}, "
        f"{counted(len(tables), 'table')}",
        *(f"  {line}" for line in about),
    ]
    for number, stage in enumerate(plan.stages, 1):
        lines += ["", f"stage {number}: {stage.name}"]
        lines += [f"  {note}" for note in (notes or {}).get(stage.name, ())]
        lines.append(f"  {head(stage)} -> {type_name(stage.root.type)}")
        lines += [f"    <- {took(entry)}" for entry in stage.inputs]
        lines += [f"    {policy}" for policy in _on_error(stage.root)]
        lines += _explain_branch(stage.root, "    ")
        lines += [f"  write {table.name}: {written(table)}" for table in stage.letters]
    return "\n".join(lines)


def head(stage: Stage) -> str:
    """What a stage begins with: a read, or a join."""
    if stage.source is not None:
        return f"read {stage.name}: {_source(stage.source)}"
    assert stage.joiner is not None
    shards = counted(stage.shards or 0, "shard")
    return f"join {stage.name}: {_called(stage.joiner, stage.args)} over {shards}"


def did(branch: Branch) -> str:
    """What a step does."""
    assert branch.call is not None
    if branch.call is Call.AS:
        return f"as {branch.name}"
    verb = branch.call.value if branch.call in _VERBS else "map"
    return f"{verb} {branch.name}: {_called(branch.function, branch.args)}"


def _explain_branch(branch: Branch, indent: str) -> list[str]:
    lines = [f"{indent}write {table.name}: {written(table)}" for table in branch.tables]
    for child in branch.branches:
        lines.append(f"{indent}{did(child)} -> {type_name(child.type)}")
        lines += [f"{indent}  {policy}" for policy in _on_error(child)]
        lines += _explain_branch(child, indent + "  ")
    return lines


def _on_error(branch: Branch) -> list[str]:
    plain = branch.on_error is None or isinstance(branch.on_error, Fail)
    return [] if plain else [f"on error: {branch.on_error}"]


def took(entry: Input) -> str:
    """A table that a join reads, and the method that takes its records."""
    batches = "" if entry.batch_size is None else f", {entry.batch_size} records at a time"
    return entry.table if entry.handler is None else f"{entry.table} by {entry.handler}{batches}"


def _source(source: Files | Records | StoredTable) -> str:
    if isinstance(source, Records):
        return counted(len(source.records), "record")
    if isinstance(source, StoredTable):
        return f"table {source.path}"
    globs = [spec.glob for spec in source.specs]
    shown = ", ".join(globs[:3]) + (f" and {len(globs) - 3} more" if len(globs) > 3 else "")
    return f"{source.format.value} {shown}"


def written(table: Table) -> str:
    """How a table is written: its format, shards, combining and compression."""
    parts = [table.format.value]
    if isinstance(table.sharding, Custom):
        parts.append(f"shards named by {label(table.sharding.function)}")
    elif isinstance(table.sharding, ModN):
        key = table.sharding.key
        by = "record" if key is None else label(key) if callable(key) else ", ".join(key)
        parts.append(f"{counted(table.sharding.shards, 'shard')} by {by}")
    else:
        parts.append(f"{counted(table.shards or 0, 'shard')} of the input")
    if table.combine is not None:
        reduced = [
            f"{name}={how if isinstance(how, str) else label(how)}"
            for name, how in table.combine.aggregates
        ]
        parts.append(f"combined by {', '.join(table.combine.key)} ({', '.join(reduced)})")
    if table.max_shard_bytes is not None:
        parts.append(f"files of {table.max_shard_bytes / 1e6:g} MB at most")
    if table.compression is Compression.LZ4:
        parts.append("lz4")
    elif table.compression is not Compression.NONE:
        parts.append(f"{table.compression.value} {table.level}")
    return ", ".join(parts)


def _called(function: Any, args: tuple[Any, ...]) -> str:
    if isinstance(function, NativeMapper | NativeJoiner):
        return _operator(function)
    shown = []
    for arg in args:
        text = repr(arg)
        shown.append(text if len(text) <= 40 else f"{text[:37]}...")
    return f"{label(function)}({', '.join(shown)})"


def _operator(operator: Any) -> str:
    """An operator as it was made, without what it was not told."""
    shown = []
    for field in attrs.fields(type(operator)):
        value = getattr(operator, field.name)
        if isinstance(value, dict):
            shown += [f"{name}={label(v) if callable(v) else repr(v)}" for name, v in value.items()]
        elif isinstance(value, type):
            shown.append(type_name(value))
        elif value is not None:
            shown.append(f"{field.name}={value!r}" if field.kw_only else repr(value))
    return f"{label(operator)}({', '.join(shown)})"


def counted(number: int, what: str) -> str:
    """A number of things.

    >>> counted(1, "shard"), counted(64, "shard")
    ('1 shard', '64 shards')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
