"""Commit: the frames of all tasks become shard files, and a folder of them the table."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress

import attrs

from gaia import _core
from gaia.errors import OutputError, TableError
from gaia.io.bundle import Frame
from gaia.io.files import reason
from gaia.io.frames import seek_table
from gaia.io.manifest import COUNTERS, MANIFEST, Shard, ShardFile, read_manifest, shard_path
from gaia.io.parquet import from_stream
from gaia.io.stores import at_once, explain
from gaia.io.upload import Upload


@attrs.frozen
class ShardJob:
    """A shard to be made of frames. `whole` is the bundle that holds nothing but this shard.

    What an `attempt` has left whose worker died is removed by the next.
    """

    key: int | str
    frames: tuple[Frame, ...]
    whole: str | None
    attempt: int = 1


@attrs.frozen
class Layout:
    """How the shards of a table are named and compressed. `folder` is where they are made, and
    `upload` sends them on; `head` comes before the frames of every file, and `tail` behind them,
    which makes an Arrow stream of those that are to be `parquet`."""

    table: str
    folder: str
    suffix: str
    compression: str
    level: int
    shards: int | None
    max_shard_bytes: int | None
    head: bytes = b""
    tail: bytes = b""
    parquet: bool = False
    upload: Upload | None = None


def make_shards(layout: Layout, jobs: tuple[ShardJob, ...]) -> list[Shard]:
    """Makes the files of shards, by concatenation alone: nothing is encoded again.

    Raises:
        OutputError: The destination cannot be written.
    """
    shards = []
    for job in jobs:
        try:
            shards.append(_make_shard(layout, job))
        except OSError as error:
            raise OutputError(
                f"cannot write shard {job.key!r} of table `{layout.table}` in {layout.folder}: "
                f"{reason(error)}"
            ) from None
    if layout.upload is not None:
        files = [file.path for shard in shards for file in shard.files]
        try:
            layout.upload.all([(os.path.join(layout.folder, name), name) for name in files])
        except Exception as error:
            # Clients of stores raise whatever they like.
            raise OutputError(explain(error, "write to", layout.upload.folder)) from None
    return shards


def _make_shard(layout: Layout, job: ShardJob) -> Shard:
    files = []
    limit = layout.max_shard_bytes
    ends = len(layout.head) + len(layout.tail)
    for part, frames in enumerate(_parts(job.frames, limit and limit - ends)):
        name = shard_path(
            layout.table, job.key, layout.shards, layout.suffix, part if limit else None
        )
        if name == COUNTERS:
            raise OutputError(
                f"shard {job.key!r} of table `{layout.table}` would be its file {COUNTERS}, where "
                "the counters are; choose another name for the shard"
            )
        path = os.path.join(layout.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if job.attempt > 1:
            for left in (path, f"{path}.arrow"):
                with suppress(FileNotFoundError):
                    os.remove(left)
        if job.whole is not None and len(frames) == len(job.frames) and not ends:
            _link(job.whole, path)
        elif frames or ends:
            _core.concat(path, _runs(frames), layout.head, layout.tail)
        else:
            with open(path, "xb") as file:
                file.write(_core.compress(b"", layout.compression, layout.level))
        if layout.parquet:
            os.rename(path, f"{path}.arrow")
            from_stream(f"{path}.arrow", path, layout.compression, layout.level)
            os.remove(f"{path}.arrow")
        if not ends and layout.compression == "zstd" and len(frames) > 1:
            stored = sum(frame.stored for frame in frames)
            seek = seek_table((frame.stored, frame.raw) for frame in frames)
            # A commit that was cut off may have written one to the bundle that this is, or a part.
            # Where it is whole, it stays: readers may have the file, if its table was published.
            if os.path.getsize(path) != stored + len(seek):
                with open(path, "r+b") as file:
                    file.truncate(stored)
                    file.seek(stored)
                    file.write(seek)
        files.append(ShardFile(name, os.path.getsize(path), f"{_core.checksum(path):016x}"))
    records = sum(frame.records for frame in job.frames)
    return Shard(job.key, records, sum(frame.raw for frame in job.frames), tuple(files))


def _link(source: str, target: str) -> None:
    """The bundle stays as well, for a commit that is done again because this one was cut off."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        # Scratch is on another disk, or one without links.
        _core.concat(target, [(source, 0, os.path.getsize(source))], b"", b"")


def _parts(frames: tuple[Frame, ...], limit: int | None) -> Iterator[tuple[Frame, ...]]:
    """Cuts a shard's frames into files of at most `limit` raw bytes; at least one file."""
    if limit is None or not frames:
        yield frames
        return
    part: list[Frame] = []
    size = 0
    for frame in frames:
        if part and size + frame.raw > limit:
            yield tuple(part)
            part, size = [], 0
        part.append(frame)
        size += frame.raw
    yield tuple(part)


def _runs(frames: tuple[Frame, ...]) -> list[tuple[str, int, int]]:
    """Byte ranges to copy, with neighbours in one bundle joined."""
    runs: list[tuple[str, int, int]] = []
    for frame in frames:
        if runs:
            path, offset, length = runs[-1]
            if path == frame.path and offset + length == frame.offset:
                runs[-1] = (path, offset, length + frame.stored)
                continue
        runs.append((frame.path, frame.offset, frame.stored))
    return runs


def publish(staged: str, final: str, durable: bool) -> None:
    """Puts a finished folder in the place of the table that was there, if any.

    Readers see the old table or the new one, whatever happens in between: even when the power goes,
    where it is to be `durable`. Files in the old folder that are not the table's are kept.

    Raises:
        OutputError: What is there was not made by Gaia, is in the way, or cannot be replaced.
    """
    check_replaceable(final)
    place = os.path.realpath(final)
    try:
        if durable:
            _sync(staged)
        if not os.path.isdir(place):
            os.rename(staged, place)
            return
        _keep_foreign_files(place, staged)
        if os.path.islink(final):
            # The link may lead to another file system, from where nothing can be swapped in.
            beside = f"{place}.gaia-unfinished"
            shutil.rmtree(beside, ignore_errors=True)  # Of a run that was killed.
            try:
                staged = shutil.copytree(staged, beside, symlinks=True)
            except OSError:
                shutil.rmtree(beside, ignore_errors=True)
                raise
        _core.swap(staged, place)
        shutil.rmtree(staged)
    except OSError as error:
        raise OutputError(f"cannot replace {final}: {reason(error)}") from None


def _sync(folder: str) -> None:
    """Has the system write all below a folder to the disk: files first, then what names them."""
    files, folders = [], []
    for parent, _, names in os.walk(folder, topdown=False):
        files += [os.path.join(parent, name) for name in names]
        folders.append(parent)

    def sync(path: str) -> None:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    # Many at once, so that the disk writes them together.
    at_once(sync, files)
    for parent in folders:
        sync(parent)


def check_replaceable(final: str) -> None:
    """Refuses to write a table where something else is.

    Raises:
        OutputError: There is a file, or a folder with content that is no table.
    """
    if not os.path.lexists(final):
        return
    if not os.path.isdir(final):
        raise OutputError(
            f"expected a folder or nothing at {final}, where a table is to be written"
        )
    if not os.listdir(final):
        return
    try:
        read_manifest(final)
    except TableError as error:
        raise OutputError(
            f"{final} is to be replaced by a table, but it holds something else ({error}); "
            "remove it or choose another dest_dir or name"
        ) from None


def _keep_foreign_files(old: str, staged: str) -> None:
    """Links what is not the table's from its old folder into the new one."""
    for name in _foreign_files(old):
        source, target = os.path.join(old, name), os.path.join(staged, name)
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.islink(source):
                os.symlink(os.readlink(source), target)
            else:
                os.link(source, target)
        except (FileExistsError, NotADirectoryError):
            raise OutputError(
                f"{source} is in the way of a file of the new table, and not Gaia's to replace; "
                "move it elsewhere"
            ) from None


def _foreign_files(folder: str) -> list[str]:
    if not os.listdir(folder):
        return []
    own = {file.path for shard in read_manifest(folder).shards for file in shard.files}
    own |= {MANIFEST, COUNTERS}
    found = []
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in names + links:
            path = os.path.relpath(os.path.join(parent, name), folder)
            if path not in own:
                found.append(path)
    return found
