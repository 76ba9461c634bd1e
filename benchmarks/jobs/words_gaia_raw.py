"""Words counted by a native operator; all of them are shuffled, as `(word, 1)`.

words_gaia_raw.py TEXT DEST WORKERS
"""

import sys

import gaia

source, dest, workers = sys.argv[1:]
pipeline = gaia.Pipeline("words")
words = pipeline.read_text(source, name="lines").map(gaia.ops.Words(), name="words")
words.write("words", gaia.TXT).with_mod_n_sharding(64, "word")
counts = pipeline.join(gaia.ops.GroupBy("word", count="sum"), [words], name="counts")
counts.write("result", gaia.TXT).and_compress(gaia.ZSTD)
gaia.LocalRunner(dest, workers=int(workers)).run(pipeline)
