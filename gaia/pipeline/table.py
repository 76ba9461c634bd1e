"""PTable: a lazy handle on records."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar, overload

import attrs

from gaia._core import Batch
from gaia.errors import PipelineError, caller
from gaia.pipeline import signatures, wiring
from gaia.pipeline.graph import DEFAULT_BATCH, Call, Format, JoinInput, Node, Step, Write
from gaia.pipeline.names import label, type_name
from gaia.pipeline.native import NativeMapper
from gaia.pipeline.on_error import OnError, fail
from gaia.pipeline.operators import Context, Mapper
from gaia.pipeline.output import Output, check_table_name
from gaia.pipeline.records import record_type
from gaia.pipeline.signatures import UNKNOWN

if TYPE_CHECKING:
    from gaia.pipeline.pipeline import Pipeline

T = TypeVar("T")
U = TypeVar("U")


@attrs.frozen(eq=False, repr=False)
class PTable(Generic[T]):
    """A lazy handle on an unordered collection of records of type `T`.

    Nothing is read or computed until a runner runs the pipeline.
    """

    _pipeline: "Pipeline"
    _node: Node

    @property
    def name(self) -> str:
        """The name of the step that makes the table."""
        return self._node.name

    def __repr__(self) -> str:
        return f"PTable[{type_name(self._node.type)}]({self.name!r})"

    @overload
    def map(
        self,
        function: NativeMapper[T, U],
        *,
        name: str | None = None,
        version: str | int | None = None,
    ) -> "PTable[U]": ...

    @overload
    def map(
        self,
        function: type[Mapper[T, U]],
        *args: Any,
        name: str | None = None,
        version: str | int | None = None,
        batch_size: int = DEFAULT_BATCH,
        on_error: OnError = fail,
    ) -> "PTable[U]": ...

    @overload
    def map(
        self,
        function: Callable[[T], Any],
        *,
        name: str | None = None,
        version: str | int | None = None,
        output: type[U],
        on_error: OnError = fail,
    ) -> "PTable[U]": ...

    @overload
    def map(
        self,
        function: Callable[[T], U],
        *,
        name: str | None = None,
        version: str | int | None = None,
        on_error: OnError = fail,
    ) -> "PTable[U]": ...

    @overload
    def map(
        self,
        function: Callable[Concatenate[T, ...], Any],
        *args: Any,
        name: str | None = None,
        version: str | int | None = None,
        output: type[U],
        on_error: OnError = fail,
    ) -> "PTable[U]": ...

    @overload
    def map(
        self,
        function: Callable[Concatenate[T, ...], U],
        *args: Any,
        name: str | None = None,
        version: str | int | None = None,
        on_error: OnError = fail,
    ) -> "PTable[U]": ...

    def map(
        self,
        function: Callable[..., Any] | NativeMapper[Any, Any],
        *args: Any,
        name: str | None = None,
        version: str | int | None = None,
        output: Any = None,
        batch_size: int = DEFAULT_BATCH,
        on_error: OnError = fail,
        **keywords: Any,
    ) -> "PTable[Any]":
        """Passes every record through a `Mapper` class, a function of one record, or an operator
        of `gaia.ops`.

        Args:
            function: A subclass of `Mapper`, which is made anew for every task, a function that
                returns one record for each, or an operator such as `gaia.ops.Words()`.
            args: Arguments for the class, or further arguments for the function.
            name: The step's name; by default made from that of the class or function.
            version: Says what the step does, for a run that resumes: while it is the same, so is
                the step. By default the content of its code says that.
            output: The type of the records that come out, where annotations do not tell.
            batch_size: How many records `do_batch` gets at most.
            on_error: What a record does for which the function or `do` raises: `gaia.fail` stops
                the run, `gaia.skip()` leaves it out, `gaia.dead_letter(table)` also writes it to a
                table. Not for `do_batch` and operators, which take many records at once.

        Raises:
            PipelineError: The class or function does not fit the table or its arguments.

        >>> import gaia
        >>> def length(line: str) -> int:
        ...     return len(line)
        >>> gaia.Pipeline("p").from_records(["a", "bc"], name="lines").map(length)
        PTable[int]('length')
        """
        step = self._step_name(function, name)
        wiring.refuse_keywords(step, function, f"map({label(function)}, {{}})", keywords)
        wiring.check_batch_size(step, batch_size)
        wiring.check_made(step, function, NativeMapper)
        if isinstance(function, NativeMapper):
            if on_error is not fail:
                wiring.refuse_on_error(step, f"`{label(function)}`")
            return self._native(step, function, args, version)
        if isinstance(function, type) and issubclass(function, Mapper):
            wiring.check_mapper(step, function, args, self._node)
            batches = function.do_batch is not Mapper.do_batch
            method = function.do_batch if batches else function.do
            if output is None:
                output = signatures.type_argument(function, Mapper, 1)
            if output is UNKNOWN:
                output = signatures.written_type(method)
            if output is UNKNOWN:
                raise PipelineError(
                    f"cannot tell what `{label(function)}` writes; declare it as "
                    "gaia.Mapper[In, Out] or pass output=TYPE",
                    step=step,
                )
            wiring.check_writes(step, function, output, [method, function.on_shard_finish])
            if batches and on_error is not fail:
                wiring.refuse_on_error(step, f"`{label(method)}`")
            call = Call.DO_BATCH if batches else Call.DO
            return self._add(
                step, call, function, args, output, on_error, batch_size, version=version
            )
        wiring.check_function(step, function, self._node, args)
        if output is None:
            output = signatures.result_type(function)
            wiring.check_output(step, function, output)
        return self._add(step, Call.MAP, function, args, output, on_error, version=version)

    @overload
    def filter(
        self,
        function: Callable[[T], object],
        *,
        name: str | None = None,
        version: str | int | None = None,
        on_error: OnError = fail,
    ) -> "PTable[T]": ...

    @overload
    def filter(
        self,
        function: Callable[Concatenate[T, ...], object],
        *args: Any,
        name: str | None = None,
        version: str | int | None = None,
        on_error: OnError = fail,
    ) -> "PTable[T]": ...

    def filter(
        self,
        function: Callable[..., object],
        *args: Any,
        name: str | None = None,
        version: str | int | None = None,
        on_error: OnError = fail,
    ) -> "PTable[T]":
        """Keeps the records for which the function returns something true. `on_error` is as for
        `map`.

        >>> import gaia
        >>> numbers = gaia.Pipeline("p").from_records([1, 2, 3], name="numbers")
        >>> numbers.filter(lambda n: n > 1, name="larger")
        PTable[int]('larger')
        """
        step = self._step_name(function, name)
        wiring.check_function(step, function, self._node, args)
        return self._add(
            step, Call.FILTER, function, args, self._node.type, on_error, version=version
        )

    @overload
    def flat_map(
        self,
        function: Callable[[T], Iterable[Any]],
        *,
        name: str | None = None,
        version: str | int | None = None,
        output: type[U],
        on_error: OnError = fail,
    ) -> "PTable[U]": ...

    @overload
    def flat_map(
        self,
        function: Callable[[T], Iterable[U]],
        *,
        name: str | None = None,
        version: str | int | None = None,
        on_error: OnError = fail,
    ) -> "PTable[U]": ...

    @overload
    def flat_map(
        self,
        function: Callable[Concatenate[T, ...], Iterable[Any]],
        *args: Any,
        name: str | None = None,
        version: str | int | None = None,
        output: type[U],
        on_error: OnError = fail,
    ) -> "PTable[U]": ...

    @overload
    def flat_map(
        self,
        function: Callable[Concatenate[T, ...], Iterable[U]],
        *args: Any,
        name: str | None = None,
        version: str | int | None = None,
        on_error: OnError = fail,
    ) -> "PTable[U]": ...

    def flat_map(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        version: str | int | None = None,
        output: Any = None,
        on_error: OnError = fail,
    ) -> "PTable[Any]":
        """Passes every record through a function that returns or yields any number of records.
        `on_error` is as for `map`; what was yielded before an error stays.

        >>> import gaia
        >>> from collections.abc import Iterator
        >>> def words(line: str) -> Iterator[str]:
        ...     yield from line.split()
        >>> gaia.Pipeline("p").from_records(["a b"], name="lines").flat_map(words)
        PTable[str]('words')
        """
        step = self._step_name(function, name)
        wiring.check_function(step, function, self._node, args, generator=True)
        if output is None:
            returned = signatures.result_type(function)
            output = UNKNOWN if returned is UNKNOWN else signatures.item_type(returned)
            if output is UNKNOWN and returned is not UNKNOWN:
                raise PipelineError(
                    f"expected a function annotated to return an iterable of records, such as "
                    f"`Iterator[str]`, but `{label(function)}` returns `{type_name(returned)}`",
                    step=step,
                )
            wiring.check_output(step, function, output)
        return self._add(step, Call.FLAT_MAP, function, args, output, on_error, version=version)

    def as_(
        self, output: type[U], *, name: str | None = None, on_error: OnError | None = None
    ) -> "PTable[U]":
        """Re-reads records as another type.

        Text is read as a line of TXT: a class from tab-separated fields (or its own `from_text`),
        an `int` from its digits, a `dict` from JSON. A `dict` is read as a class by the names of
        its fields. Records that do not parse are counted as `parse-errors` and left out, unless
        `on_error` says otherwise, as for `map`.

        >>> import gaia
        >>> gaia.Pipeline("p").from_records(["1", "2"], name="lines").as_(int)
        PTable[int]('as_int')
        """
        name = self._step_name(output, name, prefix="as_")
        tp = self._node.type
        takes = record_type(tp).kind
        if takes not in ("str", "bytes", "json"):
            raise PipelineError(
                f"expected a table of str, bytes or dict, got one of `{type_name(tp)}`", step=name
            )
        wiring.check_type(name, output)
        if takes == "json" and record_type(output).from_dict is None:
            raise PipelineError(
                f"expected a class to read dicts as, got `{type_name(output)}`", step=name
            )
        return self._add(name, Call.AS, output, (), output, on_error)

    def write(self, name: str, format: Format) -> Output[T]:
        """Writes the table to a folder of that name. It is complete before a later stage reads it.

        Raises:
            PipelineError: The name is taken or cannot be a folder's.
        """
        if why := check_table_name(name):
            raise PipelineError(why, step=self.name)
        if not isinstance(format, Format):
            raise PipelineError(
                f"expected a format such as gaia.TXT, gaia.JSONL or gaia.ARROW, got {format!r}",
                step=f"write {name}",
            )
        if format is Format.WARC:
            raise PipelineError(
                "WARC can only be read; expected gaia.TXT or gaia.JSONL", step=f"write {name}"
            )
        if format is Format.PARQUET:
            wiring.check_pyarrow(f"write {name}", "gaia.PARQUET")
        wiring.check_format(f"write {name}", self._node.type, format)
        self._pipeline._add_write(Write(name, self._node, format, caller()))
        return Output(name, self._pipeline._writes)

    @overload
    def bind_with(self, handler: Callable[[Any, T, Context[Any]], None]) -> JoinInput: ...

    @overload
    def bind_with(
        self,
        handler: Callable[[Any, Batch[T], Context[Any]], None],
        *,
        batch_size: int = DEFAULT_BATCH,
    ) -> JoinInput: ...

    def bind_with(
        self, handler: Callable[[Any, Any, Context[Any]], None], *, batch_size: int | None = None
    ) -> JoinInput:
        """Names the joiner's method that takes this table's records, for `pipeline.join`.

        A method annotated to take a `gaia.Batch`, or bound with a `batch_size`, gets so many
        records at a time at most, in columns.
        """
        if batch_size is None and signatures.batch_type(handler) is not UNKNOWN:
            batch_size = DEFAULT_BATCH
        return JoinInput(self._pipeline.name, self._node, handler, caller(), batch_size)

    def _native(
        self,
        step: str,
        operator: NativeMapper[Any, Any],
        args: tuple[Any, ...],
        version: str | int | None,
    ) -> "PTable[Any]":
        if args:
            raise PipelineError(
                f"`{label(operator)}` takes its arguments itself, got {args!r} besides", step=step
            )
        try:
            output = operator.output_type(self._node.type)
            operator.core(self._node.type, output)
        except (ValueError, TypeError, OverflowError, NotImplementedError) as error:
            raise PipelineError(f"{label(operator)}: {error}", step=step) from None
        return self._add(step, Call.NATIVE, operator, (), output, fail, version=version)

    def _step_name(self, function: Any, name: str | None, prefix: str = "") -> str:
        return self._pipeline._step_name(name, prefix + snake_case(label(function)))

    def _add(
        self,
        name: str,
        call: Call,
        function: Any,
        args: tuple[Any, ...],
        output: Any,
        on_error: OnError | None,
        batch_size: int = DEFAULT_BATCH,
        version: str | int | None = None,
    ) -> "PTable[Any]":
        wiring.check_type(name, output)
        step = Step(
            name,
            self._node,
            call,
            function,
            args,
            output,
            caller(),
            batch_size,
            on_error,
            version=version,
        )
        self._pipeline._add_node(step)
        return PTable(self._pipeline, step)


def snake_case(name: str) -> str:
    """`WordSplitter` as `word_splitter`, `<lambda>` as `lambda`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("<>").replace(".", "_")).lower()
