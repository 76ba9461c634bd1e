"""Planning: from the graph to stages. Pure functions of frozen data."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from gaia.errors import PipelineError
from gaia.pipeline.graph import (
    DEFAULT_BATCH,
    Call,
    Combine,
    Compression,
    Custom,
    Files,
    Format,
    Join,
    ModN,
    Node,
    Records,
    Step,
    StoredTable,
    Write,
    source_of,
)
from gaia.pipeline.native import NativeJoiner, NativeMapper
from gaia.pipeline.on_error import DeadLetter, DeadLetters, OnError, fail
from gaia.pipeline.records import record_type

# Kinds whose equal values share a shard: 1, 1.0 and True; a str and its UTF-8 bytes.
_SAME_SHARD = {"bool": "int", "float": "int", "bytes": "str"}


@attrs.frozen
class Table:
    """A table that a stage writes. `shards` is None where their names are made by a function."""

    name: str
    type: Any
    format: Format
    sharding: ModN | Custom | None
    shards: int | None
    combine: Combine | None
    compression: Compression
    level: int
    max_shard_bytes: int | None


@attrs.frozen
class Branch:
    """A step of a stage with what hangs on it: the tables it is written to, and further steps.

    `call` is None for the head of a stage, whose records come from its source.
    """

    name: str
    type: Any
    call: Call | None
    function: Callable[..., Any] | NativeMapper[Any, Any] | None
    args: tuple[Any, ...]
    tables: tuple[Table, ...]
    branches: tuple["Branch", ...]
    batch_size: int = DEFAULT_BATCH
    on_error: OnError | None = fail
    version: str | int | None = None


@attrs.frozen
class Input:
    """A table that a join reads, and the name of the joiner's method that takes its records, or
    batches of them; a native joiner has none."""

    table: str
    handler: str | None
    type: Any
    batch_size: int | None = None


@attrs.frozen
class Stage:
    """What runs in one pass: a source, and the steps fused behind it.

    A read has a `source`; a join has `joiner`, `args`, `inputs` and `shards`. `letters` are the
    tables of records that failed.
    """

    name: str
    root: Branch
    source: Files | Records | StoredTable | None = None
    joiner: type | NativeJoiner[Any] | None = None
    args: tuple[Any, ...] = ()
    inputs: tuple[Input, ...] = ()
    shards: int | None = None
    letters: tuple[Table, ...] = ()
    version: str | int | None = None

    def tables(self) -> Iterator[Table]:
        """All tables that the stage writes."""
        for branch in walk(self.root):
            yield from branch.tables
        yield from self.letters


@attrs.frozen
class Plan:
    """The stages of a pipeline, in an order in which they can run."""

    pipeline: str
    stages: tuple[Stage, ...]


def walk(branch: Branch) -> Iterator[Branch]:
    """The branch and all below it, parents first."""
    yield branch
    for child in branch.branches:
        yield from walk(child)


def plan(pipeline: str, nodes: tuple[Node, ...], writes: Mapping[str, Write]) -> Plan:
    """Cuts the graph into stages.

    Nodes come in the order in which they were made, so every join follows its inputs. A source
    without any step or write behind it is left out.

    Raises:
        PipelineError: A write has no sharding where it needs one, or a join's inputs do not match.
    """
    for write in writes.values():
        shard_count(write, writes)
    stages = []
    for node in nodes:
        if isinstance(node, Step):
            continue
        root = _branch(node, nodes, writes)
        if isinstance(node, Join):
            inputs = check_join(node, writes)
            stages.append(
                Stage(
                    name=node.name,
                    root=root,
                    joiner=node.joiner,
                    args=node.args,
                    inputs=tuple(
                        Input(
                            write.name,
                            bound.handler and bound.handler.__name__,
                            bound.node.type,
                            bound.batch_size,
                        )
                        for bound, write in zip(node.inputs, inputs, strict=True)
                    ),
                    shards=shard_count(inputs[0], writes),
                    letters=_letters(root),
                    version=node.version,
                )
            )
        elif root.tables or root.branches:
            stages.append(Stage(node.name, root, source=node.source, letters=_letters(root)))
    return Plan(pipeline, tuple(stages))


def check_written(nodes: tuple[Node, ...], writes: Mapping[str, Write]) -> None:
    """Refuses to run what leaves nothing behind.

    Joiners of Python may be there for what they count; a native one counts nothing.

    Raises:
        PipelineError: No table is written, or nothing takes the result of a native joiner.
    """
    letters = any(isinstance(node.on_error, DeadLetters) for node in nodes)
    if not writes and not letters:
        raise PipelineError("nothing is written: call .write(name, format) on a table")
    used = {write.node for write in writes.values()}
    used |= {node.parent for node in nodes if isinstance(node, Step)}
    for node in nodes:
        if isinstance(node, Join) and isinstance(node.joiner, NativeJoiner) and node not in used:
            raise PipelineError(
                f"the result of `{node.name}` is not written: call .write(name, format) on it",
                location=node.location,
            )


def check_join(join: Join, writes: Mapping[str, Write]) -> list[Write]:
    """The written tables that a join reads, one for each of its inputs.

    Raises:
        PipelineError: An input is not written by number of shard, or the numbers differ.
    """
    chosen = []
    for bound in join.inputs:
        written = [write for write in writes.values() if write.node is bound.node]
        if not written:
            raise PipelineError(
                f"expected written tables as inputs, but `{bound.node.name}` is not written; "
                "call its .write(name, format).with_mod_n_sharding(n, key) before the join",
                step=join.name,
                location=bound.location,
            )
        counted = [write for write in written if not isinstance(write.sharding, Custom)]
        if not counted:
            raise PipelineError(
                f"expected inputs sharded by number, but table `{written[0].name}` has custom "
                "shards; write it once more with_mod_n_sharding(n, key)",
                step=join.name,
                location=bound.location,
            )
        if len({(write.sharding, shard_count(write, writes)) for write in counted}) > 1:
            names = ", ".join(f"`{write.name}`" for write in counted)
            raise PipelineError(
                f"expected one way in which `{bound.node.name}` is sharded by number, but it is "
                f"written as {names}; write the other one from a table of its own, such as "
                ".filter(lambda record: True)",
                step=join.name,
                location=bound.location,
            )
        chosen.append(counted[0])
    counts = {write.name: shard_count(write, writes) for write in chosen}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"`{name}` has {count}" for name, count in counts.items())
        raise PipelineError(
            f"expected inputs with the same number of shards, but {shown}",
            step=join.name,
            location=join.location,
        )
    kinds = {write.name: kinds for write in chosen if (kinds := _key_kinds(write)) is not None}
    if len(set(kinds.values())) > 1:
        shown = ", ".join(f"that of `{name}` is {', '.join(kind)}" for name, kind in kinds.items())
        raise PipelineError(
            f"expected inputs sharded by keys of one type, but {shown}: equal keys would not meet",
            step=join.name,
            location=join.location,
        )
    return chosen


def kept(write: Write, writes: Mapping[str, Write]) -> tuple[Write, Node | None]:
    """The write that last sharded the records of a table, which may be this one; and the user code
    behind it that may have changed the fields by which it did, if there is any."""
    if write.sharding is not None:
        return write, None
    node = write.node
    while isinstance(node, Step) and node.call is Call.FILTER:
        node = node.parent
    source = source_of(node)
    if not isinstance(source, Join):
        return write, None  # Files have the shards that their reader says.
    before, changed = kept(check_join(source, writes)[0], writes)
    if isinstance(node, Join) and isinstance(node.joiner, NativeJoiner):
        return before, changed
    return before, node


def _key_kinds(write: Write) -> tuple[str, ...] | None:
    """What kinds of value a table is sharded by, where that is known before it is written."""
    if not isinstance(write.sharding, ModN) or callable(write.sharding.key):
        return None
    described = record_type(write.node.type)
    if write.sharding.key is None:
        return (_SAME_SHARD.get(described.kind, described.kind),)
    kinds = {field.name: _SAME_SHARD.get(field.kind, field.kind) for field in described.fields}
    found = tuple(kinds[name] for name in write.sharding.key)
    return None if "via" in found else found


def shard_count(write: Write, writes: Mapping[str, Write]) -> int | None:
    """How many shards a table gets; None where a function names them.

    Raises:
        PipelineError: The table has no sharding, and no shards of its input to keep.
    """
    if isinstance(write.sharding, ModN):
        return write.sharding.shards
    if isinstance(write.sharding, Custom):
        return None
    source = source_of(write.node)
    if isinstance(source, Join):
        return shard_count(check_join(source, writes)[0], writes)
    if isinstance(source.source, Files):
        numbers = [spec.shard for spec in source.source.specs]
        if None not in numbers:
            return 1 + max(number for number in numbers if number is not None)
    raise PipelineError(
        f"expected a sharding for table `{write.name}`, whose input `{source.name}` has no shards "
        "to keep; add .with_mod_n_sharding(n, key) or .with_custom_sharding(function)",
        step=f"write {write.name}",
        location=write.location,
    )


def _branch(node: Node, nodes: tuple[Node, ...], writes: Mapping[str, Write]) -> Branch:
    tables = tuple(
        Table(
            name=write.name,
            type=node.type,
            format=write.format,
            sharding=write.sharding,
            shards=shard_count(write, writes),
            combine=write.combine,
            compression=write.compression,
            level=write.level,
            max_shard_bytes=write.max_shard_bytes,
        )
        for write in writes.values()
        if write.node is node
    )
    children = [step for step in nodes if isinstance(step, Step) and step.parent is node]
    branches = tuple(_branch(child, nodes, writes) for child in children)
    if isinstance(node, Step):
        return Branch(
            name=node.name,
            type=node.type,
            call=node.call,
            function=node.function,
            args=node.args,
            tables=tables,
            branches=branches,
            batch_size=node.batch_size,
            on_error=node.on_error,
            version=node.version,
        )
    return Branch(node.name, node.type, None, None, (), tables, branches, on_error=node.on_error)


def _letters(root: Branch) -> tuple[Table, ...]:
    """The tables of dead letters of a stage."""
    policies = [branch.on_error for branch in walk(root)]
    shards = {policy.table: policy.shards for policy in policies if isinstance(policy, DeadLetters)}
    return tuple(
        Table(
            name=name,
            type=DeadLetter,
            format=Format.JSONL,
            sharding=ModN(count, ("file", "position")),
            shards=count,
            combine=None,
            compression=Compression.NONE,
            level=0,
            max_shard_bytes=None,
        )
        for name, count in shards.items()
    )
