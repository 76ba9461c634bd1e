"""How the core calls users' steps."""

import weakref
from collections.abc import Callable
from typing import Any

import cloudpickle

from gaia import _core
from gaia.pipeline.names import label, type_name
from gaia.pipeline.operators import Operator
from gaia.pipeline.plan import Input
from gaia.pipeline.travel import dumps


class NativeOperator(Operator[Any]):
    """A native joiner, which has to know only when its shard ends."""

    def __init__(self, joint: _core.Joint) -> None:
        self.joint = joint

    def on_shard_finish(self, ctx: Any) -> None:
        self.joint.finish(ctx)


def call_hook(hook: Callable[..., Any], *args: Any) -> None:
    """Calls a method of the user's, and refuses what it returns, which nobody would see again.

    Raises:
        TypeError: It is not None.
    """
    returned = hook(*args)
    if returned is not None:
        instead = "keep it in `self`" if hook.__name__ == "setup" else "call ctx.write(record)"
        raise TypeError(
            f"`{label(hook)}` returned `{type_name(type(returned))}`, which would be lost; "
            f"{instead}"
        )


def handler_of(joiner: Any, entry: Input) -> tuple[str, Any]:
    """How the core calls the method that takes an input's records."""
    assert entry.handler is not None
    method = getattr(joiner, entry.handler)
    return ("do", method) if entry.batch_size is None else ("do_batch", (method, entry.batch_size))


def fresh(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments as if they had just arrived: what one task changes, no other sees."""
    if all(type(arg) in (str, bytes, int, float, bool, type(None)) for arg in args):
        return args
    arrived: tuple[Any, ...] = cloudpickle.loads(dumps(args))
    return arrived


def with_arguments(function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[Any], Any]:
    """The function as one of a single record."""
    return (lambda record: function(record, *args)) if args else function


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of something that what it is given to belongs to. It must not hold that: a task's
    tables and buffers are to go when it ends, and not when cycles are looked for."""
    found = weakref.WeakMethod(method)

    def call(*args: Any) -> Any:
        alive = found()
        assert alive is not None
        return alive(*args)

    return call
