"""User ids for the sessions of root's executors: each pool has a block of its own, and each slot of a pool an id."""

from __future__ import annotations

import os
import socket
import warnings
from pathlib import Path

from tl.executor.sandbox import kernel

MAX_SLOTS = 1024  # of a pool
_FAR = 1 << 30  # from the ids of real users


class Users:
    """A block of user ids that no other pool on this machine has: processes count by user, and a shared id would share
    the limit. `first` is the block's first id; 0 for anyone but root, who can give away none.

    Warns where all blocks are taken: a container that has 65,536 ids has 32 of them.
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
        """Take a block; the kernel gives its name free when this process ends, however it ends."""
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0tl-executor-users-{first}")
        except OSError:
            held.close()
            return False
        self.first, self._held = first, held
        return True

    def release(self) -> None:
        """Leave the block to others."""
        if self._held is not None:
            self._held.close()


def _blocks(uid_map: str) -> range:
    """The first ids of the blocks: in the upper half of a container's ids, elsewhere far from real users."""
    first, _, count = map(int, uid_map.split("\n")[0].split())
    if count > 1 << 31:
        return range(_FAR, 2 * _FAR, MAX_SLOTS)
    blocks = max(1, count // (2 * MAX_SLOTS))
    return range(first + count - blocks * MAX_SLOTS, first + count, MAX_SLOTS)
