"""User ids for the sessions that root starts: a block of ids for each pool, and in it an id for each slot."""

import os
import socket
import warnings
from pathlib import Path

from tl.executor.sandbox import kernel

MAX_SLOTS = 1024  # of a pool
_FAR = 1 << 30  # from the ids of real users


class Users:
    """A block of user ids that no other pool on this machine uses. The limit of processes counts per user, so sessions
    with one id would share it. `first` is the first id of the block, or 0 if this process is not root.

    Warns if all blocks are taken; a container with 65,536 ids has 32 blocks.
    """

    def __init__(self) -> None:
        self.first = 0
        self._held: socket.socket | None = None
        if kernel.supported() and os.geteuid() == 0:
            blocks = _blocks(Path("/proc/self/uid_map").read_text(encoding="utf-8"))
            self.first = blocks[0]
            for first in blocks:
                if self._hold(first):
                    return
            warnings.warn(
                f"{len(blocks)} executors run on the user ids that there are here: sessions of this one share ids, and "
                "so the limit of processes, with those of another",
                RuntimeWarning,
                stacklevel=2,
            )

    def _hold(self, first: int) -> bool:
        """Try to take a block. The kernel frees its name when this process ends, however it ends."""
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0tl-executor-users-{first}")
        except OSError:
            held.close()
            return False
        self.first, self._held = first, held
        return True

    def release(self) -> None:
        if self._held is not None:
            self._held.close()


def _blocks(uid_map: str) -> range:
    """The first id of each block: in the upper half of a container's ids, otherwise far above those of real users."""
    first, _, count = map(int, uid_map.split("\n")[0].split())
    if count > 1 << 31:
        return range(_FAR, 2 * _FAR, MAX_SLOTS)
    blocks = max(1, count // (2 * MAX_SLOTS))
    return range(first + count - blocks * MAX_SLOTS, first + count, MAX_SLOTS)
