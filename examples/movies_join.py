"""Joins movies with their cast: python movies_join.py --movies 'movies*.jsonl' --cast 'cast*.jsonl'

A movie is `{"id": 1, "title": "Alien", "year": 1979, "adult": true}`, a member of its cast
`{"movie_id": 1, "name": "Sigourney Weaver", "role": "Ripley"}`. The joined movies are split into
those for adults and those for the family. Without inputs it makes up a few movies.
"""

import json
import random
from collections.abc import Iterable
from pathlib import Path

import attrs

import gaia


@attrs.define
class Movie:
    id: int
    title: str
    year: int
    adult: bool


@attrs.define
class CastMember:
    movie_id: int
    name: str
    role: str


@attrs.define
class MovieWithCast:
    id: int
    title: str
    year: int
    adult: bool
    cast: list[str] = attrs.field(factory=list)


class MovieJoiner(gaia.Joiner[MovieWithCast]):
    """Adds the cast to the movies of one shard, all of which arrive before the first of the cast.

    Cast without a movie is counted and left out; movies without cast are counted and kept.
    """

    def __init__(self) -> None:
        self.movies: dict[int, MovieWithCast] = {}

    def on_movie(self, movie: Movie, ctx: gaia.Context[MovieWithCast]) -> None:
        self.movies[movie.id] = MovieWithCast(movie.id, movie.title, movie.year, movie.adult)

    def on_cast_member(self, member: CastMember, ctx: gaia.Context[MovieWithCast]) -> None:
        if movie := self.movies.get(member.movie_id):
            movie.cast.append(f"{member.name} as {member.role}")
        else:
            ctx.inc("cast-without-movie")

    def on_shard_finish(self, ctx: gaia.Context[MovieWithCast]) -> None:
        for movie in self.movies.values():
            if not movie.cast:
                ctx.inc("movies-without-cast")
            ctx.write(movie)


def audience(movie: MovieWithCast) -> str:
    """The shard that a movie goes to."""
    return "adult" if movie.adult else "family"


def build(movie_inputs: list[str], cast_inputs: list[str], num_shards: int = 8) -> gaia.Pipeline:
    """The pipeline; its result is the table `movies` with the shards `adult` and `family`."""
    pipeline = gaia.Pipeline("movies_join")
    movies = pipeline.read_jsonl(movie_inputs, type=Movie, name="read_movies")
    (
        movies.write("movies_interim", gaia.TXT)
        .with_mod_n_sharding(num_shards, key="id")
        .and_compress(gaia.ZSTD)
    )
    cast = pipeline.read_jsonl(cast_inputs, type=CastMember, name="read_cast")
    (
        cast.write("cast_interim", gaia.TXT)
        .with_mod_n_sharding(num_shards, key="movie_id")
        .and_compress(gaia.ZSTD)
    )
    joined = pipeline.join(
        MovieJoiner,
        [movies.bind_with(MovieJoiner.on_movie), cast.bind_with(MovieJoiner.on_cast_member)],
        name="join_movies",
    )
    joined.write("movies", gaia.JSONL).with_custom_sharding(audience)
    return pipeline


def make_movies(folder: Path) -> tuple[list[str], list[str]]:
    """Makes up movies and cast, some without the other; returns the paths of each."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    movies = [
        Movie(number, f"Movie {number}", chance.randint(1950, 2020), chance.random() < 0.3)
        for number in range(100)
    ]
    cast = [
        CastMember(chance.randrange(110), f"Actor {chance.randrange(80)}", f"Role {number}")
        for number in range(400)
    ]
    movies_path, cast_path = folder / "movies.jsonl", folder / "cast.jsonl"
    write_jsonl(movies_path, movies)
    write_jsonl(cast_path, cast)
    return [str(movies_path)], [str(cast_path)]


def write_jsonl(path: Path, records: Iterable[Movie | CastMember]) -> None:
    path.write_text("".join(f"{json.dumps(attrs.asdict(record))}\n" for record in records))


def main() -> None:
    parser = gaia.arg_parser(__doc__, dest_dir="out/movies_join")
    parser.add_argument("--movies", nargs="+", help="paths or globs of JSONL files of movies")
    parser.add_argument("--cast", nargs="+", help="paths or globs of JSONL files of cast")
    parser.add_argument("--num_shards", type=int, default=8, help="files per interim table (8)")
    args = parser.parse_args()
    if bool(args.movies) != bool(args.cast):
        parser.error("expected both --movies and --cast, or neither")

    movie_inputs, cast_inputs = args.movies, args.cast
    if not movie_inputs:
        movie_inputs, cast_inputs = make_movies(Path(args.dest_dir, "inputs"))
    result = gaia.runner_from_args(args).run(build(movie_inputs, cast_inputs, args.num_shards))

    movies = result["movies"]
    for shard in movies.shards:
        print(f"{shard.records:>8,} {shard.key} movies")
    for counter in ("movies-without-cast", "cast-without-movie"):
        print(f"{result.counters.get(counter, 0):>8,} {counter}")
    print(f"joined in {movies.path} ({result.elapsed:.1f} s)")


if __name__ == "__main__":
    main()
