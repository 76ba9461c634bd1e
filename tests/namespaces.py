"""A Ray cluster whose nodes are network namespaces of this machine, with a store between them.

    sudo .venv/bin/python tests/namespaces.py

Each node has an address, a name, and folders for temporary files and shared memory of its own; what
they have in common is the code and, by the network, a store (moto's S3). Counts words and joins two
tables from there to there, and compares the records with those of `LocalRunner`; shows that a path
which the nodes do not share is refused; and kills the raylet of a node, but not what it has
started, in the middle of a task.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gaia

HEAD, *NODES = ALL = ("gaia-head", "gaia-one", "gaia-two")
BRIDGE, NET = "gaia-bridge", "10.213.77"
STORE = f"http://{NET}.1:5077"
RAY = "/tmp/ray"
EXAMPLES = Path(__file__).parents[1] / "examples"


def address(node: str) -> str:
    return f"{NET}.{11 + ALL.index(node)}"


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


@contextmanager
def network() -> Iterator[None]:
    """A bridge, and a namespace for each node; ends whatever runs in these."""
    with ExitStack() as stack:
        ip(f"link add {BRIDGE} type bridge")
        stack.callback(ip, f"link del {BRIDGE}")
        ip(f"addr add {NET}.1/24 dev {BRIDGE}")
        ip(f"link set {BRIDGE} up")
        for node in ALL:
            ip(f"netns add {node}")
            stack.callback(ip, f"netns del {node}")
            stack.callback(end_all_of, node)
            ours, theirs = f"{node}-0", f"{node}-1"
            ip(f"link add {ours} type veth peer name {theirs} netns {node}")
            ip(f"link set {ours} master {BRIDGE} up")
            ip(f"-n {node} addr add {address(node)}/24 dev {theirs}")
            ip(f"-n {node} link set {theirs} up")
            ip(f"-n {node} link set lo up")
        yield


def end_all_of(node: str) -> None:
    found = subprocess.run(["ip", "netns", "pids", node], check=True, capture_output=True)
    for pid in map(int, found.stdout.split()):
        os.kill(pid, signal.SIGKILL)


def start(node: str, *command: str) -> subprocess.Popen[bytes]:
    """Starts a command on a node, which has its own folders."""
    own = (
        f"hostname {node}; mkdir -p {RAY}; mount -t tmpfs none {RAY}; mount -t tmpfs none /dev/shm"
    )
    again = 'until "$@"; do sleep 1; done'  # The head may not be there yet.
    apart = ["ip", "netns", "exec", node, "unshare", "-mu"]
    return subprocess.Popen([*apart, "sh", "-c", f"{own}; {again}", "-", *command])


def ray_node(node: str, *settings: str) -> subprocess.Popen[bytes]:
    ray = str(Path(sys.executable).with_name("ray"))
    common = [f"--node-ip-address={address(node)}", "--object-store-memory=83886080"]
    return start(node, ray, "start", "--block", "--disable-usage-stats", *common, *settings)


def main() -> None:
    os.environ |= {
        "RAY_AUTH_MODE": "disabled",
        "AWS_ENDPOINT_URL": STORE,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    store = [sys.executable, "-m", "moto.server", "-H", f"{NET}.1", "-p", STORE.split(":")[-1]]
    with network(), tempfile.TemporaryFile() as told, ExitStack() as stack:
        stack.enter_context(served := subprocess.Popen(store, stdout=told, stderr=told))
        stack.callback(served.kill)
        head = ["--head", "--port=6379", "--num-cpus=0", "--include-dashboard=false"]
        ray_node(HEAD, *head)
        for node in NODES:
            ray_node(node, f"--address={address(HEAD)}:6379", "--num-cpus=1")
        driver = ["ip", "netns", "exec", HEAD, "nsenter"]
        pid = subprocess.run(["ip", "netns", "pids", HEAD], check=True, capture_output=True)
        first = pid.stdout.split()[0].decode()
        driver += ["-t", first, "-m", "-u", sys.executable, __file__, "--driver"]
        raise SystemExit(subprocess.run(driver, timeout=400).returncode)


def wait_for_nodes() -> None:
    import ray

    deadline = time.monotonic() + 90
    while True:
        try:
            ray.init(f"{address(HEAD)}:6379", log_to_driver=False, logging_level="error")
            break
        except (ConnectionError, RuntimeError, ValueError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
    while ray.cluster_resources().get("CPU", 0) < len(NODES):
        if time.monotonic() > deadline:
            raise TimeoutError("the nodes do not come")
        time.sleep(1)


class DiesWithItsRaylet(gaia.Mapper[str, str]):
    """The first that sees the record ends the process that is in charge of its node, and waits."""

    def __init__(self, struck: str) -> None:
        self.struck = struck

    def do(self, line: str, ctx: gaia.Context[str]) -> None:
        ctx.write(line)
        if line == "deadly" and not os.path.exists(self.struck):
            Path(self.struck).touch()
            process = os.getpid()
            for _ in ("the server that forked it", "a worker of Ray", "who is in charge"):
                with open(f"/proc/{process}/stat") as file:
                    process = int(file.read().rpartition(")")[2].split()[1])
            os.kill(process, signal.SIGKILL)
            signal.pause()


def nodes_of(dest: str) -> set[str]:
    import fsspec

    with fsspec.open(f"{dest}/_gaia/run.json") as file:
        stages = json.load(file)["stages"]
    return {task["worker"].partition(":")[0] for stage in stages for task in stage["done"]}


def records(result: gaia.RunResult, table: str) -> Counter[str]:
    return Counter(repr(record) for record in result[table].records())


def drive() -> None:
    import s3fs

    from gaia.runner import splits

    splits._MIN_SPLIT = splits._MAX_SPLIT = 200_000
    splits._SLIVER = 0
    wait_for_nodes()
    s3 = s3fs.S3FileSystem()
    s3.mkdir("bucket")
    for number, path in enumerate(sorted(Path(os.__file__).parent.glob("*.py"))):
        s3.pipe(f"bucket/text/{number}.txt", path.read_bytes())
    made = runpy.run_path(str(EXAMPLES / "movies_join.py"))
    counted = runpy.run_path(str(EXAMPLES / "word_count.py"))
    with tempfile.TemporaryDirectory() as folder:
        movies, cast = made["make_movies"](Path(folder))
        s3.put(movies[0], "bucket/movies.jsonl")
        s3.put(cast[0], "bucket/cast.jsonl")
        jobs: dict[str, tuple[Any, str]] = {
            "words": (counted["build"](["s3://bucket/text/*.txt"]), "wordcounts"),
            "native words": (
                counted["build"](["s3://bucket/text/*.txt"], native=True),
                "wordcounts",
            ),
            "join": (
                made["build"](["s3://bucket/movies.jsonl"], ["s3://bucket/cast.jsonl"]),
                "movies",
            ),
        }
        for name, (pipeline, table) in jobs.items():
            dest = f"s3://bucket/out/{name.replace(' ', '-')}"
            here = records(gaia.LocalRunner(f"{folder}/{name}").run(pipeline), table)
            there = gaia.RayRunner(dest).run(pipeline)
            assert records(there, table) == here, name
            total = sum(here.values())
            print(f"{name}: {total} records as here, by {sorted(nodes_of(dest))}", flush=True)
            left = [path for path in s3.find(dest) if "/_gaia/" in path]
            assert {Path(path).name for path in left} == {"report.html", "run.json"}, left
    try:
        gaia.RayRunner(f"{RAY}/out").run(jobs["words"][0])
        raise AssertionError("the nodes do not share the folder")
    except gaia.OutputError as error:
        print(f"a path: {error}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = gaia.Pipeline("deadly")
        lines = pipeline.from_records([*map(str, range(50)), "deadly"], name="lines")
        lines = lines.map(DiesWithItsRaylet, f"{folder}/struck", output=str)
        lines.write("out", gaia.TXT).with_mod_n_sharding(2)
        begin = time.monotonic()
        result = gaia.RayRunner("s3://bucket/deadly").run(pipeline)
        assert os.path.exists(f"{folder}/struck")
        assert len(result["out"]) == 51
        print(
            f"a raylet was killed: all is there after {time.monotonic() - begin:.0f} s", flush=True
        )
    urllib.request.urlopen(STORE).close()


if __name__ == "__main__":
    drive() if sys.argv[1:] == ["--driver"] else main()
