"""Checks of user code when it is wired into the graph. Each raises `PipelineError`."""

import importlib.util
from typing import Any, NoReturn

from gaia.errors import PipelineError
from gaia.pipeline import csv_format, signatures
from gaia.pipeline.aggregates import fields_of
from gaia.pipeline.graph import Format, ModN, Node, Write
from gaia.pipeline.names import UnsupportedTypeError, label, type_name
from gaia.pipeline.operators import Joiner, Mapper, Operator
from gaia.pipeline.records import record_type
from gaia.pipeline.signatures import UNKNOWN, accepts, misfit, parameter_types
from gaia.pipeline.travel import dumps


def check_type(step: str, tp: Any) -> None:
    """Refuses a type that no table can hold."""
    try:
        record_type(tp)
    except UnsupportedTypeError as error:
        raise PipelineError(str(error), step=step) from None


def check_format(step: str, tp: Any, format: Format) -> None:
    """Refuses JSON and columns for a class that has only a text of its own, and CSV for what it
    cannot hold."""
    if format is Format.CSV:
        try:
            csv_format.check_type(tp)
        except ValueError as error:
            raise PipelineError(
                f"CSV cannot hold `{type_name(tp)}`: {error}; use gaia.JSONL or gaia.TXT", step=step
            ) from None
    elif format is not Format.TXT and record_type(tp).from_json is None:
        holds = "JSON" if format is Format.JSONL else "columns"
        raise PipelineError(
            f"expected fields that {holds} can hold, but `{type_name(tp)}` has only its own text; "
            "use gaia.TXT",
            step=step,
        )


def check_pyarrow(step: str, what: str) -> None:
    """Refuses Parquet where pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise PipelineError(f"{what} needs pyarrow: pip install 'gaia-mr[arrow]'", step=step)


def check_travels(step: str, user_code: Any, args: tuple[Any, ...]) -> None:
    """Refuses what cannot be pickled: workers get user code and its arguments that way."""
    try:
        dumps((user_code, args))
    except Exception as error:
        raise PipelineError(
            f"`{label(user_code)}` and its arguments cannot be sent to workers: {error}; "
            "open files, locks and connections in `setup` instead",
            step=step,
        ) from None


def check_function(
    step: str,
    function: Any,
    node: Node,
    args: tuple[Any, ...] = (),
    *,
    what: str = "the function",
    generator: bool = False,
) -> None:
    """Refuses what is no function of one of a node's records and further arguments."""
    if isinstance(function, type) and issubclass(function, Joiner):
        raise PipelineError(
            f"expected a Mapper class or a function, got the Joiner `{type_name(function)}`; "
            "a joiner goes to pipeline.join",
            step=step,
        )
    if isinstance(function, Mapper):
        name = type_name(type(function))
        raise PipelineError(
            f"expected the class `{name}`, got one that is made already; pass the class and its "
            f"arguments: map({name}, ...)",
            step=step,
        )
    if not callable(function):
        raise PipelineError(f"expected a function of the record, got {function!r}", step=step)
    if isinstance(function, type) and callable(getattr(function, "do", None)):
        raise PipelineError(
            f"`{type_name(function)}` has a `do` but is no subclass of gaia.Mapper", step=step
        )
    if signatures.is_coroutine(function):
        raise PipelineError(
            f"expected an ordinary function, but `{label(function)}` is asynchronous; a run has no "
            "event loop",
            step=step,
        )
    if signatures.is_generator(function) and not generator:
        raise PipelineError(
            f"`{label(function)}` is a generator; give it to flat_map, or return a record",
            step=step,
        )
    if why := misfit(function, [node.type, *map(type, args)]):
        raise PipelineError(f"{what} {why}", step=step)
    if not isinstance(function, type):
        check_takes(step, f"`{label(function)}`", parameter_types(function)[:1], node)


def check_mapper(step: str, cls: type[Mapper[Any, Any]], args: tuple[Any, ...], node: Node) -> None:
    """Refuses a Mapper without a usable `do`, or one that does not take a node's records."""
    name = type_name(cls)
    if cls.do is Mapper.do and cls.do_batch is Mapper.do_batch:
        raise PipelineError(
            f"expected a Mapper with a method `do(self, record, ctx)` or "
            f"`do_batch(self, batch, ctx)`, but `{name}` defines none",
            step=step,
        )
    check_hooks(step, cls)
    check_constructor(step, cls, args)
    hints = [signatures.type_argument(cls, Mapper, 0)]
    if cls.do_batch is not Mapper.do_batch:
        check_method(step, f"{name}.do_batch", cls.do_batch)
        check_columns(step, node.type)
        hints += [signatures.batch_type(cls.do_batch)]
        check_takes(step, f"`{name}.do_batch`", hints, node)
    else:
        check_method(step, f"{name}.do", cls.do)
        check_takes(step, f"`{name}.do`", hints + parameter_types(cls.do, bound=True)[:1], node)


def check_method(step: str, name: str, method: Any, location: str = "") -> None:
    """Refuses a method that is not one of a record and a context."""
    if signatures.is_generator(method) or signatures.is_coroutine(method):
        raise PipelineError(
            f"`{name}` is a generator or asynchronous, which nothing would run; "
            "call ctx.write(record)",
            step=step,
            location=location,
        )
    if signatures.result_type(method) not in (UNKNOWN, None, type(None), Any):
        raise PipelineError(
            f"expected `{name}` to return nothing, but it is annotated to return "
            f"`{type_name(signatures.result_type(method))}`, which would be lost; "
            "call ctx.write(record)",
            step=step,
            location=location,
        )
    if misfit(method, [None, None, None]):
        raise PipelineError(
            f"expected a method `{name.rpartition('.')[2]}(self, record, ctx)`, got "
            f"`{name}{signatures.shown(method)}`",
            step=step,
            location=location,
        )


def check_hooks(step: str, cls: type) -> None:
    """Refuses hooks that could not be called, and a method that looks like a hook and is none."""
    for name, arguments in (("setup", 1), ("on_shard_start", 2), ("on_shard_finish", 1)):
        hook = getattr(cls, name)
        if signatures.is_generator(hook) or signatures.is_coroutine(hook):
            raise PipelineError(
                f"`{label(hook)}` is a generator or asynchronous, which nothing would run; "
                "call ctx.write(record)",
                step=step,
            )
        if why := misfit(hook, [None] * (arguments + 1)):
            wanted = signatures.shown(getattr(Operator, name))
            raise PipelineError(f"expected `{name}{wanted}`, but {why}", step=step)
    for name in dir(cls):
        if name.startswith("on_shard_") and not hasattr(Operator, name):
            raise PipelineError(
                f"`{type_name(cls)}.{name}` is no hook; expected on_shard_start or on_shard_finish",
                step=step,
            )


def check_writes(step: str, cls: type, declared: Any, hooks: list[Any]) -> None:
    """Refuses hooks whose context takes other records than the class declares to write."""
    for hook in hooks:
        written = signatures.written_type(hook)
        if written is not UNKNOWN and not accepts(written, declared):
            raise PipelineError(
                f"`{label(hook)}` has a `Context[{type_name(written)}]`, but `{type_name(cls)}` is "
                f"declared to write `{type_name(declared)}`",
                step=step,
            )


def check_user_function(step: str, function: Any, node: Node, what: str) -> None:
    """Refuses what is no function of one of a node's records, or cannot be sent to workers."""
    check_function(step, function, node, what=what)
    check_travels(step, function, ())


def check_made(step: str, operator: Any, base: type) -> None:
    """Refuses the class of a native operator in place of one that is made."""
    if isinstance(operator, type) and issubclass(operator, base):
        name = type_name(operator)
        raise PipelineError(
            f"expected an operator with its arguments, `{name}(...)`, got the class `{name}`",
            step=step,
        )


def check_meeting(
    step: str,
    joiner: str,
    keys: tuple[str, ...] | None,
    writes: list[Write],
    sharded: list[tuple[Write, Node | None]],
) -> None:
    """Refuses tables that are not sharded by the fields on which records have to meet.

    `sharded` tells for each which write has sharded its records, and what may have changed these
    fields since: only native joiners and filters are known to keep them.
    """
    for write, (origin, changed) in zip(writes, sharded, strict=True):
        sharding = origin.sharding
        if keys and changed and isinstance(sharding, ModN) and sharding.shards > 1:
            shown = f'"{keys[0]}"' if len(keys) == 1 else keys
            raise PipelineError(
                f"`{joiner}` works by `{', '.join(keys)}`, but table `{write.name}` keeps the "
                f"shards that `{origin.name}` had before `{changed.name}`, which may have changed "
                f"that: equal keys would be in different shards; shard `{write.name}` anew with "
                f".with_mod_n_sharding({sharding.shards}, {shown})",
                step=step,
                location=write.location,
            )
        if keys is None or not isinstance(sharding, ModN) or not isinstance(sharding.key, tuple):
            continue
        others = [name for name in sharding.key if name not in keys]
        if others and sharding.shards > 1:
            raise PipelineError(
                f"`{joiner}` works by `{', '.join(keys)}`, but table `{write.name}` is sharded by "
                f"`{', '.join(sharding.key)}`: equal keys would be in different shards; "
                f"shard it by `{keys[0]}`",
                step=step,
            )


def check_batch_size(step: str, batch_size: int | None) -> None:
    """Refuses what is no number of records."""
    if batch_size is not None and (type(batch_size) is not int or not 1 <= batch_size < 2**31):
        raise PipelineError(
            f"expected a batch_size of 1 record or more (and below 2^31), got {batch_size!r}",
            step=step,
        )


def refuse_on_error(step: str, what: str) -> NoReturn:
    """Refuses `on_error` where records are taken many at once."""
    raise PipelineError(
        f"on_error is for steps that take records one by one, but {what} takes many at once, of "
        "which one that fails cannot be told; use a function or `do`",
        step=step,
    )


def check_columns(step: str, tp: Any) -> None:
    """Refuses records that have no columns."""
    try:
        fields_of(tp)
    except ValueError as error:
        raise PipelineError(str(error), step=step) from None


def check_constructor(step: str, cls: type, args: tuple[Any, ...]) -> None:
    """Refuses arguments that the class does not take."""
    if why := misfit(cls, [*map(type, args)]):
        wanted = signatures.required(cls)
        hint = ""
        if len(args) < len(wanted):
            them = "it" if len(wanted) == 1 else "them"
            behind = "map(" if issubclass(cls, Mapper) else "join("
            inputs = "" if issubclass(cls, Mapper) else "[...], "
            call = f"{behind}{type_name(cls)}, {inputs}{', '.join(wanted)})"
            hint = f"; pass {them} after the {'class' if not inputs else 'inputs'}: {call}"
        raise PipelineError(f"the class {why}{hint}", step=step)


def refuse_keywords(step: str, function: Any, call: str, keywords: dict[str, Any]) -> None:
    """Refuses arguments for user code that were given by name."""
    if keywords:
        values = ", ".join(map(repr, keywords.values()))
        raise PipelineError(
            f"expected arguments for `{label(function)}` by position, {call.format(values)}, "
            f"got {', '.join(f'{name}=' for name in keywords)}",
            step=step,
        )


def check_takes(step: str, what: str, hints: list[Any], node: Node, location: str = "") -> None:
    """Refuses user code that is annotated to take other records than a node's."""
    for hint in hints:
        if not accepts(hint, node.type):
            raise PipelineError(
                f"{what} takes `{type_name(hint)}`, but table `{node.name}` holds "
                f"`{type_name(node.type)}`",
                step=step,
                location=location,
            )


def check_output(step: str, function: Any, output: Any) -> None:
    """Refuses a function whose result's type is not known, or is None."""
    if output is UNKNOWN:
        raise PipelineError(
            f"expected a function with an annotated result, got `{label(function)}` without one; "
            "annotate it or pass output=TYPE",
            step=step,
        )
    if output in (None, type(None)):
        raise PipelineError(
            f"expected a function that returns a record, but `{label(function)}` is annotated to "
            "return None; use a Mapper, filter or flat_map",
            step=step,
        )
