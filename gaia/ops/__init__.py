"""Native operators: mappers and joiners that run in the core on whole blocks of records.

They take the place of a `Mapper` in `table.map(...)` or of a `Joiner` in `pipeline.join(...)`, and
mix freely with Python steps before and after.

>>> import gaia, gaia.testing
>>> pipeline = gaia.Pipeline("word_count")
>>> lines = pipeline.read_text("books/*.txt", name="lines")
>>> words = lines.map(gaia.ops.Words())
>>> (words.write("words", gaia.TXT)
...     .with_mod_n_sharding(64, "word").and_combine("word", count="sum").name)
'words'
>>> counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words])
>>> _ = counts.write("counts", gaia.TXT)
>>> result = gaia.testing.run(pipeline, {"lines": ["to be or not", "to be"]})
>>> sorted((wc.word, wc.count) for wc in result["counts"])
[('be', 2), ('not', 1), ('or', 1), ('to', 2)]
"""

from gaia.ops.distinct import Distinct
from gaia.ops.group_by import GroupBy
from gaia.ops.match import InnerJoin, LeftJoin
from gaia.ops.parse import ParseCsv, ParseJson, Split
from gaia.ops.select import Filter, Select
from gaia.ops.text import Grep, Lower, Replace
from gaia.ops.top_k import TopK
from gaia.ops.words import FindAll, WordCount, Words

__all__ = [
    "Distinct",
    "Filter",
    "FindAll",
    "Grep",
    "GroupBy",
    "InnerJoin",
    "LeftJoin",
    "Lower",
    "ParseCsv",
    "ParseJson",
    "Replace",
    "Select",
    "Split",
    "TopK",
    "WordCount",
    "Words",
]
