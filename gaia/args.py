"""The flags that scripts share: what a runner takes, on the command line.

`arg_parser` gives them to a script of one's own; `run_script` to any script, from outside.
"""

import argparse
import inspect
import os
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

import gaia
from gaia.errors import InputError, PipelineError
from gaia.runner.overrides import RUNNER, RUNNERS, current, overriding

if TYPE_CHECKING:
    from gaia.runner.runner import Runner


@attrs.frozen
class _Flag:
    """A flag, and the argument of the runner that it stands for."""

    name: str
    keyword: str
    help: str
    options: Mapping[str, Any] = attrs.field(factory=lambda: {"default": None})


def _value(name: str, help: str, type: Any = str, metavar: str | None = None) -> _Flag:
    return _Flag(f"--{name}", name, help, {"type": type, "metavar": metavar})


def _switch(name: str, keyword: str, help: str, value: bool = True) -> _Flag:
    return _Flag(f"--{name}", keyword, help, {"action": "store_const", "const": value})


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None


# All of them, in the order of `--help`. A flag is a line here, for an argument of the runners.
_FLAGS = (
    _value("dest_dir", "where the tables go: a folder or a URL (%(default)s)", metavar="DIR"),
    _value("workers", "worker processes (one for each core); 0 runs in this process", _number, "N"),
    _value("memory", "what the whole run may use, as 4GB or bytes (70 %% of what is free)"),
    _value("scratch_dir", "a local folder for temporary files (in dest_dir)", metavar="DIR"),
    _switch("resume", "resume", "go on with the last run into dest_dir, if it did not end"),
    _switch("verify", "verify", "compare the checksums of tables' files before they are read"),
    _value(
        "max_attempts",
        "how often a part of the input is tried that workers die of (3)",
        _number,
        "N",
    ),
    _value(
        "task_timeout",
        "seconds after which a worker at one part of the input counts as dead (none)",
        float,
        "SECONDS",
    ),
    _value("address", "of the cluster, for --runner ray: host:port or auto (RAY_ADDRESS)"),
    _value("max_tasks", "how many tasks a cluster is given at once", _number, "N"),
    _value("http_port", "serve a page that shows the run, at this port (none)", _number, "PORT"),
    _value("http_host", "the address at which it is served (127.0.0.1)", metavar="ADDRESS"),
    _value("limit", "read the first N records of each input only", _number, "N"),
    _switch("no_progress", "progress", "do not show how far the run is", value=False),
    _switch("profile", "profile", "tell where the time goes: in your code or in Gaia, by step"),
    _switch("explain", "explain", "print the plan with sizes, tasks and memory, and run nothing"),
)


def arg_parser(
    description: str | None = None, *, dest_dir: str = "out", **options: Any
) -> argparse.ArgumentParser:
    """A parser with the flags of a runner, to which a script adds its own.

    `runner_from_args` makes the runner of what was parsed. Flags are `--dest_dir`, `--workers`,
    `--memory`, `--scratch_dir`, `--resume`, `--verify`, `--max_attempts`, `--task_timeout`,
    `--http_port`, `--http_host`, `--address`, `--max_tasks`, `--limit`, `--no_progress`,
    `--profile`, `--explain` and `--runner`. Without them, the runner's own defaults hold.

    Args:
        description: What `--help` tells first, such as the script's `__doc__`.
        dest_dir: Where the tables go by default.
        options: What else `argparse.ArgumentParser` takes.

    >>> import gaia
    >>> parser = gaia.arg_parser("Counts words.", dest_dir="out/words")
    >>> _ = parser.add_argument("inputs", nargs="*")
    >>> args = parser.parse_args(["--workers", "2", "--limit", "100", "books/*.txt"])
    >>> args.inputs, args.dest_dir
    (['books/*.txt'], 'out/words')
    >>> gaia.runner_from_args(args).limit
    100
    """
    # A docstring keeps its lines.
    options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
    parser = argparse.ArgumentParser(description=description, **options)
    _add_flags(parser)
    parser.set_defaults(dest_dir=dest_dir, **{RUNNER: "local"})
    return parser


def runner_from_args(args: argparse.Namespace) -> "Runner":
    """The runner that the flags of `arg_parser` ask for.

    With `--explain`, its `run` prints the plan with what is known of sizes, tasks and memory, and
    ends the program with exit code 0.

    Raises:
        PipelineError: A value is none that the runner takes, or the runner is not installed.
    """
    given = {
        flag.keyword: value
        for flag in _FLAGS
        if (value := getattr(args, flag.keyword, None)) is not None
    }
    make: Any = _runner(current(RUNNER) or getattr(args, RUNNER, "local"))
    known = inspect.signature(make).parameters
    for keyword in given:
        if keyword not in known:
            raise PipelineError(f"gaia.{make.__name__} takes no --{keyword}")
    runner: Runner = make(given.pop("dest_dir", "out"), **given)
    return runner


def run_script(path: str, args: Sequence[str]) -> None:
    """Runs a script as `python path args...` does, with the flags of a runner added to its own.

    The flags of `arg_parser` among the arguments, `--workers 4` and so on, take the place of what
    the script gives to the runners that it makes; the script does not see them. What stands behind
    a `--` is the script's.

    Raises:
        InputError: There is no such script.
        PipelineError: The script makes another runner than `--runner` asks for.
        SystemExit: As the script ends itself, with `--explain` too.
    """
    flags, rest = split_args(args)
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise InputError(f"cannot read the script {path}: {error.strerror}") from None
    with overriding(flags), _as_main(path, rest) as main:
        exec(compile(source, path, "exec", dont_inherit=True), vars(main))


def split_args(args: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The runner's flags among some arguments, by the runner's keywords; and all other arguments.

    >>> split_args(["--workers", "4", "books.txt", "--num_shards=8", "--explain"])
    ({'workers': 4, 'explain': True}, ['books.txt', '--num_shards=8'])
    """
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS
    )
    _add_flags(parser)
    end = list(args).index("--") if "--" in args else len(args)
    flags, rest = parser.parse_known_args(args[:end])
    return vars(flags), [*rest, *args[end + 1 :]]


def _add_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it runs")
    for flag in _FLAGS:
        group.add_argument(flag.name, dest=flag.keyword, help=flag.help, **flag.options)
    group.add_argument(
        "--runner", choices=list(RUNNERS), help="this machine, or a cluster of Ray's (local)"
    )


def _runner(name: str) -> Any:
    """The class of a runner. What it needs besides is looked for when it runs."""
    return getattr(gaia, RUNNERS[name])


@contextmanager
def _as_main(path: str, args: list[str]) -> Iterator[types.ModuleType]:
    """Meanwhile, a new module is `__main__`, and the program that of a script."""
    main = types.ModuleType("__main__")
    main.__file__ = path
    before = sys.modules["__main__"], sys.argv, sys.path
    sys.modules["__main__"] = main
    sys.argv = [path, *args]
    sys.path = [os.path.dirname(os.path.abspath(path)), *sys.path]
    try:
        yield main
    finally:
        sys.modules["__main__"], sys.argv, sys.path = before
