"""What a native operator is to the graph; `gaia.ops` has them.

An operator is frozen data. It is asked for its records' type when it is wired into the graph, and
for its counterpart in the core when a task runs.
"""

from typing import Any, Generic, TypeVar

from gaia import _core

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


class NativeMapper(Generic[In_contra, Out_co]):
    """A step that the core runs on whole blocks of records, without Python."""

    def output_type(self, takes: Any) -> Any:
        """The type of the records that come out, given that of those that go in.

        Raises:
            ValueError: The operator does not take them.
        """
        raise NotImplementedError

    def core(self, takes: Any, gives: Any) -> _core.Op:
        """The operator as the core runs it.

        Raises:
            ValueError: A parameter is wrong in itself, such as a pattern.
        """
        raise NotImplementedError


class NativeJoiner(Generic[Out_co]):
    """A joiner that the core runs on whole blocks of records, without Python.

    `last_first` says that the last input is read before the others.
    """

    last_first = False

    def output_type(self, takes: tuple[Any, ...]) -> Any:
        """The type of the records that come out, given those of the inputs.

        Raises:
            ValueError: The operator does not take them.
        """
        raise NotImplementedError

    def keys(self, takes: tuple[Any, ...]) -> tuple[str, ...] | None:
        """The fields by which records have to meet in one shard; None if they need not."""
        return None

    def core(self, takes: tuple[Any, ...], gives: Any) -> _core.Joint:
        """The operator as the core runs it."""
        raise NotImplementedError
