"""A run with a live page that waits until it is told to go on: live_job.py DEST GATE KIND

Each step that waits opens the pipe GATE, which blocks until a test opens it as well. Of the kinds,
`fail` raises after that, and `linger` waits a second time when the run has come to its end.
"""

import sys

import attrs

import gaia
from gaia.runner.live import LivePage

# What a page must not take for its own.
HOSTILE = "</script><img src=//evil.example/x.png onerror=alert(1)>"
WORDS = 64


@attrs.define
class Word:
    word: str
    count: int


class Split(gaia.Mapper[str, Word]):
    def __init__(self, gate: str, kind: str) -> None:
        self.gate = gate
        self.kind = kind

    def do(self, line: str, ctx: gaia.Context[Word]) -> None:
        if line.startswith("wait"):
            ctx.inc("waited")
            with open(self.gate) as gate:
                gate.read()
            if self.kind == "fail":
                raise ValueError(HOSTILE)
        for word in line.split(" "):
            ctx.write(Word(word, 1))


def main() -> None:
    dest, gate, kind = sys.argv[1:]
    lines = [f"word{number} {HOSTILE} the" for number in range(WORDS - 1)] + ["wait here"]
    pipeline = gaia.Pipeline("live <b>job</b>")
    words = pipeline.from_records(lines, name="lines").map(Split, gate, kind, name="split & count")
    words.write("words", gaia.TXT).with_mod_n_sharding(8, "word")
    counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="counts")
    counts.write("result", gaia.TXT)
    if kind == "linger":
        close = LivePage.close

        def close_later(self: LivePage) -> None:
            with open(gate) as again:
                again.read()
            close(self)

        LivePage.close = close_later
    gaia.LocalRunner(dest, workers=2, http_port=0, progress=False).run(pipeline)


if __name__ == "__main__":
    main()
