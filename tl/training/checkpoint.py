"""The state of a training run on disk: either whole or not there, and read back to the last bit.

A state is a folder ``step-00000100``: files of torch.distributed.checkpoint, which another number of ranks can read;
each rank's random states; and manifest.json, written last, with size and SHA-256 of all of them (taken while writing)
and whatever the caller records. The folder has another name until all of it is synced to disk.

Read only states of your own runs: the metadata of torch.distributed.checkpoint is a pickle, which may run code.
"""

import hashlib
import json
import os
import random
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystem
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.optim import Optimizer

from tl.training.distributed import World, gather_objects, on_main, propagate_errors

MANIFEST = "manifest.json"
PARTIAL = ".partial"


@dataclass(frozen=True)
class SavedState:
    """A complete state on disk; ``record`` is what was given to ``save_state``."""

    path: Path
    record: dict[str, Any]


def reached(point: int) -> None:
    """Marks the points of ``save_state`` at which a process may die: tests replace this function by one that does."""


def save_state(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizers: Optimizer | Sequence[Optimizer],
    record: dict[str, Any],
    world: World,
    keep: int,
) -> None:
    """Saves a training state as ``folder/step-…`` and deletes all but the ``keep`` newest. All ranks must call it.

    Several models go in as one nn.ModuleDict, with all their optimizers: it gives their parameters names of their own.
    Raises OSError or RankError, on every rank, if it fails on any; older states are then untouched.
    """
    final = folder / f"step-{step:08}"
    partial = final.with_name(final.name + PARTIAL)
    on_main(lambda: _make_empty(partial), world)
    reached(1)
    files = _write_tensors(partial, model, optimizers)
    reached(3)
    with propagate_errors(world), files.create_stream(partial / _random_file(world), "wb") as stream:
        torch.save(random_states(), stream)
        os.fsync(stream.fileno())
    reached(4)
    written = {name: entry for entries in gather_objects(files.written, world) for name, entry in entries.items()}
    on_main(lambda: _complete(partial, final, {"files": written, "record": record}), world)
    reached(6)
    on_main(lambda: _prune(final, keep), world)
    reached(7)


def newest_state(folder: Path, world: World) -> SavedState | None:
    """The newest state whose files are all as they were written, or None. Warns of each newer one that it passes over.
    All ranks must call it; each checks a part of the files."""
    on_main(lambda: _delete_unfinished(folder), world)
    for path in on_main(lambda: sorted(_states(folder), reverse=True), world):
        manifest = on_main(lambda path=path: _read_manifest(path), world)
        problem = f"{MANIFEST} is missing or damaged"
        if manifest is not None:
            names = sorted(manifest["files"])[world.rank :: world.size]
            problems = gather_objects(_damage(path, {name: manifest["files"][name] for name in names}), world)
            problem = next(filter(None, problems), None)
            if problem is None:
                return SavedState(path, manifest["record"])
        if world.is_main:
            warnings.warn(f"{path}: {problem}; passed over for the state before it", stacklevel=2)
    return None


def load_state(saved: SavedState, model: nn.Module, optimizers: Optimizer | Sequence[Optimizer], world: World) -> None:
    """Puts a state into model, optimizers and the random generators. Ranks that were not there keep their generators,
    optimizers their settings such as the learning rate."""
    listed = [optimizers] if isinstance(optimizers, Optimizer) else optimizers
    settings = [
        [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        for optimizer in listed
    ]
    weights, moments = get_state_dict(model, optimizers)
    tensors = {"model": weights, "optimizer": moments}
    dcp.load(tensors, checkpoint_id=saved.path)
    set_state_dict(model, optimizers, model_state_dict=tensors["model"], optim_state_dict=tensors["optimizer"])
    for optimizer, of_groups in zip(listed, settings, strict=True):
        for group, kept in zip(optimizer.param_groups, of_groups, strict=True):
            group.update(kept)
    random_file = saved.path / _random_file(world)
    if random_file.exists():
        set_random_states(torch.load(random_file, weights_only=True))


def random_states() -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's global generators, without pickled objects."""
    name, keys, *rest = np.random.get_state()
    states = {"python": random.getstate(), "numpy": (name, keys.tolist(), *rest), "torch": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_random_states(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _random_file(world: World) -> str:
    return f"random_{world.rank}_of_{world.size}.pt"


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _write_tensors(folder: Path, model: nn.Module, optimizers: Optimizer | Sequence[Optimizer]) -> "_HashingFileSystem":
    writer = dcp.FileSystemWriter(folder)
    writer.fs = _HashingFileSystem()
    weights, moments = get_state_dict(model, optimizers)
    try:
        dcp.save({"model": weights, "optimizer": moments}, storage_writer=writer)
    except CheckpointException as error:  # raised on all ranks; no subclass of Exception
        rank, (cause, _) = next(iter(error.failures.items()))
        raise OSError(f"{folder}: rank {rank}: {cause}") from error
    return writer.fs


def _complete(partial: Path, final: Path, manifest: dict[str, Any]) -> None:
    with (partial / MANIFEST).open("w") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(partial)
    reached(5)
    shutil.rmtree(final, ignore_errors=True)  # a damaged one that newest_state has passed over
    partial.rename(final)
    _sync_folder(final.parent)


def _prune(newest: Path, keep: int) -> None:
    """Deletes states that are older than ``keep`` asks for, and later ones, which were passed over."""
    states = sorted(_states(newest.parent))
    kept = [path for path in states if path <= newest][-keep:]
    for path in states:
        if path not in kept:
            shutil.rmtree(path)


def _delete_unfinished(folder: Path) -> None:
    for path in folder.glob(f"step-*{PARTIAL}"):
        shutil.rmtree(path)


def _states(folder: Path) -> list[Path]:
    return [path for path in folder.glob("step-*") if path.suffix != PARTIAL]


def _read_manifest(path: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        return manifest if manifest.keys() == {"files", "record"} else None
    except (OSError, ValueError, AttributeError):
        return None


def _damage(folder: Path, files: dict[str, tuple[int, str]]) -> str | None:
    """What is wrong with the first file that is not as it was written."""
    for name, (size, digest) in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size:,} bytes, expected {size:,}"
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                return f"{name} is not what was written (SHA-256)"
    return None


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


class _HashingFileSystem(FileSystem):
    """Keeps size and SHA-256 of every file that is written through it."""

    def __init__(self) -> None:
        self.written: dict[str, tuple[int, str]] = {}

    @contextmanager
    def create_stream(self, path: str | os.PathLike, mode: str) -> Iterator["_HashingStream"]:
        with super().create_stream(path, mode) as stream:
            hashing = _HashingStream(stream)
            reached(2)
            yield hashing
        name = Path(path).name.removesuffix(".tmp")  # .metadata gets its name when it is complete
        self.written[name] = (hashing.size, hashing.sha256.hexdigest())


class _HashingStream:
    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        self.stream.write(data)
        self.sha256.update(data)
        self.size += memoryview(data).nbytes
        return memoryview(data).nbytes

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self.stream.flush()

    def close(self) -> None:
        self.stream.close()

    def fileno(self) -> int:
        self.stream.flush()  # it is asked for by fsync, which does not see Python's buffer
        return self.stream.fileno()
