"""What a type checker makes of a pipeline: tables know their records, and misfits are errors."""

import re

import pytest
from mypy import api

PREAMBLE = """
from collections.abc import Iterator
from typing import Any

import attrs
import gaia

@attrs.define
class WordCount:
    word: str
    count: int

class WordSplitter(gaia.Mapper[str, WordCount]):
    def __init__(self, pattern: str) -> None: ...
    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None: ...

class Plain(gaia.Mapper[str, WordCount]):
    def do(self, line: str, ctx: gaia.Context[WordCount]) -> None: ...

class GroupBy(gaia.Joiner[WordCount]):
    def on_word_count(self, record: WordCount, ctx: gaia.Context[WordCount]) -> None: ...

class Columns(gaia.Mapper[str, WordCount]):
    def do_batch(self, batch: gaia.Batch[str], ctx: gaia.Context[WordCount]) -> None: ...

def length(line: str) -> int: ...
def shorten(line: str, size: int) -> str: ...
def words(line: str) -> Iterator[str]: ...
def letters(line: str, least: int) -> list[str]: ...

p = gaia.Pipeline("p")
lines = p.read_text("lines.txt")
counts = lines.map(WordSplitter, "")
output = counts.write("counts", gaia.TXT)
result = gaia.LocalRunner("out").run(p)
"""

TYPES = [
    ("p.read_text('a.txt')", "PTable[str]"),
    ("p.read_jsonl('a.jsonl')", "PTable[dict[str, Any]]"),
    ("p.read_jsonl('a.jsonl', type=WordCount)", "PTable[WordCount]"),
    ("p.read_csv('a.csv', type=WordCount)", "PTable[WordCount]"),
    ("p.read_table('a', type=WordCount)", "PTable[WordCount]"),
    ("p.from_records([1, 2])", "PTable[int]"),
    ("p.from_records([], type=WordCount)", "PTable[WordCount]"),
    (r"lines.map(WordSplitter, r'\w+')", "PTable[WordCount]"),
    ("lines.map(Plain)", "PTable[WordCount]"),
    ("lines.map(length)", "PTable[int]"),
    ("lines.map(shorten, 3)", "PTable[str]"),
    ("lines.map(lambda line: len(line), output=int)", "PTable[int]"),
    ("counts.map(lambda wc: wc.word)", "PTable[str]"),
    ("lines.flat_map(words)", "PTable[str]"),
    ("lines.flat_map(letters, 3)", "PTable[str]"),
    ("lines.flat_map(lambda line: line.split(), output=str)", "PTable[str]"),
    ("counts.filter(lambda wc: wc.count > 1)", "PTable[WordCount]"),
    ("lines.as_(WordCount)", "PTable[WordCount]"),
    ("lines.map(gaia.ops.Words())", "PTable[WordCount]"),
    ("lines.map(gaia.ops.Words(type=str))", "PTable[str]"),
    (r"lines.map(gaia.ops.FindAll(r'\w+', type=WordCount))", "PTable[WordCount]"),
    ("lines.map(gaia.ops.ParseCsv(WordCount))", "PTable[WordCount]"),
    ("counts.map(gaia.ops.Select('word', type=str))", "PTable[str]"),
    (
        "p.join(gaia.ops.GroupBy('word', type=WordCount, count='sum'), [counts])",
        "PTable[WordCount]",
    ),
    ("lines.map(Columns, batch_size=10)", "PTable[WordCount]"),
    ("output.and_combine('word', count='sum')", "Output[WordCount]"),
    ("p.join(GroupBy, [counts.bind_with(GroupBy.on_word_count)])", "PTable[WordCount]"),
    ("output", "Output[WordCount]"),
    ("output.with_mod_n_sharding(4, key=lambda wc: wc.word)", "Output[WordCount]"),
    ("output.with_custom_sharding(lambda wc: wc.word)", "Output[WordCount]"),
    ("output.with_max_shard_size(64).and_compress(gaia.ZSTD)", "Output[WordCount]"),
]

ERRORS = [
    "lines.bind_with(GroupBy.on_word_count)",
    "counts.map(length)",
    "counts.map(gaia.ops.Words())",
    "counts.map(Columns)",
    "counts.map(Plain)",
    "counts.map(WordSplitter, '')",
    "counts.filter(length)",
    "counts.flat_map(words)",
    "output.with_mod_n_sharding(4, key=lambda wc: wc.missing)",
    "output.with_mod_n_sharding(4, key=length)",
    "output.with_custom_sharding(lambda wc: wc.count)",
    "p.join(Plain, [counts.bind_with(GroupBy.on_word_count)])",
    "p.join(GroupBy, [counts])",
    "counts.write('counts', 'txt')",
]


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """What mypy says of every expression: its lines of output, without the place."""
    folder = tmp_path_factory.mktemp("typing")
    expressions = [f"reveal_type({expression})" for expression, _ in TYPES] + ERRORS
    snippet = folder / "snippet.py"
    snippet.write_text("\n".join([PREAMBLE, *expressions]))
    first = PREAMBLE.count("\n") + 2

    options = ["--strict", "--config-file=", "--hide-error-context", "--no-pretty"]
    cache = f"--cache-dir={folder / 'cache'}"
    out, err, _ = api.run([*options, cache, "--disable-error-code=empty-body", str(snippet)])
    assert not err

    found: dict[str, list[str]] = {}
    for number, message in re.findall(r"^.*snippet\.py:(\d+): (.*)$", out, re.MULTILINE):
        at = int(number) - first
        assert at >= 0, message
        found.setdefault(expressions[at], []).append(message)
    return found


@pytest.mark.parametrize(("expression", "expected"), TYPES)
def test_type(findings, expression, expected):
    found = [without_modules(finding) for finding in findings[f"reveal_type({expression})"]]
    assert found == [f'note: Revealed type is "{expected}"']


@pytest.mark.parametrize("expression", ERRORS)
def test_misfit_is_an_error(findings, expression):
    assert any(finding.startswith("error:") for finding in findings.get(expression, []))


def without_modules(finding: str) -> str:
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", finding)
