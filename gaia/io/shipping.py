"""Where the nodes of a cluster leave bundles for each other."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import attrs

from gaia.errors import OutputError
from gaia.io.files import reason
from gaia.io.folder import Folder
from gaia.io.locks import hold, let_go

# Of folders for the temporary files of a task.
_PREFIX = "gaia-task-"
# Where this process has looked for what others have left, and for which stage.
_swept: set[tuple[str, str]] = set()


@attrs.frozen
class Shipping:
    """A stage's folder, and where nodes have their temporary files (None: where the system has
    them)."""

    folder: Folder
    scratch_dir: str | None

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """A new folder of this node, for as long as it is needed.

        Raises:
            OutputError: It cannot be made, or this node does not see the stage's folder.
        """
        folder = self.folder
        if folder.store is None and not os.path.isdir(folder.url):
            raise OutputError(
                f"dest_dir is a path, but {folder.url} is not seen on {socket.gethostname()}; "
                "expected a folder that all nodes share, such as one of NFS, or a URL of a store"
            )
        try:
            if self.scratch_dir is not None:
                os.makedirs(self.scratch_dir, exist_ok=True)
            _sweep(self.scratch_dir or tempfile.gettempdir(), folder.url)
            made, held = _held_folder(self.scratch_dir)
        except OSError as error:
            where = self.scratch_dir or tempfile.gettempdir()
            raise OutputError(f"cannot write to {where}: {reason(error)}") from None
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
            let_go(held)


def _held_folder(parent: str | None) -> tuple[str, int]:
    """A new folder, and the lock that tells that somebody uses it. It ends with the process."""
    while True:
        made = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
        # Another process may take it for one that was left, until it is locked.
        with suppress(FileNotFoundError, BlockingIOError):
            held = hold(made)
            if os.path.isdir(made):
                return made, held
            let_go(held)


def _sweep(parent: str, stage: str) -> None:
    """Removes what workers have left in this place that were killed: once in a process and stage,
    as each that was killed has another in its place."""
    if (parent, stage) in _swept:
        return
    _swept.add((parent, stage))
    with os.scandir(parent) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(_PREFIX)]
    for path in left:
        with suppress(OSError):  # Somebody uses it, or has removed it, or it is another user's.
            held = hold(path)
            try:
                shutil.rmtree(path, ignore_errors=True)
            finally:
                let_go(held)
