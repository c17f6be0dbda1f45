"""Reads and writes Hugging Face checkpoints: config.json, safetensors (one file or shards), tokenizer, chat template.

Whatever is wrong with a checkpoint is found from its headers, before any weight is read: a `CheckpointError` says it.
"""

import functools
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tl.llama.config import ModelConfig, token_ids
from tl.llama.model import Llama
from tl.llama.tokenizer import (
    CHAT_TEMPLATE_FILE,
    SETTINGS_FILE,
    TOKENIZER_FILE,
    TOKENIZER_JSON,
    Tokenizer,
    find_vocabulary,
)
from tl.llama.tokenizer_json import tokenizer_json

CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
SHARD_BYTES = 5_000_000_000

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_PICKLES = ("pytorch_model*.bin", "*.bin", "*.pth", "*.pt", "*.ckpt")
# torch.load runs no code with weights_only; copies, since a file may hold one storage under two names.
_CONVERT = """python - {path} <<'EOF'
import pathlib, sys, torch
from safetensors.torch import save_file
folder = pathlib.Path(sys.argv[1])
files = sorted(folder.glob("pytorch_model*.bin"))
weights = {{name: w for file in files for name, w in torch.load(file, "cpu", weights_only=True).items()}}
save_file({{name: w.clone() for name, w in weights.items()}}, folder / "model.safetensors", {{"format": "pt"}})
EOF"""
_SHOWN_PROBLEMS = 8


class CheckpointError(ValueError):
    """A folder that cannot be loaded; the message names file, tensor, expected, found and what to do."""


class StoredTensor(NamedTuple):
    """A tensor as the header of its file describes it. `dtype` is safetensors' name, such as BF16."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


def load_model(path: str | os.PathLike, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Llama:
    """Read a Llama from a Hugging Face folder.

    Each tensor is read once, straight into its dtype and device: no second copy of the model is ever held.

    Args:
        path: a folder with config.json and safetensors, in one file or in shards with their index.
        dtype: of the model's parameters. Default: as stored (the widest, where a checkpoint mixes several).
        device: where the parameters go.

    Raises:
        CheckpointError: the folder is not a whole, unquantised Llama, or its tokenizer does not suit the model.
        tl.llama.tokenizer.TokenizerError: its tokenizer cannot be read.
    """
    path = Path(path)
    config = read_config(path)
    if find_vocabulary(path):
        check_vocabulary(Tokenizer(path), config)
    stored = fitting_tensors(path)
    with torch.device("meta"):
        model = Llama(config)
    dtype = dtype or functools.reduce(torch.promote_types, {_DTYPES[tensor.dtype] for tensor in stored.values()})
    weights: dict[str, Tensor] = {}
    for name, piece in read_slices(stored):
        target = torch.empty(piece.get_shape(), dtype=dtype, device=device)
        weights[own_name(name)] = nn.Parameter(target.copy_(piece[:]))
    if config.tie_word_embeddings:
        tie(path, weights)
    model.load_state_dict(weights, assign=True)
    return model


def read_config(path: str | os.PathLike) -> ModelConfig:
    """The configuration in a checkpoint folder; generation_config.json may name more tokens that end a text.

    Raises CheckpointError if there is none or it describes something else.
    """
    path = Path(path)
    if not path.is_dir():
        raise CheckpointError(
            f"{path}: {'a file, no' if path.exists() else 'no such'} folder. Nothing is downloaded: "
            f"name a local folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    file = path / CONFIG_FILE
    raw = _read_json(file)
    if found := raw.get("quantization_config"):
        raise CheckpointError(
            f"{file}: quantization_config: expected none, found {found!r:.80}. Quantised weights cannot be trained; "
            "use the original ones (float32, float16 or bfloat16)"
        )
    generation = _read_json(path / GENERATION_FILE) if (path / GENERATION_FILE).is_file() else {}
    ends = [id for content in (raw, generation) for id in token_ids(content.get("eos_token_id"))]
    try:
        return ModelConfig.from_hf(raw | ({"eos_token_id": list(dict.fromkeys(ends))} if ends else {}))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: {error}") from error


def fitting_tensors(path: str | os.PathLike) -> dict[str, StoredTensor]:
    """``stored_tensors`` of a folder; CheckpointError that lists every missing, extra and misshapen tensor where they
    are not those of the model in its config.json."""
    stored, config = stored_tensors(path), read_config(path)
    with torch.device("meta"):
        model = Llama(config)
    expected = {hf_name(name): tuple(parameter.shape) for name, parameter in model.named_parameters()}
    optional = {"lm_head.weight": tuple(model.lm_head.weight.shape)} if config.tie_word_embeddings else {}
    problems = [f"{name}: expected {list(expected[name])}, found nothing" for name in expected.keys() - stored.keys()]
    for name, (file, shape, _) in stored.items():
        wanted = (expected | optional).get(name)
        if wanted is None:
            problems.append(f"{name} in {file.name}: expected no such tensor, found {list(shape)}")
        elif wanted != shape:
            problems.append(f"{name} in {file.name}: expected {list(wanted)}, found {list(shape)}")
    if problems:
        shown = sorted(problems)[:_SHOWN_PROBLEMS]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        raise CheckpointError(
            f"{path}: the weights are not those of the model in {CONFIG_FILE}:\n  "
            + "\n  ".join(shown)
            + "\nFetch configuration and weights again, both from the same place"
        )
    return stored


def check_vocabulary(tokenizer: Tokenizer, config: ModelConfig) -> None:
    """CheckpointError if the tokenizer has ids that the model has no embedding for, or another id for </s>."""
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"{tokenizer.path}: expected at most {config.vocab_size:,} pieces, the rows of the model's embedding "
            f"(vocab_size), found {tokenizer.vocab_size:,}. Use the tokenizer that belongs to this model"
        )
    if tokenizer.eos_id != config.eos_token_id:
        raise CheckpointError(
            f"{tokenizer.path}: expected texts to end with id {config.eos_token_id}, the model's eos_token_id, found "
            f"{tokenizer.eos_id}. Use the tokenizer that belongs to this model"
        )


def stored_tensors(path: str | os.PathLike) -> dict[str, StoredTensor]:
    """The tensors of a checkpoint by their Hugging Face names; reads headers only, no weights.

    Raises:
        CheckpointError: weights that are missing, damaged, quantised, or at odds with their index.
    """
    path = Path(path)
    if (path / WEIGHTS_FILE).is_file():
        stored = _read_header(path / WEIGHTS_FILE)
    elif (path / INDEX_FILE).is_file():
        stored = _read_shard_headers(path)
    else:
        raise CheckpointError(_no_weights(path))
    # Older files carry the rotary frequencies, which follow from the configuration.
    stored = {name: tensor for name, tensor in stored.items() if not name.endswith(".rotary_emb.inv_freq")}
    for name, (file, _, dtype) in stored.items():
        if dtype not in _DTYPES:
            raise CheckpointError(
                f"{file}: {name}: expected {', '.join(_DTYPES)}, found {dtype}. Quantised weights cannot be trained; "
                "use the original ones"
            )
    return stored


def read_slices(stored: dict[str, StoredTensor]) -> Iterator[tuple[str, Any]]:
    """Yields (Hugging Face name, slice) of each tensor, file by file. `slice[a:b]` reads those rows only, so that each
    rank can take its own part. A slice is valid until the next one is taken."""
    for file in sorted({tensor.file for tensor in stored.values()}):
        with safe_open(file, framework="pt", device="cpu") as opened:
            for name, tensor in stored.items():
                if tensor.file == file:
                    yield name, opened.get_slice(name)


def hf_name(name: str) -> str:
    """The published name of one of `Llama`'s parameters: its own, below `model.` unless it is the head's."""
    return name if name.startswith("lm_head.") else f"model.{name}"


def own_name(name: str) -> str:
    """The name of a published tensor among `Llama`'s parameters."""
    return name.removeprefix("model.")


def tie(path: Path, weights: dict[str, Tensor]) -> None:
    """Makes the embedding the head's weight, too. A file may hold the head as well, if it is equal."""
    embedding = weights["embed_tokens.weight"]
    head = weights.setdefault("lm_head.weight", embedding)
    if head is not embedding and not torch.equal(head, embedding):
        raise CheckpointError(
            f"{path / CONFIG_FILE}: tie_word_embeddings is true, but lm_head.weight is not model.embed_tokens.weight. "
            "Set it to false if the head was trained on its own"
        )
    weights["lm_head.weight"] = embedding


def _read_header(file: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 (it cannot be iterated)
            return {name: StoredTensor(file, tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: {_damage(file)}. Fetch or save it again ({error})") from error


def _damage(file: Path) -> str:
    """What is wrong with a file that safetensors refuses; names the tensor that is cut off, if there is one."""
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
    located = _read_json(index).get("weight_map")
    if not isinstance(located, dict) or not all(isinstance(f, str) and Path(f).name == f for f in located.values()):
        raise CheckpointError(f"{index}: expected a weight_map from tensors to files of this folder. Fetch it again")
    stored: dict[str, StoredTensor] = {}
    for file in sorted(set(located.values())):
        if not (path / file).is_file():
            raise CheckpointError(f"{path / file}: expected as a shard by {index.name}, found nothing. Fetch it again")
        header = _read_header(path / file)
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


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{file}: no such file. A checkpoint has one; fetch it, or save the model again"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{file}: not JSON ({error}). Fetch it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: expected a JSON object, found {type(content).__name__}. Fetch it again")
    return content


def save_model(
    model: Llama,
    path: str | os.PathLike,
    tokenizer_path: str | os.PathLike | None = None,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    chat_template: str | None = None,
) -> None:
    """Writes a checkpoint folder that this project and other tools open.

    All files are written to a folder of their own inside `path` and moved when complete, config.json last: a save that
    is cut short leaves an older model as it was or, while moving, a folder without config.json, which nothing opens.

    Args:
        model: what to save. Its weights are converted and written one shard at a time.
        path: the folder; created if needed. A model in it is replaced, other files stay.
        tokenizer_path: a tokenizer.model or tokenizer.json, or a folder with one, to go with the model.
        dtype: of the weights in the file. Default: the model's own.
        shard_bytes: upper limit of a file (a single larger tensor gets a file of its own).
        chat_template: jinja, for the chat functions of other tools; written with the tokenizer.

    Raises:
        CheckpointError: the tokenizer does not suit the model.
        tl.llama.tokenizer.TokenizerError: it cannot be read.
    """
    path = Path(path)
    dtype = dtype or model.embed_tokens.weight.dtype
    tokenizer = None if tokenizer_path is None else Tokenizer(tokenizer_path)
    if tokenizer is not None:
        check_vocabulary(tokenizer, model.config)
    staging = path / ".saving"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _write_weights(model, staging, dtype, shard_bytes)
        if tokenizer is not None:
            _write_tokenizer(tokenizer, model.config, chat_template, staging)
        config = model.config.to_hf()
        _write_json(staging / GENERATION_FILE, {key: config[key] for key in ("bos_token_id", "eos_token_id")})
        _write_json(staging / CONFIG_FILE, config | {"torch_dtype": str(dtype).removeprefix("torch.")})
        _publish(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, path: Path) -> None:
    """Moves the files up in place of an older model's. In between there is no config.json, hence no checkpoint."""
    for file in staging.glob("*.safetensors"):
        shutil.copymode(staging / CONFIG_FILE, file)  # safetensors lets nobody else read them, whatever the umask says
    (path / CONFIG_FILE).unlink(missing_ok=True)
    old = [path / WEIGHTS_FILE, path / INDEX_FILE, *path.glob("model-*-of-*.safetensors")]
    if (staging / TOKENIZER_JSON).is_file():
        old += [path / TOKENIZER_FILE, path / CHAT_TEMPLATE_FILE]  # either would go before what is written now
    for file in old:
        file.unlink(missing_ok=True)
    for file in sorted(staging.iterdir(), key=lambda file: file.name == CONFIG_FILE):
        file.replace(path / file.name)


def _write_weights(model: Llama, folder: Path, dtype: torch.dtype, shard_bytes: int) -> None:
    # A tied head is the embedding's own parameter, which named_parameters gives once: the head is left out of the file.
    weights = {hf_name(name): parameter.detach() for name, parameter in model.named_parameters()}
    sizes = {name: weight.numel() * dtype.itemsize for name, weight in weights.items()}
    shards = _split(sizes, shard_bytes)
    files = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    if len(shards) == 1:
        files = [WEIGHTS_FILE]
    for file, names in zip(files, shards, strict=True):
        tensors = {name: weights[name].to("cpu", dtype).contiguous() for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})  # other readers want to know the framework
    if len(shards) > 1:
        located = {name: file for file, names in zip(files, shards, strict=True) for name in names}
        _write_json(folder / INDEX_FILE, {"metadata": {"total_size": sum(sizes.values())}, "weight_map": located})


def _split(sizes: dict[str, int], limit: int) -> list[list[str]]:
    """Splits the names, in order, into shards of at most `limit` bytes; a larger tensor gets a shard of its own."""
    shards: list[list[str]] = []
    used = limit
    for name, size in sizes.items():
        if not shards or used + size > limit:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += size
    return shards


def _write_tokenizer(tokenizer: Tokenizer, config: ModelConfig, chat_template: str | None, folder: Path) -> None:
    if tokenizer.path.suffix == ".json":
        shutil.copyfile(tokenizer.path, folder / TOKENIZER_JSON)
        settings = _byte_level_settings(tokenizer)
    else:
        shutil.copyfile(tokenizer.path, folder / TOKENIZER_FILE)
        contents = json.dumps(tokenizer_json(tokenizer), ensure_ascii=False)
        (folder / TOKENIZER_JSON).write_text(contents, encoding="utf-8")
        settings = _sentencepiece_settings(tokenizer, config)
    if chat_template is not None:
        settings["chat_template"] = chat_template
    _write_json(folder / SETTINGS_FILE, settings)


def _byte_level_settings(tokenizer: Tokenizer) -> dict[str, Any]:
    """Those beside the tokenizer.json. A chat template that writes ``bos_token`` writes what texts begin with here."""
    source = tokenizer.path.with_name(SETTINGS_FILE)
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings |= _read_json(source) if source.is_file() else {}
    settings["bos_token"] = tokenizer.piece(tokenizer.bos_id) if tokenizer.start() else None
    settings.setdefault("eos_token", tokenizer.piece(tokenizer.eos_id))
    return settings


def _sentencepiece_settings(tokenizer: Tokenizer, config: ModelConfig) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",  # LlamaTokenizer reads texts that begin with a space otherwise
        "bos_token": tokenizer.piece(tokenizer.bos_id),
        "eos_token": tokenizer.piece(tokenizer.eos_id),
        "unk_token": tokenizer.piece(0),
        "add_bos_token": True,
        "add_eos_token": False,
        "legacy": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config.max_position_embeddings,
    }


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
