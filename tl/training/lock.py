"""Prevents two runs from writing to one folder: the first holds a lock, which ends with its process."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tl.files import unwritable
from tl.training.config import RunError, TrainingConfig
from tl.training.distributed import World, on_main

LOCK_FILE = "run.lock"


@contextmanager
def folder_lock(config: TrainingConfig, world: World) -> Iterator[None]:
    """Holds the lock of the run's folder. Creates the folder if needed, and then removes it again if it stays empty.

    Rank 0 takes the lock for all ranks. If another process holds it, every rank raises a RunError that names the
    process.
    """
    if config.dry_run:
        yield
        return
    out = Path(config.out)
    is_new = not out.exists()
    # If nothing can be written there, check_folder reports it.
    descriptor = on_main(lambda: None if unwritable(out) else _lock(out / LOCK_FILE), world)
    try:
        yield
    finally:
        if world.is_main and descriptor is not None:
            (out / LOCK_FILE).unlink(missing_ok=True)
            os.close(descriptor)
            if is_new:
                with suppress(OSError):  # it is not empty
                    out.rmdir()


def _lock(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        os.close(descriptor)
        raise RunError(f"{file.parent} is in use by another run ({holder}): choose another --out") from error
    if not file.exists() or not os.path.samestat(os.fstat(descriptor), file.stat()):
        os.close(descriptor)  # the previous holder has removed the file in the meantime
        return _lock(file)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor
