"""The words of a file counted by one plain Python loop: plain_loop.py FILE"""

import sys

d: dict[str, int] = {}
with open(sys.argv[1]) as lines:
    for line in lines:
        for w in line.split():
            d[w] = d.get(w, 0) + 1
print(sum(d.values()), len(d))
