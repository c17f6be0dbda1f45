"""Training states on disk: either complete or absent, and restored exactly.

A state is a folder ``step-00000100``. It holds files of torch.distributed.checkpoint, which any number of ranks can
read, and manifest.json, written last, with the SHA-256 of these files and a record of the caller's. The folder has
another name until everything is synced to disk. Random states are not saved: nothing draws from the global generators,
since the order of the data and every rollout have seeds of their own.

The metadata of torch.distributed.checkpoint is a pickle, which may run code when it is read. Therefore it is only read
if it names nothing but that metadata's own classes, and everything else that is pickled is read with ``weights_only``.
"""

import io
import json
import os
import pickle
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint import metadata
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.planner import ReadItem
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.optim import Optimizer

from tl.files import sha256
from tl.training.config import RunError
from tl.training.distributed import RankError, World, gather_objects, on_main, propagate_errors

MANIFEST = "manifest.json"
METADATA = ".metadata"
PARTIAL = ".partial"

_NAMED_IN_METADATA = {  # in addition to that module's own classes
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch.serialization", "_get_layout"),
    ("pathlib", "PosixPath"),
    *(("torch", name) for name in ("Size", "float64", "float32", "bfloat16", "float16", "int64")),
}


@dataclass(frozen=True)
class SavedState:
    """A complete state on disk; ``record`` is the argument of ``save_state``."""

    path: Path
    record: dict[str, Any]


def reached(point: int) -> None:
    """Marks the points of ``save_state`` at which a process may die. Tests replace it by a function that kills."""


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

    Several models are passed as one nn.ModuleDict, so that their parameters have different names, with the list of
    their optimizers. If saving fails on any rank, every rank raises OSError or RankError, and older states are
    untouched.
    """
    final = folder / f"step-{step:08}"
    unfinished = final.with_name(final.name + PARTIAL)
    try:
        on_main(partial(_make_empty, unfinished), world)
        reached(1)
        _write_tensors(unfinished, model, optimizers)
        reached(2)
        digests = _digests(unfinished, world)
        reached(3)
        on_main(lambda: _complete(unfinished, final, {"files": digests, "record": record}), world)
    except (OSError, RankError):
        if world.is_main:
            shutil.rmtree(unfinished, ignore_errors=True)  # the space may be needed
        raise
    reached(5)
    on_main(lambda: _prune(final, keep), world)
    reached(6)


def newest_state(folder: Path, world: World) -> SavedState | None:
    """The newest state whose files are unchanged since they were written, or None. Warns about every newer state that
    it skips. All ranks must call it."""
    on_main(partial(_delete_unfinished, folder), world)
    for path in on_main(lambda: sorted(_states(folder), reverse=True), world):
        manifest = on_main(partial(_read_manifest, path), world)
        problem = f"{MANIFEST} is missing or damaged"
        if manifest is not None:
            found = _digests(path, world)
            files = manifest["files"]
            damaged = [name for name in sorted(files.keys() | found) if found.get(name) != files.get(name)]
            if not damaged:
                return SavedState(path, manifest["record"])
            problem = f"{damaged[0]} is missing or has changed (SHA-256)"
        if world.is_main:
            warnings.warn(f"{path}: {problem}; using the previous state instead", stacklevel=2)
    return None


def load_state(saved: SavedState, model: nn.Module, optimizers: Optimizer | Sequence[Optimizer]) -> None:
    """Loads a state into model and optimizers. The optimizers keep their settings, such as the learning rate.

    Raises RunError if the state holds other weights than those that are trained.
    """
    groups = [group for optimizer in _listed(optimizers) for group in optimizer.param_groups]
    settings = [{key: value for key, value in group.items() if key != "params"} for group in groups]
    weights, moments = get_state_dict(model, optimizers)
    tensors: dict[str, Any] = {"model": _trained(weights, model), "optimizer": moments}
    _check_weights(saved.path, tensors["model"])
    dcp.load(tensors, checkpoint_id=saved.path, planner=_WeightsPlanner())  # in place: into the model's tensors
    set_state_dict(model, optimizers, model_state_dict=weights, optim_state_dict=tensors["optimizer"])
    groups = [group for optimizer in _listed(optimizers) for group in optimizer.param_groups]
    for group, kept in zip(groups, settings, strict=True):
        group.update(kept)


def _check_weights(state: Path, trained: dict[str, Any]) -> None:
    stored = _read_metadata(state / METADATA).state_dict_metadata
    in_state = {name: list(getattr(entry, "size", [])) for name, entry in stored.items() if name.startswith("model.")}
    in_model = {f"model.{name}": list(weight.shape) for name, weight in trained.items()}
    for name in sorted(in_state.keys() | in_model):
        if in_state.get(name) != in_model.get(name):
            raise RunError(
                f"{state} holds other trained weights: {name.removeprefix('model.')} is {in_state.get(name, 'not')} in "
                f"the state and {in_model.get(name, 'not')} in the model. Resume with the settings that the run was "
                "started with"
            )


class _WeightsPlanner(dcp.DefaultLoadPlanner):
    """Reads pickled values, such as an optimizer's settings, without running code that the pickle may contain."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        checked = io.BytesIO()
        torch.save(torch.load(value, weights_only=True), checked)
        checked.seek(0)
        super().load_bytes(read_item, checked)  # reads any pickle


class _MetadataUnpickler(pickle.Unpickler):
    """Unpickles only the classes that the metadata of torch.distributed.checkpoint consists of."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NAMED_IN_METADATA:
            return super().find_class(module, name)
        own = vars(metadata).get(name) if module == metadata.__name__ else None
        if isinstance(own, type) and own.__module__ == module:
            return own
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _read_metadata(file: Path) -> metadata.Metadata:
    """Raises RunError for metadata that would run code when it is read."""
    try:
        with file.open("rb") as opened:
            return _MetadataUnpickler(opened).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, ValueError) as error:
        raise RunError(f"{file} was not written by this program ({error}) and is not read") from error


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _write_tensors(folder: Path, model: nn.Module, optimizers: Optimizer | Sequence[Optimizer]) -> None:
    unused = [optimizer for optimizer in _listed(optimizers) if not optimizer.state]  # every step so far was skipped
    weights, moments = get_state_dict(model, optimizers)
    for optimizer in unused:
        for state in optimizer.state.values():
            state["step"].zero_()  # get_state_dict has made the state by a step without gradients
    try:
        tensors = {"model": _trained(weights, model), "optimizer": moments}
        # Without copies ahead, which would hold all of this rank's tensors in pinned memory and keep that.
        dcp.save(tensors, storage_writer=dcp.FileSystemWriter(folder, per_thread_copy_ahead=0))
    except CheckpointException as error:  # raised on all ranks; no subclass of Exception
        rank, (cause, _) = next(iter(error.failures.items()))
        raise OSError(f"{folder}: rank {rank}: {cause}") from error


def _listed(optimizers: Optimizer | Sequence[Optimizer]) -> Sequence[Optimizer]:
    return [optimizers] if isinstance(optimizers, Optimizer) else optimizers


def _trained(weights: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """The weights without frozen ones, which a resumed run reads from the original checkpoint again."""
    frozen = {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {name: weight for name, weight in weights.items() if name not in frozen}


def _digests(folder: Path, world: World) -> dict[str, str]:
    """SHA-256 of each file of a state except the manifest, by name. Each rank reads a part of the files."""
    names = on_main(lambda: sorted(path.name for path in folder.iterdir() if path.name != MANIFEST), world)
    digests = {}
    with propagate_errors(world):
        for name in names[world.rank :: world.size]:
            digests[name] = sha256(folder / name)
    return {name: digest for part in gather_objects(digests, world) for name, digest in part.items()}


def _complete(unfinished: Path, final: Path, manifest: dict[str, Any]) -> None:
    with (unfinished / MANIFEST).open("w") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(unfinished)
    reached(4)
    shutil.rmtree(final, ignore_errors=True)  # a damaged state that newest_state has skipped
    unfinished.rename(final)
    _sync_folder(final.parent)


def _prune(newest: Path, keep: int) -> None:
    """Deletes all but the ``keep`` newest states up to ``newest``, and later ones, which were skipped."""
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
        files, record = manifest["files"], manifest["record"]
        return manifest if files and isinstance(files, dict) and isinstance(record, dict) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
