"""Workers of a program that has threads: a server forks them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ancestors import ancestors

import gaia

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at processes in /proc"
)


@pytest.fixture(autouse=True)
def thread() -> Iterator[None]:
    """A thread of this process."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield
    done.set()
    thread.join()


def is_inheritable(descriptor: str) -> bool:
    with suppress(OSError):  # That of the listing is closed by now.
        return int(descriptor) > 2 and os.get_inheritable(int(descriptor))
    return False


class TellsWhere(gaia.Mapper[int, str]):
    def do(self, number: int, ctx: gaia.Context[str]) -> None:
        server, driver, *_ = ancestors(os.getpid())
        seen = {
            "server": server,
            "driver": driver,
            "threads": len(os.listdir(f"/proc/{server}/task")),
            "session": os.getsid(0) == os.getpid(),
            "inherited by commands": list(filter(is_inheritable, os.listdir("/proc/self/fd"))),
            "variable": os.environ.get("VARIABLE"),
            "folder": os.getcwd(),
        }
        ctx.write(json.dumps(seen))


def ran(mapper: type[gaia.Mapper[int, str]], folder: Path, *args: str) -> list[str]:
    pipeline = gaia.Pipeline("threads")
    table = pipeline.from_records(range(8), name="numbers").map(mapper, *args)
    table.write("out", gaia.TXT).with_mod_n_sharding(1)
    result = gaia.LocalRunner(folder / "out", workers=2).run(pipeline)
    records: list[str] = list(result["out"].records())
    return records


def test_one_server_has_all_workers_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = []
    for value in ("one", "two"):
        folder = tmp_path / value
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("VARIABLE", value)
        told = [json.loads(record) for record in ran(TellsWhere, tmp_path)]
        assert len(told) == 8
        (server,) = {seen.pop("server") for seen in told}
        servers.append(server)
        assert told[0] == {
            "driver": os.getpid(),
            "threads": 1,
            "session": True,
            "inherited by commands": [],
            "variable": value,
            "folder": str(folder),
        }
    assert servers[0] != servers[1]
    assert not [server for server in servers if Path(f"/proc/{server}").exists()]


class KillsOnce(gaia.Mapper[int, str]):
    """Kills its process, or the server that has started it, the first time."""

    def __init__(self, marker: str, victim: str) -> None:
        self.marker = Path(marker)
        self.victim = victim

    def do(self, number: int, ctx: gaia.Context[str]) -> None:
        if number == 5 and not self.marker.exists():
            self.marker.touch()
            own = os.getpid()
            os.kill(own if self.victim == "worker" else ancestors(own)[0], signal.SIGKILL)
            if self.victim == "server":
                signal.pause()
        ctx.write(str(number))


@pytest.mark.parametrize("victim", ["worker", "server"])
def test_what_is_killed_is_replaced(tmp_path: Path, victim: str) -> None:
    records = ran(KillsOnce, tmp_path, str(tmp_path / "marker"), victim)
    assert sorted(records) == [str(number) for number in range(8)]


def test_a_python_that_starts_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(gaia.WorkerError, match=r"^/bin/false starts no workers: "):
        ran(TellsWhere, tmp_path)


def test_modules_of_the_current_folder_are_found(tmp_path: Path) -> None:
    """As in `python -c`, and where Python is typed."""
    (tmp_path / "ours.py").write_text("def double(number):\n    return 2 * number\n")
    script = (
        "import threading, gaia, ours\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "pipeline = gaia.Pipeline('doubles')\n"
        "table = pipeline.from_records([1], name='numbers').map(ours.double, output=int)\n"
        "table.write('out', gaia.TXT).with_mod_n_sharding(1, lambda number: number)\n"
        "result = gaia.LocalRunner('out', workers=1, progress=False).run(pipeline)\n"
        "print(*result['out'].records())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_it_dies_with_a_program_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, sys, threading
            import gaia

            class Kills(gaia.Mapper[int, int]):
                def do(self, number, ctx):
                    server = os.getppid()
                    driver = int(open(f"/proc/{server}/stat").read().rpartition(")")[2].split()[1])
                    os.write(1, f"{server}\\n{os.getpid()}\\n".encode())
                    os.kill(driver, signal.SIGKILL)
                    signal.pause()

            threading.Thread(target=threading.Event().wait, daemon=True).start()
            pipeline = gaia.Pipeline("killed")
            table = pipeline.from_records([1], name="numbers").map(Kills)
            table.write("out", gaia.TXT).with_mod_n_sharding(1)
            gaia.LocalRunner(sys.argv[1], workers=1).run(pipeline)
            """
        )
    )
    # What it prints ends when the last process that could print has ended.
    done = subprocess.run(
        [sys.executable, script, tmp_path / "out"], stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.split()) == 2
