"""Where the nodes of a cluster leave bundles for each other."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from gaia.errors import OutputError
from gaia.io.files import reason
from gaia.io.folder import Folder


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
            made = tempfile.mkdtemp(prefix="gaia-", dir=self.scratch_dir)
        except OSError as error:
            where = self.scratch_dir or tempfile.gettempdir()
            raise OutputError(f"cannot write to {where}: {reason(error)}") from None
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
