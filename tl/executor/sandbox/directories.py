"""Directories for sessions without a private one, and the removal of those that a killed zygote has left."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_NAME = "tl-sessions-"


class Directories:
    """A zygote's folder with the directories of its sessions. The zygote locks it for as long as it lives. So the next
    zygote of the same user finds the folders that nobody needs any more, and removes them."""

    def __init__(self) -> None:
        for left in Path(tempfile.gettempdir()).glob(f"{_NAME}*"):
            with suppress(OSError):
                _remove_unless_locked(left)
        unseen = Path(tempfile.mkdtemp(prefix=f".{_NAME}"))  # hidden from other zygotes until it is locked
        self._descriptor = os.open(unseen, os.O_RDONLY)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        unseen.chmod(0o711)  # sessions may be other users
        self._folder = unseen.rename(unseen.with_name(unseen.name[1:]))

    def new(self) -> str:
        """A directory for a session; the caller removes it."""
        return tempfile.mkdtemp(prefix="session-", dir=self._folder)

    def close(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._descriptor)


def _remove_unless_locked(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
