"""Reads and writes Hugging Face checkpoints: config.json, safetensors (one file or shards), tokenizer, chat template.

Everything that is wrong with a checkpoint is found from its headers, before any weight is read, and raises a
`CheckpointError`.
"""

import functools
import json
import os
import shutil
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tl.llama.adapter import base_folder, with_adapter
from tl.llama.config import ModelConfig, token_ids
from tl.llama.model import Critic, Llama
from tl.llama.stored import (
    DTYPES,
    INDEX_FILE,
    WEIGHTS_FILE,
    CheckpointError,
    StoredTensor,
    hf_name,
    own_name,
    read_json,
    read_slices,
    stored_tensors,
    write_tensors,
)
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
# Patterns of the files that save_model writes.
MODEL_FILES = (
    *(CONFIG_FILE, GENERATION_FILE, WEIGHTS_FILE, INDEX_FILE, "model-*-of-*.safetensors", ".saving"),
    *(TOKENIZER_FILE, TOKENIZER_JSON, SETTINGS_FILE, CHAT_TEMPLATE_FILE),
)
SHARD_BYTES = 5_000_000_000
VALUE_HEAD = hf_name("value_head.weight")  # a critic has it in place of lm_head

_SHOWN_PROBLEMS = 8

L = TypeVar("L", bound=Llama)


def load_model(path: str | os.PathLike, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Llama:
    """Read a Llama from a Hugging Face folder.

    Each tensor is read once, straight into its dtype and device: no second copy of the model is ever held.

    Args:
        path: a folder with config.json and safetensors, in one file or in shards with their index; or an adapter's,
            which is added to its base (see `tl.llama.adapter`).
        dtype: of the model's parameters. Default: as stored (the widest, where a checkpoint mixes several).
        device: where the parameters go.

    Raises:
        CheckpointError: the folder is not a whole, unquantised Llama, or its tokenizer does not suit the model.
        tl.llama.tokenizer.TokenizerError: its tokenizer cannot be read.
    """
    return _load(Llama, Path(path), dtype, device)


def load_critic(
    path: str | os.PathLike, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> Critic:
    """As ``load_model``, for a model that was saved with a value head."""
    return _load(Critic, Path(path), dtype, device)


def _load(kind: type[L], path: Path, dtype: torch.dtype | None, device: torch.device | str) -> L:
    config = read_config(path)
    if find_vocabulary(path):
        check_vocabulary(Tokenizer(path), config)
    stored = fitting_tensors(path, kind)  # checked against the config; no weights are read yet
    with torch.device("meta"):
        model = kind(config)  # shapes without memory
    dtype = dtype or functools.reduce(torch.promote_types, {DTYPES[tensor.dtype] for tensor in stored.values()})
    weights: dict[str, Tensor] = {}
    for name, piece in read_slices(stored):
        target = torch.empty(piece.get_shape(), dtype=dtype, device=device)
        weights[own_name(name)] = nn.Parameter(target.copy_(piece[:]))
    if config.tie_word_embeddings and kind is Llama:
        tie(path, weights)
    model.load_state_dict(weights, assign=True)
    return model


def read_config(path: str | os.PathLike) -> ModelConfig:
    """The configuration in a checkpoint folder, with the end-of-text tokens that generation_config.json adds.

    Raises CheckpointError if it is missing or describes another kind of model.
    """
    path = base_folder(path)
    if not path.is_dir():
        raise CheckpointError(
            f"{path}: {'a file, no' if path.exists() else 'no such'} folder. Nothing is downloaded: "
            f"name a local folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    file = path / CONFIG_FILE
    raw = read_json(file)
    if found := raw.get("quantization_config"):
        raise CheckpointError(
            f"{file}: quantization_config: expected none, found {found!r:.80}. Quantised weights cannot be trained; "
            "use the original ones (float32, float16 or bfloat16)"
        )
    generation = read_json(path / GENERATION_FILE) if (path / GENERATION_FILE).is_file() else {}
    ends = [id for content in (raw, generation) for id in token_ids(content.get("eos_token_id"))]
    try:
        return ModelConfig.from_hf(raw | ({"eos_token_id": list(dict.fromkeys(ends))} if ends else {}))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: {error}") from error


def fitting_tensors(path: str | os.PathLike, kind: type[Llama] | None = Llama) -> dict[str, StoredTensor]:
    """``stored_tensors`` of a folder, checked to be those of the model in its config.json. For an adapter, those of its
    base with what the adapter adds.

    Raises CheckpointError that lists all missing, extra and misshapen tensors, or says that the model is not of this
    ``kind``: Llama, Critic, or None for either.
    """
    config, stored = read_config(path), stored_tensors(base_folder(path))  # the first names a folder that is missing
    if VALUE_HEAD in stored and kind is Llama:
        raise CheckpointError(
            f"{path}: a process reward model (python -m tl prm), which writes no text: name another model"
        )
    if VALUE_HEAD not in stored and kind is Critic:
        raise CheckpointError(f"{path}: has no value head; `python -m tl prm` trains a model with one")
    kind = kind or (Critic if VALUE_HEAD in stored else Llama)
    with torch.device("meta"):
        model = kind(config)
    expected = {hf_name(name): tuple(parameter.shape) for name, parameter in model.named_parameters()}
    optional = {}
    if config.tie_word_embeddings and kind is Llama:
        optional = {"lm_head.weight": tuple(model.lm_head.weight.shape)}
    problems = [f"{name}: expected {list(expected[name])}, found nothing" for name in expected.keys() - stored.keys()]
    for name, (file, shape, *_) in stored.items():
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
            f"{base_folder(path)}: the weights are not those of the model in {CONFIG_FILE}:\n  "
            + "\n  ".join(shown)
            + "\nFetch configuration and weights again, both from the same place"
        )
    return with_adapter(stored, path)


def check_vocabulary(tokenizer: Tokenizer, config: ModelConfig) -> None:
    """Raises CheckpointError if the tokenizer has ids beyond the model's embedding, or another id for </s>."""
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"{tokenizer.path}: expected at most {config.vocab_size:,} pieces, the rows of the model's embedding "
            f"(vocab_size), found {tokenizer.vocab_size:,}. Use the tokenizer that belongs to this model"
        )
    if tokenizer.eos_id != config.eos_token_id:
        advice = "Use the tokenizer that belongs to this model"
        if config.eos_token_id >= tokenizer.vocab_size:
            end = f"{tokenizer.piece(tokenizer.eos_id)}, name {tokenizer.eos_id} first in the model's eos_token_id"
            advice = f"It has no such id, and added_tokens.json is not read: to end texts with {end}"
        raise CheckpointError(
            f"{tokenizer.path}: expected texts to end with id {config.eos_token_id}, the model's eos_token_id, found "
            f"{tokenizer.eos_id}. {advice}"
        )


def tie(path: Path, weights: dict[str, Tensor]) -> None:
    """Uses the embedding as the head's weight. A file may hold a head as well, if it is equal."""
    embedding = weights["embed_tokens.weight"]
    head = weights.setdefault("lm_head.weight", embedding)
    if head is not embedding and not torch.equal(head, embedding):
        raise CheckpointError(
            f"{path / CONFIG_FILE}: tie_word_embeddings is true, but lm_head.weight is not model.embed_tokens.weight. "
            "Set it to false if the head was trained on its own"
        )
    weights["lm_head.weight"] = embedding


def save_model(
    model: Llama,
    path: str | os.PathLike,
    tokenizer_path: str | os.PathLike | None = None,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    chat_template: str | None = None,
) -> None:
    """Writes a checkpoint folder that this project and other tools open.

    All files are written to a temporary folder inside `path` and moved when complete, config.json last. A save that is
    interrupted leaves an older model intact or, during the move, a folder without config.json, which nothing opens.

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
        OSError: a file could not be written, for lack of room, say.
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
            write_tokenizer(tokenizer, model.config, chat_template, staging)
        config = model.config.to_hf()
        if isinstance(model, Critic):
            [architecture] = config["architectures"]
            named = architecture.replace("ForCausalLM", "ForTokenClassification")
            config |= {"architectures": [named], "num_labels": 1, "tie_word_embeddings": False}
        _write_json(staging / GENERATION_FILE, {key: config[key] for key in ("bos_token_id", "eos_token_id")})
        _write_json(staging / CONFIG_FILE, config | {"torch_dtype": str(dtype).removeprefix("torch.")})
        _publish(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, path: Path) -> None:
    """Replaces an older model's files by these. Meanwhile there is no config.json, so the folder is no checkpoint."""
    for file in staging.glob("*.safetensors"):
        shutil.copymode(staging / CONFIG_FILE, file)  # safetensors ignores the umask: only the owner could read them
    (path / CONFIG_FILE).unlink(missing_ok=True)
    old = [path / WEIGHTS_FILE, path / INDEX_FILE, *path.glob("model-*-of-*.safetensors")]
    if (staging / TOKENIZER_JSON).is_file():  # other programs would prefer the old files to it
        old += [path / TOKENIZER_FILE, path / CHAT_TEMPLATE_FILE]
    for file in old:
        file.unlink(missing_ok=True)
    for file in sorted(staging.iterdir(), key=lambda file: file.name == CONFIG_FILE):
        file.replace(path / file.name)


def _write_weights(model: Llama, folder: Path, dtype: torch.dtype, shard_bytes: int) -> None:
    # named_parameters gives a tied head once, as the embedding: the file has no head then.
    weights = {hf_name(name): parameter.detach() for name, parameter in model.named_parameters()}
    sizes = {name: weight.numel() * dtype.itemsize for name, weight in weights.items()}
    shards = _split(sizes, shard_bytes)
    files = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    if len(shards) == 1:
        files = [WEIGHTS_FILE]
    for file, names in zip(files, shards, strict=True):
        tensors = {name: weights[name].to("cpu", dtype).contiguous() for name in names}
        write_tensors(tensors, folder / file)
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


def write_tokenizer(tokenizer: Tokenizer, config: ModelConfig, chat_template: str | None, folder: Path) -> None:
    """Writes the files of a tokenizer for a model with this configuration, and a chat template (jinja)."""
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
    """The settings beside the tokenizer.json. Their ``bos_token``, which chat templates write, becomes ours."""
    source = tokenizer.path.with_name(SETTINGS_FILE)
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings |= read_json(source) if source.is_file() else {}
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
