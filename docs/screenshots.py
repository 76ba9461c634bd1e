"""Pictures of real runs: their progress on a terminal, the live page, and their reports.

python docs/screenshots.py [--text FILE] [--mib 1024] [--folder DIR] [--into docs/img]

Counts the words of a text and joins two tables. Without a text it makes one, in a folder for that.
"""

import argparse
import fcntl
import html
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pyte
from playwright.sync_api import Browser, Page, expect, sync_playwright

import gaia

ROOT = Path(__file__).parent.parent
COLUMNS, LINES = 110, 12
SHARDS = 64


@attrs.define
class Word:
    word: str
    count: int


class Split(gaia.Mapper[str, Word]):
    def do(self, line: str, ctx: gaia.Context[Word]) -> None:
        for word in line.split():
            ctx.write(Word(word, 1))


@attrs.define
class Fact:
    id: int
    amount: float


@attrs.define
class Dim:
    id: int
    name: str


def count_words(text: str) -> gaia.Pipeline:
    pipeline = gaia.Pipeline("word_count")
    words = pipeline.read_text(text, name="lines").map(Split, name="words")
    words.write("words", gaia.TXT).with_mod_n_sharding(SHARDS, "word")
    counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="group_by")
    counts.write("wordcounts", gaia.TXT).and_compress(gaia.ZSTD)
    return pipeline


def join_tables(facts_csv: str, dims_csv: str) -> gaia.Pipeline:
    pipeline = gaia.Pipeline("sales_by_name")
    facts = pipeline.read_csv(facts_csv, type=Fact, name="facts")
    dims = pipeline.read_csv(dims_csv, type=Dim, name="dims")
    facts.write("fact_shards", gaia.ARROW).with_mod_n_sharding(SHARDS, "id")
    dims.write("dim_shards", gaia.ARROW).with_mod_n_sharding(SHARDS, "id")
    named = pipeline.join(gaia.ops.InnerJoin("id"), [facts, dims], name="join")
    named.write("named", gaia.PARQUET)
    return pipeline


JOBS = {"words": count_words, "join": join_tables}


class Terminal:
    """A job on a terminal of its own, whose screen is read by a thread."""

    def __init__(self, name: str, inputs: list[Path], dest: Path) -> None:
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        command = [sys.executable, "docs/screenshots.py", "--job", name, "--dest", dest, *inputs]
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
        )
        os.close(theirs)
        self.url = ""
        self.found = threading.Event()
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, args=(ours,))
        self._reader.start()

    def _read(self, descriptor: int) -> None:
        stream, said = pyte.ByteStream(self._screen), b""
        while True:
            try:
                block = os.read(descriptor, 1 << 16)
            except OSError:  # The other side is closed.
                break
            with self._lock:
                stream.feed(block)
            said += block
            if found := re.search(rb"live page at (http://[\d.:]+/)\s", said):
                self.url = found[1].decode()
                self.found.set()
        os.close(descriptor)
        self.found.set()

    def shown(self) -> str:
        """What stands on the screen, as HTML."""
        with self._lock:
            rows = [self._screen.buffer[y] for y in range(LINES)]
            lines = ["".join(_cell(row[x]) for x in range(COLUMNS)) for row in rows]
        while lines and not re.sub(r"<[^>]+>", "", lines[-1]).strip():
            lines.pop()
        return "\n".join(lines)

    def end(self) -> None:
        code = self.process.wait()
        self._reader.join()
        if code:
            sys.exit(f"the job failed:\n{re.sub(r'<[^>]+>', '', self.shown())}")


_COLOURS = {
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#d7ba7d",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "default": "#d6dade",
}


def _cell(cell: pyte.screens.Char) -> str:
    text = html.escape(cell.data)
    colour = _COLOURS.get(cell.fg) or (
        f"#{cell.fg}" if re.fullmatch(r"[\da-f]{6}", cell.fg) else ""
    )
    weight = "bold" if cell.bold else "normal"
    return f'<span style="color:{colour};font-weight:{weight}">{text}</span>'


TERMINAL = """<meta charset="utf-8"><style>
body { margin: 0; width: max-content }
pre { margin: 0; background: #1b1f23; padding: 18px 22px }
pre { font: 14px/1.35 "DejaVu Sans Mono", Menlo, monospace }
</style><pre>"""


@contextmanager
def opened(browser: Browser, url: str, scheme: str, width: int, height: int) -> Iterator[Page]:
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.goto(url)
    yield page
    page.close()


def picture_words(browser: Browser, text: Path, folder: Path, into: Path) -> None:
    dest = folder / "words"
    job = Terminal("words", [text], dest)
    try:
        picture_live(browser, job, into)
    finally:
        job.end()
    picture_report(browser, dest, into / "report-words.png", "light")


def picture_live(browser: Browser, job: Terminal, into: Path) -> None:
    job.found.wait()
    with opened(browser, job.url, "light", 1280, 1180) as page:
        # In the second half of its first stage.
        expect(page.locator("#way")).to_have_attribute(
            "aria-valuenow", re.compile(r"[3-9]\d|100"), timeout=1_800_000
        )
        page.screenshot(path=into / "live-light.png")
        screen = job.shown()
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=into / "live-dark.png")
        page.set_viewport_size({"width": 390, "height": 844})
        page.screenshot(path=into / "live-narrow.png")
    with opened(browser, "about:blank", "dark", COLUMNS * 9 + 44, 200) as page:
        page.set_content(TERMINAL + screen)
        page.locator("pre").screenshot(path=into / "terminal.png")


def picture_join(browser: Browser, inputs: list[Path], folder: Path, into: Path) -> None:
    job = Terminal("join", inputs, folder / "join")
    job.end()
    picture_report(browser, folder / "join", into / "report-join.png", "dark")


def picture_report(browser: Browser, dest: Path, path: Path, scheme: str) -> None:
    report = dest / "_gaia" / "report.html"
    with opened(browser, report.as_uri(), scheme, 1280, 900) as page:
        page.screenshot(path=path, full_page=True)


def inputs_in(folder: Path, mib: int, text: Path | None) -> tuple[Path, list[Path]]:
    """A text, and two tables; made if need be."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import make_data

    found = text.absolute() if text else make_data.make("text", folder, 1.0, mib)
    return found, [make_data.make(name, folder, mib / 1024, mib) for name in ("facts", "dims")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "img")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--dest", help=argparse.SUPPRESS)
    parser.add_argument("inputs", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        gaia.LocalRunner(args.dest, http_port=0).run(JOBS[args.job](*args.inputs))
        return
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("expected chromium, to take pictures of pages; install it and try again")
    if args.folder is not None:
        args.folder = args.folder.resolve()
    args.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = args.folder or Path(scratch)
        text, tables = inputs_in(folder, args.mib, args.text)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        picture_words(browser, text, folder, args.into)
        picture_join(browser, tables, folder, args.into)
        browser.close()
    for path in sorted(args.into.glob("*.png")):
        print(f"{path}: {path.stat().st_size >> 10} kB")


if __name__ == "__main__":
    main()
