"""A folder that appears complete or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from golden.support.errors import PotvitError


class AtomicFolder:
    """Context manager: yields a work folder that becomes ``folder`` when the block succeeds.

    The work folder lies beside ``folder`` and is removed when the block fails or is interrupted.
    A folder already there is replaced only where it is empty or holds the file ``marker``.

    Raises:
        PotvitError: something else is in the way, the folder above may not be written, or the disk
            is full.
    """

    def __init__(self, folder: Path, *, marker: str) -> None:
        self._folder = folder
        self._marker = marker
        self._work: Path | None = None

    def check(self) -> None:
        """Try the place and leave it as it is: before long work whose result goes there."""
        shutil.rmtree(self.__enter__())
        self._work = None

    def __enter__(self) -> Path:
        """Make the work folder."""
        folder = self._folder
        if folder.exists() and not folder.is_dir():
            raise PotvitError(f"{folder} exists and is no folder: choose another name")
        if folder.is_dir() and not (folder / self._marker).is_file() and any(folder.iterdir()):
            raise PotvitError(
                f"{folder} exists and holds something else (no {self._marker}): "
                "choose another name or remove it"
            )
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            name = tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent)
        except OSError as error:
            raise PotvitError(
                f"{folder} cannot be written ({error.strerror}): choose another place"
            ) from None
        self._work = Path(name)
        self._work.chmod(0o755)
        return self._work

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Move the work folder into place, or remove it."""
        assert self._work is not None
        try:
            if kind is None:
                self._swap(self._work)
        except OSError as failure:
            error = failure
        finally:
            shutil.rmtree(self._work, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise PotvitError(
                f"{self._folder} cannot be written ({error.strerror}): nothing was left there"
            ) from None
        if kind is None and error is not None:
            raise error

    def _swap(self, work: Path) -> None:
        for path in work.rglob("*"):
            if path.is_file():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
        if not self._folder.exists():
            work.rename(self._folder)
            return
        old = work.with_name(f"{work.name}.old")
        self._folder.rename(old)
        try:
            work.rename(self._folder)
        except OSError:
            old.rename(self._folder)
            raise
        shutil.rmtree(old)
