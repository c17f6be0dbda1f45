"""What a checkpoint folder contains, from the headers of its safetensors files; reading tensors by rows; writing."""

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tl.errors import UserError

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_PICKLES = ("pytorch_model*.bin", "*.bin", "*.pth", "*.pt", "*.ckpt")
# torch.load with weights_only runs no code. Tensors are cloned because two names may share one storage.
_CONVERT = """python - {path} <<'EOF'
import pathlib, sys, torch
from safetensors.torch import save_file
folder = pathlib.Path(sys.argv[1])
files = sorted(folder.glob("pytorch_model*.bin"))
weights = {{name: w for file in files for name, w in torch.load(file, "cpu", weights_only=True).items()}}
save_file({{name: w.clone() for name, w in weights.items()}}, folder / "model.safetensors", {{"format": "pt"}})
EOF"""


class CheckpointError(UserError, ValueError):
    """A checkpoint cannot be loaded; the message names file, tensor, expected and found values, and what to do."""


class Product(NamedTuple):
    """A product that is added to a tensor: scale · B A, from two tensors of a file."""

    file: Path
    a: str
    b: str
    scale: float


class StoredTensor(NamedTuple):
    """A tensor as the header of its file describes it. `dtype` is safetensors' name, such as BF16."""

    file: Path
    shape: tuple[int, ...]
    dtype: str
    product: Product | None = None


class Sum:
    """A slice of a tensor plus a product, computed for the rows that are asked for, in float32 or wider."""

    def __init__(self, tensor: Any, product: Product) -> None:
        self._tensor, self._product = tensor, product

    def get_shape(self) -> list[int]:
        return self._tensor.get_shape()

    def __getitem__(self, rows: slice) -> torch.Tensor:
        with safe_open(self._product.file, framework="pt", device="cpu") as opened:
            b, a = opened.get_slice(self._product.b)[rows], opened.get_tensor(self._product.a)
        w = self._tensor[rows]
        precise = torch.promote_types(w.dtype, torch.float32)
        return w.to(precise) + self._product.scale * (b.to(precise) @ a.to(precise))


def stored_tensors(path: str | os.PathLike) -> dict[str, StoredTensor]:
    """The tensors of a checkpoint by their Hugging Face names; reads headers only, no weights.

    Raises:
        CheckpointError: weights that are missing, damaged, quantised, or at odds with their index.
    """
    path = Path(path)
    if (path / WEIGHTS_FILE).is_file():
        stored = read_header(path / WEIGHTS_FILE)
    elif (path / INDEX_FILE).is_file():
        stored = _read_shard_headers(path)
    else:
        raise CheckpointError(_no_weights(path))
    # Older files carry the rotary frequencies, which follow from the configuration.
    stored = {name: tensor for name, tensor in stored.items() if not name.endswith(".rotary_emb.inv_freq")}
    for name, tensor in stored.items():
        if tensor.dtype not in DTYPES:
            raise CheckpointError(
                f"{tensor.file}: {name}: expected {', '.join(DTYPES)}, found {tensor.dtype}. Quantised weights cannot "
                "be trained; use the original ones"
            )
    return stored


def read_slices(stored: dict[str, StoredTensor]) -> Iterator[tuple[str, Any]]:
    """Yields (Hugging Face name, slice) of each tensor, file by file. `slice[a:b]` reads those rows only, so that each
    rank can take its own part. A slice is valid until the next one is taken."""
    for file in sorted({tensor.file for tensor in stored.values()}):
        with safe_open(file, framework="pt", device="cpu") as opened:
            for name, tensor in stored.items():
                if tensor.file == file:
                    piece = opened.get_slice(name)
                    yield name, piece if tensor.product is None else Sum(piece, tensor.product)


def hf_name(name: str) -> str:
    """The published name of a parameter of `Llama` or `Critic`: `model.` before its own name, except for the heads.
    The critic's head is named as in a model for token classification."""
    if name.startswith("value_head."):
        return name.replace("value_head.", "score.")
    return name if name.startswith("lm_head.") else f"model.{name}"


def own_name(name: str) -> str:
    """The inverse of `hf_name`."""
    return name.removeprefix("model.").replace("score.", "value_head.")


def read_header(file: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 (it cannot be iterated)
            return {name: StoredTensor(file, tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: {_damage(file)}. Fetch or save it again ({error})") from error


def _damage(file: Path) -> str:
    """What is wrong with a file that safetensors rejects; names the tensor where the file was cut short, if it was."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = 8 + int.from_bytes(opened.read(8), "little")  # of the tensors, after the header
        header = opened.read(min(start - 8, size))
    try:
        entries = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        ends = [(start, "the header"), *sorted((start + e["data_offsets"][1], name) for name, e in entries.items())]
    except (ValueError, LookupError, TypeError, AttributeError):
        return f"not a safetensors file, or cut short ({size:,} bytes)"
    cut = next((f"cut short within {name}" for end, name in ends if end > size), "damaged")
    return f"{cut}: expected {ends[-1][0]:,} bytes, found {size:,}"


def _read_shard_headers(path: Path) -> dict[str, StoredTensor]:
    index = path / INDEX_FILE
    located = read_json(index).get("weight_map")
    if not isinstance(located, dict) or not all(isinstance(f, str) and Path(f).name == f for f in located.values()):
        raise CheckpointError(f"{index}: expected a weight_map from tensors to files of this folder. Fetch it again")
    stored: dict[str, StoredTensor] = {}
    for file in sorted(set(located.values())):
        if not (path / file).is_file():
            raise CheckpointError(f"{path / file}: expected as a shard by {index.name}, found nothing. Fetch it again")
        header = read_header(path / file)
        for name in header.keys() & stored.keys():
            raise CheckpointError(
                f"{path / file}: {name}: expected in one shard only, found in {stored[name].file.name} too. "
                "The shards are of different models, fetch all again"
            )
        stored |= header
    for name in sorted(located.keys() | stored.keys()):
        wanted, found = located.get(name, "none"), stored[name].file.name if name in stored else "none"
        if wanted != found and not name.endswith(".rotary_emb.inv_freq"):
            raise CheckpointError(f"{index}: {name}: shard expected: {wanted}, found: {found}. Fetch all again")
    return stored


def _no_weights(path: Path) -> str:
    message = f"{path}: expected {WEIGHTS_FILE} or {INDEX_FILE}, found neither"
    for file in [file for pattern in _PICKLES for file in sorted(path.glob(pattern))]:
        advice = "fetch the safetensors files of this model"
        if file.match(_PICKLES[0]):
            advice += ", or convert it with\n" + _CONVERT.format(path=shlex.quote(str(path)))
        return f"{message}, but {file.name}. A pickle can run code when it is read, so it is not: {advice}"
    return f"{message}. Fetch the model again"


def write_tensors(tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Writes a safetensors file. Raises OSError if that fails, for example because the disk is full."""
    try:
        save_file(tensors, file, metadata={"format": "pt"})  # other readers want to know the framework
    except SafetensorError as error:
        raise OSError(f"{file}: {error}") from error


def read_json(file: Path, failure: type[ValueError] = CheckpointError) -> dict[str, Any]:
    """The JSON object in a file. Raises ``failure`` if there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise failure(f"{file}: no such file. A checkpoint has one; fetch it, or save the model again") from error
    except (ValueError, RecursionError) as error:
        raise failure(f"{file}: not JSON ({error}). Fetch it again") from error
    if not isinstance(content, dict):
        raise failure(f"{file}: expected a JSON object, found {type(content).__name__}. Fetch it again")
    return content
