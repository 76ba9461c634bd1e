"""The page of a run in a real browser: live, and as the run's report."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from live_job import HOSTILE, WORDS
from live_runs import LiveRun, live_run
from playwright.sync_api import Browser, Page, expect, sync_playwright

import gaia
from gaia.runner.page import page as gaia_page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium is installed on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Its sandbox does not work for root, as which containers run.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of which nothing is left to be seen in the console, and that asks for nothing from
    elsewhere."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    page.close()
    assert said == []
    hosts = {
        urlsplit(url).hostname for url in asked if urlsplit(url).scheme not in ("file", "data")
    }
    assert hosts <= {"127.0.0.1"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The destination of a run that is done."""
    folder = tmp_path_factory.mktemp("finished")
    with live_run(folder) as run:
        run.open_gate()
        assert run.end() == (0, "")
    return run.dest


def record(dest: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((dest / "_gaia" / "run.json").read_text())
    return content


def report(dest: Path) -> str:
    return (dest / "_gaia" / "report.html").as_uri()


def rows(page: Page, label: str) -> dict[str, list[str]]:
    """The rows of a table by their first cells."""
    found = page.locator(f'[aria-label="{label}"] tbody tr')
    cells = [row.locator("th, td").all_inner_texts() for row in found.all()]
    return {first.strip(): [cell.strip() for cell in rest] for first, *rest in cells}


def number(text: str) -> int:
    return int(re.sub(r"\s", "", text))


def waits(page: Page, run: LiveRun) -> None:
    """Until all tasks have finished but the one that waits."""
    page.goto(run.url)
    shown = page.locator('[data-row="lines"]')
    expect(shown).to_contain_text("15 / 16")


def test_a_long_run_tells_throughput_though_its_samples_are_rare(
    page: Page, finished: Path, tmp_path: Path
) -> None:
    snapshot = record(finished)
    stage = snapshot["stages"][0]
    stage |= {"phase": "running", "bytes": 500 << 20, "bytes_read": 200 << 20, "ended": None}
    rest = [one | {"bytes_read": 0, "phase": "waiting"} for one in snapshot["stages"][1:]]
    samples = [
        {"at": at, "read": read << 20, "cpu": {}, "memory": {}}
        for at, read in ((0, 0), (3550, 99), (3590, 100), (3597, 170))
    ]
    snapshot |= {"phase": "running", "elapsed": 3600.0, "samples": samples}
    snapshot["stages"] = [stage, *rest]
    path = tmp_path / "page.html"
    path.write_bytes(gaia_page(json.dumps(snapshot), "<svg/>"))
    page.goto(path.as_uri())
    expect(page.locator("#throughput")).to_contain_text("10.0\u00a0MiB/s")
    expect(page.locator("#left")).to_contain_text("30.0\u00a0s")


class TestLive:
    def test_it_shows_what_the_run_does_and_then_how_it_ended(
        self, page: Page, tmp_path: Path
    ) -> None:
        with live_run(tmp_path) as run:
            waits(page, run)
            expect(page.locator("#state")).to_have_text("lines: running")
            expect(page).to_have_title(re.compile(r"^\d+ % live <b>job</b> "))
            state, tasks, running, queued, *_ = rows(page, "Stages")["lines"]
            assert (state, tasks, running, queued) == ("running", "15 / 16", "1", "0")
            assert page.locator('[data-stage="lines"] .gaia-live').text_content() == "15/16"
            assert page.locator('#tasks [data-task$="/15/1"]').count() == 1
            before = page.locator("#elapsed").inner_text()
            expect(page.locator("#elapsed")).not_to_have_text(before)
            run.open_gate()
            expect(page.locator("#state")).to_have_text("done")
            assert run.end() == (0, "")
        # The server is gone, and all is still there.
        expect(page.locator("#note")).to_contain_text(str(run.dest / "_gaia" / "report.html"))
        told = record(run.dest)
        assert number(page.locator("#tasks-done").inner_text().split("\n")[0]) == 16 + 8
        assert (
            page.locator("#card-result p")
            .first.inner_text()
            .startswith(f"{told['tables']['result']['records']} records in 8 shards")
        )
        assert page.locator('[data-table="words"] .gaia-live').text_content() == str(
            told["tables"]["words"]["records"]
        )

    def test_it_stays_the_same_when_it_is_loaded_again(self, page: Page, tmp_path: Path) -> None:
        with live_run(tmp_path, "linger") as run:
            waits(page, run)
            page.reload()
            expect(page.locator('[data-row="lines"]')).to_contain_text("15 / 16")
            run.open_gate()
            expect(page.locator("#state")).to_have_text("done")
            shown = page.locator("#stages").inner_text()
            page.reload()
            expect(page.locator("#state")).to_have_text("done")
            assert page.locator("#stages").inner_text() == shown
            run.open_gate()
            assert run.end() == (0, "")

    def test_a_run_that_fails_shows_its_error(self, page: Page, tmp_path: Path) -> None:
        with live_run(tmp_path, "fail") as run:
            waits(page, run)
            run.open_gate()
            expect(page.locator("#state")).to_have_text("failed")
            code, told = run.end()
        assert code == 1
        assert HOSTILE in told
        for place in (None, report(run.dest)):
            if place is not None:
                page.goto(place)
            alert = page.get_by_role("alert")
            assert (
                alert.locator("strong").inner_text().startswith("The run failed in “lines” after")
            )
            assert f"ValueError: {HOSTILE}" in alert.locator("pre").inner_text()
            assert rows(page, "Stages")["lines"][0] == "failed"
            assert rows(page, "Stages")["counts"][0] == "waiting"
            assert page.locator("#errors li").count() == 1
            assert page.locator("img").count() == 0

    def test_a_run_that_is_gone_is_told_of(self, browser: Browser, tmp_path: Path) -> None:
        # The browser itself complains of the connection in its console.
        page = browser.new_page()
        with live_run(tmp_path) as run:
            waits(page, run)
            run.process.kill()
            run.process.wait()
            expect(page.locator("#note")).to_contain_text("can no longer be reached")
            assert rows(page, "Stages")["lines"][1] == "15 / 16"
        page.close()


class TestReport:
    def test_its_values_are_those_of_the_run(self, page: Page, finished: Path) -> None:
        page.goto(report(finished))
        told = record(finished)
        result = gaia.read_table(finished / "result")
        assert told["tables"]["result"]["records"] == len(result)

        assert page.locator("h1").inner_text() == "live <b>job</b>"
        assert page.locator("#state").inner_text() == "done"
        assert page.locator("#workers").inner_text().startswith("2\n")
        for stage in told["stages"]:
            state, tasks, running, queued, retried, *rest = rows(page, "Stages")[stage["name"]]
            assert (state, running, queued, retried) == ("done", "0", "0", "0")
            assert tasks == f"{stage['tasks']} / {stage['tasks']}"
            _, into, out, shards, _ = rest
            written = sum(told["tables"][name]["records"] for name in stage["tables"])
            assert (number(into), number(out)) == (stage["records"], written)
            assert shards == f"{stage['shards']} / {stage['shards']}"
        assert told["stages"][0]["records"] == WORDS
        shown = dict(
            line.split("\n") for line in page.locator("#counters dl > div").all_inner_texts()
        )
        assert {name: number(value) for name, value in shown.items()} == told["counters"]
        assert told["counters"]["waited"] == 1

        done = sum(len(stage["done"]) for stage in told["stages"])
        assert page.locator("#tasks [data-task]").count() == done == 24
        for name, table in told["tables"].items():
            card = page.locator(f"#card-{name}")
            card.locator("summary").click()
            sizes = rows(page, f"Largest shards of {name}")
            assert {int(shard): number(cells[1]) for shard, cells in sizes.items()} == {
                shard["shard"]: shard["records"] for shard in table["largest"]
            }
            assert len(card.locator("svg rect").all()) == len(table["histogram"])
        settings = page.locator("#settings").inner_text()
        assert str(finished) in settings
        assert gaia.__version__ in settings

    def test_samples_can_be_read_as_numbers(self, page: Page, finished: Path) -> None:
        page.goto(report(finished))
        page.get_by_text("As numbers").click()
        samples = record(finished)["samples"]
        table = page.locator('[aria-label="Samples over time"]')
        assert 1 <= table.locator("tbody tr").count() <= len(samples)
        titles = table.locator("thead th").all_inner_texts()
        assert titles[:2] == ["time", "throughput"]
        assert "worker 2, memory" in titles

    def test_it_loads_nothing_and_may_not(self, page: Page, finished: Path) -> None:
        page.goto(report(finished))
        policy = page.locator("meta[http-equiv]").get_attribute("content")
        assert policy is not None
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "connect-src 'none'" in policy
        assert page.evaluate("performance.getEntriesByType('resource').length") == 0

    def test_all_of_it_is_reached_by_keyboard(self, page: Page, finished: Path) -> None:
        page.goto(report(finished))
        stops = []
        for _ in range(40):
            page.keyboard.press("Tab")
            stop, outline = page.evaluate(
                "() => { const e = document.activeElement, style = getComputedStyle(e);"
                "  return [e.getAttribute('aria-label') || e.innerText, style.outlineStyle] }"
            )
            if stop in stops or page.evaluate("document.activeElement === document.body"):
                break
            assert outline != "none", stop
            stops.append(stop)
        assert [stop.splitlines()[0] for stop in stops] == [
            "Skip to the run",
            "The plan, drawn",
            "Stages",
            "Throughput over time",
            "Processor cores in use over time, by worker",
            "Memory over time, by worker",
            "Tasks by worker; arrow keys choose one",
            "As numbers",
            "Slowest tasks",
            "Largest shards",
        ]

    def test_arrow_keys_look_at_a_time_and_choose_a_task(self, page: Page, finished: Path) -> None:
        page.goto(report(finished))
        throughput = page.get_by_role("slider", name="Throughput over time")
        throughput.focus()
        page.keyboard.press("Home")
        assert " at 0\u00a0s" in page.locator("#rate-said").inner_text()
        assert throughput.get_attribute("aria-valuenow") == "0.00"
        assert page.locator(".chart .cursor").count() == 4
        page.keyboard.press("Escape")
        assert page.locator(".chart .cursor").count() == 0

        tasks = page.get_by_role("listbox")
        tasks.focus()
        page.keyboard.press("Home")
        first = page.locator("#chosen").inner_text()
        assert re.match(r"lines, task \d+: .* on worker [12] from ", first)
        page.keyboard.press("ArrowRight")
        second = page.locator("#chosen").inner_text()
        assert second.startswith("lines, task ")
        assert second != first
        chosen = tasks.get_attribute("aria-activedescendant")
        assert page.locator(f"#{chosen}").get_attribute("aria-selected") == "true"
        # What is focused stays so.
        assert page.evaluate("document.activeElement.id") == "tasks"

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_stands_out_in_both_themes(self, page: Page, finished: Path, scheme: Any) -> None:
        page.emulate_media(color_scheme=scheme)
        page.goto(report(finished))
        back = lightness(page, "body", "backgroundColor")
        assert (back > 0.5) == (scheme == "light")
        for text in (
            "h1",
            "#state",
            "dt",
            "dd small",
            "thead th",
            "td",
            ".chart text",
            ".over .soft",
        ):
            colour = "fill" if text == ".chart text" else "color"
            light, dark = sorted((lightness(page, text, colour), back), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, text

    @pytest.mark.parametrize("width", [360, 768, 1920])
    def test_it_fits_narrow_and_wide_windows(self, page: Page, finished: Path, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(report(finished))
        assert page.evaluate("document.documentElement.scrollWidth") == width


def lightness(page: Page, selector: str, what: str) -> float:
    """The relative luminance (WCAG) of a colour of the first such element."""
    style = page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{what}")
    channels = [int(value) / 255 for value in re.findall(r"\d+", style)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
