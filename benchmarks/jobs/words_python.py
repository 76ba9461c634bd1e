"""Words counted by one plain loop: words_python.py TEXT DEST"""

import sys
from pathlib import Path

source, dest, *_ = sys.argv[1:]
counts: dict[str, int] = {}
with open(source) as lines:
    for line in lines:
        for word in line.split():
            counts[word] = counts.get(word, 0) + 1
result = Path(dest, "result")
result.mkdir(parents=True)
with open(result / "counts.txt", "w") as file:
    file.writelines(f"{word}\t{count}\n" for word, count in counts.items())
