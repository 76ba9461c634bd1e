"""What the live page's server answers, and what it refuses."""

import json
import os
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from live_runs import LiveRun, live_run

import gaia
from gaia.runner.metrics import metrics


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer."""
    request = urllib.request.Request(url, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


def until(run: LiveRun, finished: int) -> dict[str, Any]:
    """The run's status once so many of the first stage's tasks have finished."""
    with urllib.request.urlopen(f"{run.url}events", timeout=60) as events:
        for line in events:
            if line.startswith(b"data: "):
                status: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                if status["stages"][0]["finished"] >= finished:
                    return status
    raise AssertionError("the run has ended")


def values(metrics: str) -> dict[str, float]:
    """Metrics by name and labels."""
    lines = [line for line in metrics.splitlines() if not line.startswith("#")]
    for line in lines:
        assert re.fullmatch(
            r'gaia_[a-z_]+(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="[^"]*")*\})? \S+', line
        )
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_names_in_metrics_are_escaped() -> None:
    names = {'a "b"\\c\nd': 1, os.fsdecode(b"caf\xe9"): 2}
    run = {"pipeline": "p", "phase": "done", "elapsed": 1.5, "versions": {"gaia": "1"}}
    text = metrics(run | {"stages": [], "tables": {}, "counters": names, "samples": []})
    found = values(text.encode().decode())
    assert found[r'gaia_counter{counter="a \"b\"\\c\nd"}'] == 1
    assert found['gaia_counter{counter="caf?"}'] == 2


def test_a_run_is_told_as_data(tmp_path: Path) -> None:
    with live_run(tmp_path) as run:
        status = until(run, 15)
        assert status["phase"] == "running"
        assert status["report"] == str(run.dest / "_gaia" / "report.html")
        (waiting,) = status["stages"][0]["running"]
        assert (waiting["task"], waiting["attempt"]) == (15, 1)
        code, headers, body = ask(f"{run.url}status.json")
        assert (code, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(body)["stages"][0]["finished"] == 15

        code, headers, body = ask(f"{run.url}metrics")
        assert (code, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        found = values(body)
        assert found['gaia_stage_tasks{stage="lines",state="finished"}'] == 15
        assert found['gaia_stage_tasks{stage="lines",state="running"}'] == 1
        assert found['gaia_state{state="running"}'] == 1
        assert (
            found['gaia_info{pipeline="live <b>job</b>",version="' + gaia.__version__ + '"}'] == 1
        )
        assert found['gaia_worker_memory_bytes{worker="worker 1"}'] > 1e6
        assert ask(f"{run.url}healthz")[::2] == (200, "ok\n")
        run.open_gate()
        assert run.end() == (0, "")


def test_the_last_news_are_how_the_run_ended(tmp_path: Path) -> None:
    with live_run(tmp_path) as run, urllib.request.urlopen(f"{run.url}events") as events:
        run.open_gate()
        *_, last = [line for line in events if line.startswith(b"data: ")]
        status = json.loads(last.removeprefix(b"data: "))
        assert status["phase"] == "done"
        record = json.loads((run.dest / "_gaia" / "run.json").read_text())
        assert status["counters"] == record["counters"]
        assert status["tables"] == record["tables"]
        assert run.end() == (0, "")


def test_it_only_tells(tmp_path: Path) -> None:
    with live_run(tmp_path) as run:
        for path in ("", "status.json", "events", "metrics", "healthz"):
            for method in ("POST", "PUT", "DELETE"):
                assert ask(run.url + path, method)[0] == 405
        code, headers, body = ask(run.url, "HEAD")
        assert (code, body) == (200, "")
        assert int(headers["Content-Length"]) > 10_000
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert ask(f"{run.url}other")[0] == 404


@pytest.mark.parametrize("path", ["", "status.json", "events", "metrics"])
def test_names_of_other_machines_are_refused(tmp_path: Path, path: str) -> None:
    with live_run(tmp_path) as run:
        for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1"):
            code, _, body = ask(run.url + path, Host=host)
            assert (code, body) == (403, f"expected a name of this machine, got {host}")
        if path != "events":
            for host in ("localhost:9000", "[::1]:8080", "127.0.0.1"):
                assert ask(run.url + path, Host=host)[0] == 200


def test_a_port_that_is_taken_is_told_before_anything_runs(tmp_path: Path) -> None:
    called = tmp_path / "called"
    pipeline = gaia.Pipeline("taken")
    lines = pipeline.from_records(["a"], name="lines")
    marked = lines.map(lambda line: called.touch() or line, name="mark", output=str)
    marked.write("out", gaia.TXT).with_mod_n_sharding(2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(gaia.PipelineError, match="Address already in use; choose") as caught:
            gaia.LocalRunner(tmp_path / "out", http_port=port).run(pipeline)
    assert str(caught.value).startswith(f"cannot listen on 127.0.0.1, port {port}, for the live")
    assert f"  at {__file__}:" in str(caught.value)
    assert not called.exists()
    assert not (tmp_path / "out" / "out").exists()


@pytest.mark.parametrize("port", [-1, 65536, "8080", True])
def test_ports_are_numbers(tmp_path: Path, port: Any) -> None:
    with pytest.raises(gaia.PipelineError, match="expected http_port from 0 to 65535, got"):
        gaia.LocalRunner(tmp_path, http_port=port)


def test_without_a_port_nothing_listens(tmp_path: Path, capfd: Any) -> None:
    pipeline = gaia.Pipeline("quiet")
    lines = pipeline.from_records(["a"], name="lines")
    lines.write("out", gaia.TXT).with_mod_n_sharding(2)
    gaia.LocalRunner(tmp_path).run(pipeline)
    assert capfd.readouterr().err == ""
