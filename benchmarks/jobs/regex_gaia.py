r"""What `\w+` finds counted by a native operator: regex_gaia.py TEXT DEST WORKERS"""

import sys

import gaia

source, dest, workers = sys.argv[1:]
pipeline = gaia.Pipeline("regex")
words = pipeline.read_text(source, name="lines").map(gaia.ops.FindAll(r"\w+"), name="words")
words.write("words", gaia.TXT).with_mod_n_sharding(64, "word").and_combine("word", count="sum")
counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="counts")
counts.write("result", gaia.TXT).and_compress(gaia.ZSTD)
gaia.LocalRunner(dest, workers=int(workers)).run(pipeline)
