"""Finds the lines that match a regular expression: python mrgrep.py 'def \\w+' 'src/**/*.py'

Every match is written as `file:position line`, where the position is the offset of the line in
bytes. Without files it searches the `json` package of Python's standard library.
"""

import sysconfig

import re2

import gaia


class Grep(gaia.Mapper[str, str]):
    """Writes the lines that match, with their place, and counts them by file."""

    def __init__(self, pattern: str) -> None:
        self.regex = re2.compile(pattern)

    def do(self, line: str, ctx: gaia.Context[str]) -> None:
        if self.regex.search(line):
            ctx.write(f"{ctx.input_file}:{ctx.input_pos} {line}")
            ctx.freq_map("matches")[ctx.input_file] += 1


def build(pattern: str, files: list[str], num_shards: int = 8) -> gaia.Pipeline:
    """The pipeline; its result is the table `matches`."""
    pipeline = gaia.Pipeline("mrgrep")
    lines = pipeline.read_text(files, name="files", errors="replace")
    matches = lines.map(Grep, pattern, name="grep")
    matches.write("matches", gaia.TXT).with_mod_n_sharding(num_shards).and_compress(gaia.ZSTD)
    return pipeline


def place(match: str) -> tuple[str, int]:
    """The file and position of a match."""
    file, position = re2.match(r"(.*?):(\d+) ", match).groups()
    return file, int(position)


def main() -> None:
    parser = gaia.arg_parser(__doc__, dest_dir="out/mrgrep")
    parser.add_argument("pattern", help="a regular expression of RE2")
    parser.add_argument("files", nargs="*", help="paths or globs of text files")
    parser.add_argument("--num_shards", type=int, default=8, help="files of the table (8)")
    args = parser.parse_args()

    files = args.files or [f"{sysconfig.get_path('stdlib')}/json/*.py"]
    pipeline = build(args.pattern, files, args.num_shards)
    result = gaia.runner_from_args(args).run(pipeline)

    matches: gaia.Table[str] = result["matches"]
    for match in sorted(matches.records(), key=place):
        print(match)
    print(f"{len(matches):,} matches ({result.elapsed:.1f} s)")
    for file, count in sorted(result.freq_maps.get("matches", {}).items()):
        print(f"{count:>8,}  {file}")


if __name__ == "__main__":
    main()
