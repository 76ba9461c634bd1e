"""What goes wrong while a pipeline runs: what users are told, and what is left behind."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import anywhere
import attrs
import pytest
from records import OWN, tree, write_table

import gaia
import gaia.testing

GAIA = os.path.dirname(gaia.__file__)
PATIENCE = 30
"""Seconds after which something that should end at once is said never to end."""


def mistake(*_: Any) -> NoReturn:
    raise ArithmeticError("a user's mistake")


def mistake_at_two(record: Any, *_: Any) -> Any:
    """Fails for the record `two`; as a filter, a map, a key or a flat_map it passes others."""
    return mistake() if "two" in str(record) else str(record)


class Plain(gaia.Mapper[str, str], gaia.Joiner[str]):
    def do(self, record: str, ctx: gaia.Context[str]) -> None:
        ctx.write(record)


class FailsWhenMade(Plain):
    def __init__(self) -> None:
        mistake()


class FailsInSetup(Plain):
    def setup(self, run: gaia.Run) -> None:
        mistake()


class FailsAtStart(Plain):
    def on_shard_start(self, shard: Any, ctx: gaia.Context[str]) -> None:
        mistake()


class FailsAtFinish(Plain):
    def on_shard_finish(self, ctx: gaia.Context[str]) -> None:
        mistake()


class FailsInDo(Plain):
    def do(self, record: str, ctx: gaia.Context[str]) -> None:
        ctx.write(mistake_at_two(record))


@attrs.frozen
class Texted:
    text: str

    def to_text(self) -> str:
        return str(mistake_at_two(self.text))

    @classmethod
    def from_text(cls, text: str) -> "Texted":
        return cls(text)


def shout(text: str) -> str:
    return f"{text}!"


def texted(text: str) -> Texted:
    return Texted(text)


@pytest.fixture(params=[0, 2], ids=lambda workers: f"workers={workers}")
def workers(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest"


@pytest.fixture
def lines(tmp_path: Path) -> gaia.PTable[str]:
    path = tmp_path / "lines.txt"
    path.write_text("one\ntwo\nthree\n")
    return gaia.Pipeline("failing").read_text(path, name="lines")


def failure(table: gaia.PTable[Any], dest: Path) -> str:
    """The message of a run that fails."""
    with pytest.raises(gaia.StepError) as caught:
        anywhere.Runner(dest).run(table._pipeline)
    return str(caught.value)


def to_one_shard(table: gaia.PTable[Any]) -> gaia.PTable[Any]:
    table.write("out", gaia.TXT).with_mod_n_sharding(1, lambda record: 0)
    return table


def joined(table: gaia.PTable[str], joiner: type[Plain]) -> gaia.PTable[str]:
    """The table joined by its method `do`; the join is called `step`."""
    table.write("lines", gaia.TXT).with_mod_n_sharding(1)
    join = table._pipeline.join(joiner, [table.bind_with(joiner.do)], name="step")
    join.write("out", gaia.TXT)
    return join


def sharded_by(table: gaia.PTable[str], key: Callable[[str], Any]) -> gaia.PTable[str]:
    table.write("out", gaia.TXT).with_mod_n_sharding(2, key)
    return table


def sharded_to(table: gaia.PTable[str], function: Callable[[str], str]) -> gaia.PTable[str]:
    table.write("out", gaia.TXT).with_custom_sharding(function)
    return table


WRITES = {
    "key": (lambda table: sharded_by(table, mistake_at_two), "'two'"),
    "custom sharding": (lambda table: sharded_to(table, mistake_at_two), "'two'"),
    "key behind a step": (lambda table: sharded_by(table.map(shout), mistake_at_two), "'two!'"),
    "to_text": (lambda table: to_one_shard(table.map(texted)), "Texted(text='two')"),
}
"""Writes that fail, and the record that they fail for."""


@pytest.mark.anywhere
class TestUserCode:
    @pytest.mark.parametrize(
        "cls", [FailsWhenMade, FailsInSetup, FailsAtStart, FailsInDo, FailsAtFinish]
    )
    @pytest.mark.parametrize(
        "add",
        [lambda table, cls: to_one_shard(table.map(cls, name="step")), joined],
        ids=["map", "join"],
    )
    def test_a_failing_hook_is_led_back_to_its_step_and_line(
        self,
        lines: gaia.PTable[str],
        dest: Path,
        add: Callable[..., gaia.PTable[str]],
        cls: type[Plain],
    ) -> None:
        message = failure(add(lines, cls), dest)
        assert message.startswith("step `step` failed: ArithmeticError: a user's mistake\n")
        assert_shows_users_code(message)

    @pytest.mark.parametrize(
        "add",
        [
            lambda table: to_one_shard(table.map(FailsInDo, name="step")),
            lambda table: to_one_shard(table.map(mistake_at_two, name="step", output=str)),
            lambda table: to_one_shard(table.map(mistake_at_two, "more", name="step", output=str)),
            lambda table: to_one_shard(table.filter(mistake_at_two, name="step")),
            lambda table: to_one_shard(table.flat_map(mistake_at_two, name="step", output=str)),
            lambda table: to_one_shard(
                table.map(Plain, name="before").map(FailsInDo, name="step").map(Plain, name="after")
            ),
            lambda table: joined(table, FailsInDo),
        ],
        ids=["do", "map", "arguments", "filter", "flat_map", "fused", "join"],
    )
    def test_a_record_that_fails_in_a_step_is_shown_with_its_place(
        self,
        lines: gaia.PTable[str],
        dest: Path,
        add: Callable[..., Any],
    ) -> None:
        table = add(lines)
        message = failure(table, dest)
        files = {"lines.txt", "lines-00000-of-00001.txt"}
        place = re.search(r"\n  input: .*/(.*), position 4\n  record: 'two'\n", message)
        assert message.startswith("step `step` failed: ArithmeticError: a user's mistake\n")
        assert place
        assert place[1] in files
        assert_shows_users_code(message)

    @pytest.mark.parametrize(("add", "record"), WRITES.values(), ids=WRITES)
    def test_a_record_that_fails_in_a_write_is_shown_with_its_place(
        self,
        lines: gaia.PTable[str],
        dest: Path,
        add: Callable[..., Any],
        record: str,
    ) -> None:
        message = failure(add(lines), dest)
        assert message.startswith("step `write out` failed: ArithmeticError: a user's mistake\n")
        assert re.search(r"\n  input: .*/lines\.txt, position 4\n", message)
        assert f"\n  record: {record}\n" in message

    @pytest.mark.parametrize("add", [add for add, _ in WRITES.values()], ids=WRITES)
    def test_code_that_fails_in_a_write_is_shown(
        self, lines: gaia.PTable[str], dest: Path, add: Callable[..., Any]
    ) -> None:
        assert_shows_users_code(failure(add(lines), dest))

    def test_a_record_of_the_wrong_type_is_led_back_to_its_write(
        self, lines: gaia.PTable[str], dest: Path
    ) -> None:
        class Lengths(gaia.Mapper[str, str]):
            def do(self, record: str, ctx: gaia.Context[str]) -> None:
                ctx.write(len(record))

        message = failure(to_one_shard(lines.map(Lengths, name="step")), dest)
        assert re.search(r"expected `str`, got `int`", message.splitlines()[0])
        assert "ctx.write(len(record))" in message
        assert "\n  record: 'one'\n" in message

    def test_an_error_that_user_code_has_handled_is_not_blamed_for_another(
        self, lines: gaia.PTable[str], dest: Path
    ) -> None:
        class Handles(gaia.Mapper[str, str]):
            def do(self, record: str, ctx: gaia.Context[str]) -> None:
                try:
                    ctx.write(record, shard=99)
                except ValueError:
                    ctx.write(record)

            def on_shard_finish(self, ctx: gaia.Context[str]) -> None:
                mistake()

        message = failure(to_one_shard(lines.map(Handles, name="step")), dest)
        assert message.startswith("step `step` failed: ArithmeticError")
        assert "record:" not in message

    def test_a_function_that_returns_the_wrong_type_is_named(
        self, lines: gaia.PTable[str], dest: Path
    ) -> None:
        lengths: Any = lines.map(len, name="step", output=str)
        message = failure(to_one_shard(lengths), dest)
        assert re.match(r"step `step` failed: .*expected `str`, got `int`", message)
        assert "\n  record: 'one'" in message

    def test_a_flat_map_must_return_an_iterable(self, lines: gaia.PTable[str], dest: Path) -> None:
        lengths: Any = lines.flat_map(len, name="step", output=int)
        message = failure(to_one_shard(lengths), dest)
        assert re.match(r"step `step` failed: .*expected `iterable`, got `int`", message)

    def test_a_long_record_is_shown_in_part(self, dest: Path) -> None:
        pipeline = gaia.Pipeline("long")
        to_one_shard(pipeline.from_records(["x" * 10**6], name="lines").map(mistake, output=str))
        with pytest.raises(gaia.StepError) as caught:
            anywhere.Runner(dest).run(pipeline)
        assert len(str(caught.value)) < 2000

    @pytest.mark.anywhere("inline", "processes")
    def test_nothing_is_left_behind(self, lines: gaia.PTable[str], dest: Path) -> None:
        failure(to_one_shard(lines.map(FailsInDo)), dest)
        assert tree(dest) == {}
        assert not has_children()


def assert_shows_users_code(message: str) -> None:
    assert 'raise ArithmeticError("a user\'s mistake")' in message
    assert f'File "{__file__}", line ' in message
    assert GAIA not in message


def children() -> set[str]:
    """The child processes of this one, running or not."""
    ps = ["ps", "-A", "-o", "pid=,ppid="]
    if not os.path.isdir("/proc/self"):
        told = subprocess.run(ps, capture_output=True, text=True, check=True).stdout
        pairs = [line.split() for line in told.splitlines()]
        return {pid for pid, parent in pairs if parent == str(os.getpid())}
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # It has just ended.
            state = stat.read_text().rpartition(")")[2].split()
            if state[1] == str(os.getpid()):
                found.add(stat.parent.name)
    return found


# Other tests may have left some, such as servers that are there until the last test.
_before: set[str] = set()


@pytest.fixture(autouse=True)
def _children_before() -> None:
    _before.clear()
    _before.update(children())


def has_children() -> bool:
    """Whether a test has left child processes, running or not."""
    return not children() <= _before


def die(how: str) -> None:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


def hang() -> None:
    """Blocks; a test that never ends it does not block forever."""
    signal.alarm(2 * PATIENCE)
    signal.pause()


class TestWorkers:
    @pytest.mark.parametrize("dies", [True, False])
    def test_what_user_code_has_started_ends_with_the_worker(
        self, dest: Path, tmp_path: Path, dies: bool
    ) -> None:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

        def leave_a_child(number: int) -> int:
            writer = os.open(fifo, os.O_WRONLY)
            if os.fork() == 0:
                hang()  # It holds the pipe of the worker as well, whose death is seen all the same.
            os.close(writer)
            if dies:
                die("killed")
            return number

        pipeline = gaia.Pipeline("deadly")
        to_one_shard(pipeline.from_records([0], name="numbers").map(leave_a_child, name="step"))
        runner = gaia.LocalRunner(dest, workers=1)
        if dies:
            with pytest.raises(gaia.WorkerError, match="was killed by SIGKILL"):
                runner.run(pipeline)
        else:
            runner.run(pipeline)
        try:
            # The end of the file is to be seen once nobody is left who could write.
            assert readable(held)
            assert os.read(held, 1) == b""
        finally:
            os.close(held)

    @pytest.mark.parametrize(
        ("how", "told"), [("killed", "was killed by SIGKILL"), ("left", "exited with 3")]
    )
    def test_the_death_of_one_ends_the_run_though_others_are_busy(
        self, dest: Path, how: str, told: str
    ) -> None:
        def die_or_hang(number: int) -> int:
            if number == 0:
                die(how)
            hang()
            return number

        pipeline = gaia.Pipeline("deadly")
        to_one_shard(pipeline.from_records([0, 1], name="numbers").map(die_or_hang, name="step"))
        with pytest.raises(gaia.WorkerError, match=told):
            gaia.LocalRunner(dest, workers=2).run(pipeline)
        assert tree(dest) == {}
        assert sorted(os.listdir(dest / "_gaia")) == OWN
        assert not has_children()

    def test_the_previous_table_outlives_a_worker(self, dest: Path) -> None:
        write_table(dest, ["a"])
        before = tree(dest)
        with pytest.raises(gaia.WorkerError):
            write_table(dest, ["b"], lambda o: o.with_custom_sharding(die), workers=2)
        assert tree(dest) == before

    def test_an_exit_in_user_code_ends_the_run_with_its_reason(
        self, dest: Path, workers: int
    ) -> None:
        def leave(record: str) -> str:
            sys.exit("enough")

        with pytest.raises((gaia.GaiaError, SystemExit), match="enough") as caught:
            write_table(dest, ["a"], lambda o: o.with_custom_sharding(leave), workers=workers)
        assert GAIA not in str(caught.value)
        assert tree(dest) == {}


SCRIPT = """
import os, shutil, signal, sys, threading
import gaia

dest, fifo, workers, beside = sys.argv[1:]
# Whoever runs the tests in the background may have it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Hang(gaia.Mapper[int, int]):
    def do(self, number, ctx):
        ctx.write(number)
        signal.alarm(60)
        announce = os.open(fifo, os.O_WRONLY)
        os.write(announce, b"%d\\n" % os.getpid())
        signal.pause()

if __name__ == "__main__":
    if beside == "a thread":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    if "clean-up" in beside:
        removed = shutil.rmtree

        def again(*args, **kwargs):
            if sys.exc_info()[0] is not None:
                os.kill(os.getpid(), int(beside.split()[1]))
            removed(*args, **kwargs)

        shutil.rmtree = again
    pipeline = gaia.Pipeline("hanging")
    hanging = pipeline.from_records([1, 2], name="numbers").map(Hang)
    hanging.write("out", gaia.TXT).with_mod_n_sharding(2)
    gaia.LocalRunner(dest, workers=int(workers)).run(pipeline)
"""


@attrs.frozen
class Hanging:
    """A script whose run does not come to an end, and pidfds of the processes in a task."""

    process: subprocess.Popen[str]
    busy: list[int]

    def ended(self) -> str:
        """What the script printed as errors, once all its processes have ended."""
        errors = self.process.communicate(timeout=PATIENCE)[1]
        for process in self.busy:
            assert readable(process), "a worker outlived the script"
        return errors


def readable(fd: int) -> bool:
    """Waits until a file can be read or, if it is a pidfd, its process has ended."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(PATIENCE * 1000))


@pytest.fixture
def start(tmp_path: Path, dest: Path) -> Iterator[Callable[..., Hanging]]:
    """Starts a script in a session of its own, and returns when all its workers are in a task."""
    started: list[subprocess.Popen[str]] = []
    fds: list[int] = []

    def start(workers: int, beside: str = "nothing") -> Hanging:
        script, fifo = tmp_path / "script.py", tmp_path / "fifo"
        script.write_text(SCRIPT)
        os.mkfifo(fifo)
        fds.append(os.open(fifo, os.O_RDWR))
        process = subprocess.Popen(
            [sys.executable, script, dest, fifo, str(workers), beside],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        pids = b""
        while pids.count(b"\n") < max(1, workers):
            assert readable(fds[0]), "the script's tasks did not start"
            pids += os.read(fds[0], 100)
        busy = [os.pidfd_open(int(pid)) for pid in pids.split()]
        fds.extend(busy)
        return Hanging(process, busy)

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()
    for fd in fds:
        os.close(fd)


class TestSignals:
    def test_ctrl_c_ends_the_run(
        self, start: Callable[..., Hanging], dest: Path, workers: int
    ) -> None:
        script = start(workers)
        os.killpg(script.process.pid, signal.SIGINT)
        errors = script.ended()
        assert script.process.returncode == -signal.SIGINT
        assert errors.count("KeyboardInterrupt") == 1

    def test_sigterm_ends_the_run(
        self, start: Callable[..., Hanging], dest: Path, workers: int
    ) -> None:
        script = start(workers)
        script.process.terminate()
        assert script.ended() == ""
        assert script.process.returncode == 128 + signal.SIGTERM

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_second_one_leaves_nothing_that_the_next_run_does_not_remove(
        self, start: Callable[..., Hanging], dest: Path, number: int
    ) -> None:
        script = start(2)
        os.killpg(script.process.pid, number)
        os.killpg(script.process.pid, number)
        script.ended()
        assert script.process.returncode in (-number, 128 + number)
        write_table(dest, ["next"])
        assert sorted(os.listdir(dest / "_gaia")) == OWN

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_second_one_waits_until_what_is_unfinished_is_removed(
        self, start: Callable[..., Hanging], dest: Path, number: int
    ) -> None:
        script = start(2, f"signal {number:d} in clean-up")
        os.killpg(script.process.pid, number)
        script.ended()
        assert script.process.returncode in (-number, 128 + number)
        assert os.listdir(dest) == ["_gaia"]
        assert sorted(os.listdir(dest / "_gaia")) == OWN

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_run_that_was_ended_leaves_no_trace(
        self, start: Callable[..., Hanging], dest: Path, number: int, workers: int
    ) -> None:
        script = start(workers)
        os.killpg(script.process.pid, number)
        script.ended()
        assert os.listdir(dest) == ["_gaia"]
        assert sorted(os.listdir(dest / "_gaia")) == OWN

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_run_that_was_ended_leaves_the_previous_table_as_it_was(
        self, start: Callable[..., Hanging], dest: Path, number: int
    ) -> None:
        write_table(dest, ["previous"])
        before = tree(dest)
        script = start(2)
        os.killpg(script.process.pid, number)
        script.ended()
        assert tree(dest) == before
        assert sorted(os.listdir(dest / "_gaia")) == OWN

    @pytest.mark.parametrize("beside", ["nothing", "a thread"])
    def test_workers_die_with_a_driver_that_is_killed(
        self, start: Callable[..., Hanging], dest: Path, beside: str
    ) -> None:
        script = start(2, beside)
        script.process.kill()
        script.ended()
        assert not (dest / "out").exists()
        assert list(write_table(dest, ["next"]).records()) == ["next"]
        assert sorted(os.listdir(dest / "_gaia")) == OWN

    def test_a_run_beside_another_is_refused(
        self, start: Callable[..., Hanging], dest: Path
    ) -> None:
        script = start(2)
        with pytest.raises(gaia.OutputError, match=rf"is in use by process {script.process.pid} "):
            write_table(dest, ["beside"])
        script.process.kill()
        script.ended()
        assert list(write_table(dest, ["next"]).records()) == ["next"]


class ReturnsAtStart(Plain):
    def on_shard_start(self, shard: Any, ctx: gaia.Context[str]):
        return "lost"


class ReturnsAtFinish(Plain):
    def on_shard_finish(self, ctx: gaia.Context[str]):
        return ["lost"]


class ReturnsInSetup(Plain):
    def setup(self, run: gaia.Run):
        return {"lost": 1}


class ReturnsRecords(gaia.Mapper[str, str]):
    def do(self, line: str, ctx: gaia.Context[str]):
        return line


class ReturnsBatches(gaia.Mapper[str, str]):
    def do_batch(self, batch: gaia.Batch, ctx: gaia.Context[str]):
        return ["lost"]


@pytest.mark.anywhere
class TestWhatIsLost:
    @pytest.mark.parametrize(
        ("cls", "told"),
        [
            (ReturnsRecords, "`ReturnsRecords.do` returned `str`"),
            (ReturnsBatches, "`ReturnsBatches.do_batch` returned `list`"),
        ],
    )
    def test_records_that_are_returned_are_refused(
        self, lines: gaia.PTable[str], dest: Path, cls: Any, told: str
    ) -> None:
        message = failure(to_one_shard(lines.map(cls, name="step")), dest)
        told += ", which would be lost; call ctx.write(record)"
        assert message.startswith(f"step `step` failed: TypeError: {told}")

    @pytest.mark.parametrize(
        ("cls", "told"),
        [
            (ReturnsAtStart, "`ReturnsAtStart.on_shard_start` returned `str`, {}ctx.write(record)"),
            (ReturnsAtFinish, "`ReturnsAtFinish.on_shard_finish` returned `list`, {}ctx.write("),
            (ReturnsInSetup, "`ReturnsInSetup.setup` returned `dict`, {}keep it in `self`"),
        ],
    )
    @pytest.mark.parametrize(
        "add",
        [lambda table, cls: to_one_shard(table.map(cls, name="step")), joined],
        ids=["map", "join"],
    )
    def test_what_a_hook_returns_is_refused(
        self, lines: gaia.PTable[str], dest: Path, add: Any, cls: type[Plain], told: str
    ) -> None:
        message = failure(add(lines, cls), dest)
        told = told.format("which would be lost; ").replace("lost; ctx", "lost; call ctx")
        assert message.startswith(f"step `step` failed: TypeError: {told}")

    @pytest.mark.parametrize("run", ["run", "explain"])
    def test_a_pipeline_that_writes_nothing_is_refused(
        self, lines: gaia.PTable[str], dest: Path, run: str
    ) -> None:
        lines.map(Plain)
        with pytest.raises(gaia.PipelineError, match=r"^nothing is written: call \.write\(name"):
            getattr(anywhere.Runner(dest), run)(lines._pipeline)
        with pytest.raises(gaia.PipelineError, match=r"^nothing is written"):
            gaia.testing.run(gaia.Pipeline("empty"))
        assert not dest.exists()

    def test_a_native_join_that_is_not_written_is_refused(
        self, lines: gaia.PTable[str], dest: Path
    ) -> None:
        words = lines.map(gaia.ops.Words())
        words.write("words", gaia.TXT).with_mod_n_sharding(1, "word")
        counts = lines._pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="add")
        with pytest.raises(
            gaia.PipelineError, match=r"^the result of `add` is not written"
        ) as told:
            anywhere.Runner(dest).run(lines._pipeline)
        assert f"at {__file__}:" in str(told.value)
        counts.write("counts", gaia.TXT)
        assert len(anywhere.Runner(dest).run(lines._pipeline)["counts"]) == 3

    def test_records_of_a_join_that_go_nowhere_are_told_of(
        self, lines: gaia.PTable[str], dest: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines.write("lines", gaia.TXT).with_mod_n_sharding(1)
        lines._pipeline.join(Plain, [lines.bind_with(Plain.do)], name="add")
        anywhere.Runner(dest).run(lines._pipeline)
        assert "the result of `add` is not written, and its 3 records" in capsys.readouterr().err

    def test_a_join_that_only_counts_runs(
        self, lines: gaia.PTable[str], dest: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines.write("lines", gaia.TXT).with_mod_n_sharding(1)
        lines._pipeline.join(OnlyCounts, [lines.bind_with(OnlyCounts.do)])
        result = anywhere.Runner(dest).run(lines._pipeline)
        assert result.counters["seen"] == 3
        assert capsys.readouterr().err == ""


class OnlyCounts(Plain):
    def do(self, record: str, ctx: gaia.Context[str]) -> None:
        ctx.inc("seen")


def test_a_pipeline_in_place_of_a_destination_is_refused(
    lines: gaia.PTable[str], dest: Path
) -> None:
    pipeline: Any = lines._pipeline
    with pytest.raises(gaia.PipelineError, match=r'expected a destination, LocalRunner\("out"\)'):
        gaia.LocalRunner(pipeline)
    runner: Any = gaia.LocalRunner(dest)
    with pytest.raises(gaia.PipelineError, match=r"expected a pipeline, .*, got 'out'"):
        runner.run("out")


@pytest.mark.parametrize("pattern", ["**.txt", "a/**b/c", "memory://x/**.txt"])
def test_a_double_star_is_a_whole_folder(dest: Path, pattern: str) -> None:
    pipeline = gaia.Pipeline("p")
    pipeline.read_text(pattern, name="x").write("out", gaia.TXT).with_mod_n_sharding(1)
    with pytest.raises(gaia.InputError, match=r"^step `x`: `\*\*` has to be a whole folder"):
        gaia.LocalRunner(dest).run(pipeline)
