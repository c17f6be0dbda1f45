"""Adapters in PEFT's layout: adapter_config.json and adapter_model.safetensors in a folder that names its base model.

An adapter folder can be used wherever a checkpoint folder is read: it means the base with the products added.
"""

import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

from tl.llama.lora import lora_of
from tl.llama.model import Llama
from tl.llama.stored import CheckpointError, Product, StoredTensor, hf_name, read_header, read_json, write_tensors

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

_PREFIX = "base_model.model."  # PEFT's, before Hugging Face's names
_A, _B = ".lora_A.weight", ".lora_B.weight"
# Settings that are used here, that matter to training only, or that follow from the tensors. If any other is set, the
# adapter is not W + (α / r) B A.
_KNOWN = {
    *("peft_type", "base_model_name_or_path", "r", "lora_alpha", "init_lora_weights"),
    *("task_type", "auto_mapping", "peft_version", "revision", "inference_mode", "lora_dropout", "runtime_config"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("megatron_core", "qalora_group_size"),  # set even if their feature is off
}
_PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")  # others change the base's weights


def is_adapter(path: str | os.PathLike) -> bool:
    return (Path(path) / ADAPTER_CONFIG).is_file()


def base_folder(path: str | os.PathLike) -> Path:
    """The folder of an adapter's base model; any other path unchanged.

    Raises:
        CheckpointError: the adapter is no plain LoRA, or its base is no local folder.
    """
    path = Path(path)
    return Path(_settings(path)["base_model_name_or_path"]) if is_adapter(path) else path


def with_adapter(stored: dict[str, StoredTensor], path: str | os.PathLike) -> dict[str, StoredTensor]:
    """The tensors of ``base_folder(path)``, with the products that are added to them if the path is an adapter's.

    Raises:
        CheckpointError: a tensor of the adapter has no partner or does not fit the base, or tensors are missing.
    """
    if not is_adapter(path):
        return stored
    settings, file = _settings(Path(path)), Path(path) / ADAPTER_WEIGHTS
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file. Save the adapter again, with safetensors")
    header, rank, result = read_header(file), settings["r"], dict(stored)
    if not header:
        raise CheckpointError(f"{file}: has no tensors. Save the adapter again, gathered from all ranks")
    for name, b in header.items():
        target = name.removeprefix(_PREFIX).removesuffix(_B) + ".weight"
        a = header.get(name.removesuffix(_B) + _A)
        if name.endswith(_A) and name.removesuffix(_A) + _B in header:
            continue
        if not name.endswith(_B) or a is None or target not in stored:
            raise CheckpointError(f"{file}: {name}: expected an A and a B for one of the base's weights")
        out, inputs = stored[target].shape
        if (b.shape, a.shape) != ((out, rank), (rank, inputs)):
            raise CheckpointError(
                f"{file}: {name}: expected {[out, rank]} and {[rank, inputs]} for B and A, found {list(b.shape)} and "
                f"{list(a.shape)}. The adapter is of another model, or of several ranks"
            )
        product = Product(file, name.removesuffix(_B) + _A, name, settings["lora_alpha"] / rank)
        result[target] = stored[target]._replace(product=product)
    matrices = (name for name, tensor in result.items() if len(tensor.shape) == 2 and tensor.product is None)
    if missing := [name for name in matrices if _is_target(name.removesuffix(".weight"), settings)]:
        raise CheckpointError(
            f"{file}: {', '.join(missing[:8])}: expected an A and a B for each of these {len(missing)}, since "
            f"{ADAPTER_CONFIG} names them, found neither. Save the adapter again, gathered from all ranks"
        )
    return result


def _is_target(module: str, settings: dict[str, Any]) -> bool:
    """Whether PEFT puts an adapter on a module of the base."""
    layers, number = settings.get("layers_to_transform"), re.search(r"\.(\d+)\.", module)
    if layers not in (None, []) and number and int(number[1]) not in (layers if isinstance(layers, list) else [layers]):
        return False
    return _is_named(module, settings.get("target_modules")) and not _is_named(module, settings.get("exclude_modules"))


def _is_named(module: str, names: Any) -> bool:
    """Whether a pattern matches the module's whole name, or a list has the end of it."""
    if isinstance(names, str):
        return re.fullmatch(names, module) is not None
    return any(f".{module}".endswith(f".{name}") for name in names or ())


def save_adapter(model: Llama, path: str | os.PathLike, base: str | os.PathLike) -> None:
    """Writes a model's adapters so that PEFT opens them: as they are, in float32. ``base`` is the folder of the model
    that they were added to. The model's weights are on the CPU and whole."""
    lora = lora_of(model)
    assert lora is not None, "the model has no adapters"
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    tensors = {_PREFIX + hf_name(n): p.detach().float() for n, p in model.named_parameters() if ".lora_" in n}
    (path / ADAPTER_CONFIG).unlink(missing_ok=True)
    write_tensors(tensors, path / ADAPTER_WEIGHTS)
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(Path(base).resolve()),
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(set(lora.on)),
        "bias": "none",
        "inference_mode": True,
    }
    (path / ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    shutil.copymode(path / ADAPTER_CONFIG, path / ADAPTER_WEIGHTS)  # safetensors ignores the umask


def _settings(path: Path) -> dict[str, Any]:
    """adapter_config.json, if it describes a plain LoRA of a local model."""
    file = path / ADAPTER_CONFIG
    settings = read_json(file)
    if settings.get("peft_type") != "LORA":
        raise CheckpointError(f"{file}: peft_type: expected LORA, found {settings.get('peft_type')!r}")
    for key, value in settings.items():
        if (value and value != "none" and key not in _KNOWN) or (
            key == "init_lora_weights" and value not in _PLAIN_STARTS
        ):
            raise CheckpointError(
                f"{file}: {key}: {value!r:.80} is not supported, only plain LoRA: W + lora_alpha / r B A. Merge the "
                "adapter into its model with PEFT (merge_and_unload) and give that"
            )
    rank, alpha = settings.get("r"), settings.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise CheckpointError(f"{file}: expected numbers r and lora_alpha, found {rank!r} and {alpha!r}")
    base = settings.get("base_model_name_or_path")
    if not isinstance(base, str) or not base or not Path(base).is_dir() or is_adapter(base):
        raise CheckpointError(
            f"{file}: base_model_name_or_path: {base!r} is no local folder of a whole model. Nothing is "
            "downloaded: set it to the folder of the model that the adapter was trained on"
        )
    return settings
