"""PTable: a lazy handle on records."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import attrs

from gaia.errors import PipelineError, caller
from gaia.pipeline import signatures
from gaia.pipeline.graph import Call, Format, JoinInput, Node, Step, Write
from gaia.pipeline.operators import Context, Joiner, Mapper
from gaia.pipeline.output import Output, check_table_name
from gaia.pipeline.records import UnsupportedTypeError, is_generator, record_type, type_name
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
        function: type[Mapper[T, U]],
        *args: Any,
        name: str | None = None,
        output: None = None,
    ) -> "PTable[U]": ...

    @overload
    def map(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        output: type[U],
    ) -> "PTable[U]": ...

    @overload
    def map(
        self,
        function: Callable[[T], U],
        *args: Any,
        name: str | None = None,
        output: None = None,
    ) -> "PTable[U]": ...

    def map(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        output: Any = None,
    ) -> "PTable[Any]":
        """Passes every record through a `Mapper` class, or a function of one record.

        Args:
            function: A subclass of `Mapper`, which is made anew for every task, or a function that
                returns one record for each.
            args: Arguments for the class, or further arguments for the function.
            name: The step's name; by default made from that of the class or function.
            output: The type of the records that come out, where annotations do not tell.

        Raises:
            PipelineError: The class or function does not fit the table or its arguments.

        >>> import gaia
        >>> def length(line: str) -> int:
        ...     return len(line)
        >>> gaia.Pipeline("p").from_records(["a", "bc"], name="lines").map(length)
        PTable[int]('length')
        """
        if isinstance(function, type) and issubclass(function, Mapper):
            return self._map_class(function, args, name, output)
        name = self._step_name(function, name)
        if isinstance(function, type) and issubclass(function, Joiner):
            raise PipelineError(
                f"expected a Mapper class or a function, got the Joiner `{type_name(function)}`; "
                "a joiner goes to pipeline.join",
                step=name,
            )
        if isinstance(function, type) and callable(getattr(function, "do", None)):
            raise PipelineError(
                f"`{type_name(function)}` has a `do` but is no subclass of gaia.Mapper", step=name
            )
        self._check_function(name, function, args)
        if output is None:
            output = signatures.result_type(function)
            if output is type(None):
                raise PipelineError(
                    f"expected a function that returns a record, but `{_label(function)}` is "
                    "annotated to return None; use a Mapper, filter or flat_map",
                    step=name,
                )
            self._need_output(name, function, output)
        return self._add(name, Call.MAP, function, args, output)

    def filter(
        self, function: Callable[..., object], *args: Any, name: str | None = None
    ) -> "PTable[T]":
        """Keeps the records for which the function returns something true.

        >>> import gaia
        >>> numbers = gaia.Pipeline("p").from_records([1, 2, 3], name="numbers")
        >>> numbers.filter(lambda n: n > 1, name="larger")
        PTable[int]('larger')
        """
        name = self._step_name(function, name)
        self._check_function(name, function, args)
        return self._add(name, Call.FILTER, function, args, self._node.type)

    @overload
    def flat_map(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        output: type[U],
    ) -> "PTable[U]": ...

    @overload
    def flat_map(
        self,
        function: Callable[[T], Iterable[U]],
        *args: Any,
        name: str | None = None,
        output: None = None,
    ) -> "PTable[U]": ...

    def flat_map(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        output: Any = None,
    ) -> "PTable[Any]":
        """Passes every record through a function that returns or yields any number of records.

        >>> import gaia
        >>> from collections.abc import Iterator
        >>> def words(line: str) -> Iterator[str]:
        ...     yield from line.split()
        >>> gaia.Pipeline("p").from_records(["a b"], name="lines").flat_map(words)
        PTable[str]('words')
        """
        name = self._step_name(function, name)
        self._check_function(name, function, args, generator=True)
        if output is None:
            returned = signatures.result_type(function)
            output = UNKNOWN if returned is UNKNOWN else signatures.item_type(returned)
            if output is UNKNOWN and returned is not UNKNOWN:
                raise PipelineError(
                    f"expected a function annotated to return an iterable of records, such as "
                    f"`Iterator[str]`, but `{_label(function)}` returns `{type_name(returned)}`",
                    step=name,
                )
            self._need_output(name, function, output)
        return self._add(name, Call.FLAT_MAP, function, args, output)

    def as_(self, output: type[U], *, name: str | None = None) -> "PTable[U]":
        """Re-reads records as another type.

        Text is read as a line of TXT: a class from tab-separated fields (or its own `from_text`),
        an `int` from its digits, a `dict` from JSON. A `dict` is read as a class by the names of
        its fields. Records that do not parse are counted as `parse-errors` and left out.

        >>> import gaia
        >>> gaia.Pipeline("p").from_records(["1", "2"], name="lines").as_(int)
        PTable[int]('as_int')
        """
        name = self._step_name(output, name, prefix="as_")
        tp = self._node.type
        if record_type(tp).kind not in ("str", "bytes", "json"):
            raise PipelineError(
                f"expected a table of str, bytes or dict, got one of `{type_name(tp)}`", step=name
            )
        return self._add(name, Call.AS, output, (), output)

    def write(self, name: str, format: Format) -> Output[T]:
        """Writes the table to a folder of that name. It is complete before a later stage reads it.

        Raises:
            PipelineError: The name is taken or cannot be a folder's.
        """
        if why := check_table_name(name):
            raise PipelineError(why, step=self.name)
        if not isinstance(format, Format):
            raise PipelineError(
                f"expected a format, gaia.TXT or gaia.JSONL, got {format!r}", step=f"write {name}"
            )
        self._pipeline._add_write(Write(name, self._node, format, caller()))
        return Output(name, self._pipeline._writes)

    def bind_with(self, handler: Callable[[Any, T, Context[Any]], None]) -> JoinInput:
        """Names the joiner's method that takes this table's records, for `pipeline.join`."""
        return JoinInput(self._node, handler, caller())

    def _map_class(
        self, cls: type[Mapper[Any, Any]], args: tuple[Any, ...], name: str | None, output: Any
    ) -> "PTable[Any]":
        name = self._step_name(cls, name)
        label = type_name(cls)
        if cls.do is Mapper.do:
            raise PipelineError(
                f"expected a Mapper with a method `do(self, record, ctx)`, but `{label}` "
                "defines none",
                step=name,
            )
        if is_generator(cls.do):
            raise PipelineError(
                f"`{label}.do` is a generator, which nothing would iterate; "
                "call ctx.write(record), or give a generator function to flat_map",
                step=name,
            )
        if why := signatures.misfit(cls.do, (None, None, None), "the method"):
            raise PipelineError(why, step=name)
        if why := signatures.misfit(cls, args, "the class"):
            raise PipelineError(why, step=name)
        takes = [signatures.type_argument(cls, Mapper, 0)]
        takes += signatures.parameter_types(cls.do, bound=True)[:1]
        self._check_takes(name, f"`{label}.do`", takes)
        if output is None:
            output = signatures.type_argument(cls, Mapper, 1)
            if output is UNKNOWN:
                output = signatures.written_type(cls.do)
            if output is UNKNOWN:
                raise PipelineError(
                    f"cannot tell what `{label}` writes; declare it as gaia.Mapper[In, Out] or "
                    "pass output=TYPE",
                    step=name,
                )
        return self._add(name, Call.DO, cls, args, output)

    def _check_function(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        generator: bool = False,
    ) -> None:
        if not callable(function):
            raise PipelineError(f"expected a function, got {function!r}", step=name)
        if is_generator(function) and not generator:
            raise PipelineError(
                f"`{_label(function)}` is a generator or coroutine; give a generator to flat_map",
                step=name,
            )
        if why := signatures.misfit(function, (None, *args), "the function"):
            raise PipelineError(why, step=name)
        if not isinstance(function, type):
            takes = signatures.parameter_types(function)[:1]
            self._check_takes(name, f"`{_label(function)}`", takes)

    def _check_takes(self, name: str, what: str, takes: list[Any]) -> None:
        for hint in takes:
            if not signatures.accepts(hint, self._node.type):
                raise PipelineError(
                    f"{what} takes `{type_name(hint)}`, but table `{self.name}` holds "
                    f"`{type_name(self._node.type)}`",
                    step=name,
                )

    def _need_output(self, name: str, function: Callable[..., Any], output: Any) -> None:
        if output is UNKNOWN:
            raise PipelineError(
                f"expected a function with an annotated result, got `{_label(function)}` "
                "without one; annotate it or pass output=TYPE",
                step=name,
            )

    def _step_name(self, function: Any, name: str | None, prefix: str = "") -> str:
        return self._pipeline._step_name(name, prefix + _snake(_label(function)))

    def _add(
        self, name: str, call: Call, function: Any, args: tuple[Any, ...], output: Any
    ) -> "PTable[Any]":
        try:
            record_type(output)
        except UnsupportedTypeError as error:
            raise PipelineError(str(error), step=name) from None
        step = Step(name, self._node, call, function, args, output, caller())
        self._pipeline._add_node(step)
        return PTable(self._pipeline, step)


def _label(function: Any) -> str:
    name: str = getattr(function, "__qualname__", type(function).__name__)
    return name.rpartition("<locals>.")[2]


def _snake(name: str) -> str:
    """`WordSplitter` as `word_splitter`, `<lambda>` as `lambda`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("<>").replace(".", "_")).lower()
