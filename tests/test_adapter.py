"""Adapters in PEFT's layout: PEFT's own logits and files, recorded by ``python -m benchmarks.adapters --record``."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from runs import arguments, weights
from safetensors.torch import load_file, save_file

import evaluate
import train_sft
from benchmarks.families import fill
from tl.llama import Llama, ModelConfig, Tokenizer, load_model, save_model
from tl.llama.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, base_folder, save_adapter
from tl.llama.lora import LoRA, add_lora
from tl.llama.weights import CheckpointError
from tl.templates import template_line
from tl.training import distributed
from tl.training.config import RunError, SFTConfig, check_settings

PEFT = json.loads((Path(__file__).parent / "data" / "peft_adapter.json").read_text())
LORA = LoRA(PEFT["adapter_config"]["r"], PEFT["adapter_config"]["lora_alpha"])
LOGITS = torch.tensor(PEFT["logits"])
IDS = torch.tensor([PEFT["input_ids"]])
FIRST = "base_model.model.model.layers.0.self_attn.q_proj"


def base_model() -> Llama:
    model = Llama(ModelConfig.from_hf(PEFT["config"]))
    fill(model.named_parameters())
    return model


def adapted_model() -> Llama:
    model = add_lora(base_model(), LORA)
    fill((name, p) for name, p in model.named_parameters() if p.requires_grad)
    return model


@pytest.fixture
def folder(tmp_path) -> Path:
    """An adapter with the settings as PEFT writes them, beside its base."""
    save_model(base_model(), tmp_path / "base")
    save_adapter(adapted_model(), tmp_path / "adapter", tmp_path / "base")
    (tmp_path / "adapter" / ADAPTER_CONFIG).write_text(json.dumps(PEFT["adapter_config"]))
    return with_settings(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))


def with_settings(folder: Path, **changes) -> Path:
    file = folder / ADAPTER_CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return folder


def test_a_model_with_adapters_has_peft_s_logits():
    torch.testing.assert_close(adapted_model()(IDS)[0], LOGITS, rtol=0, atol=5e-6)


def test_what_is_saved_are_peft_s_tensors_and_settings(tmp_path):
    save_adapter(adapted_model().bfloat16(), tmp_path / "adapter", tmp_path)
    saved = load_file(tmp_path / "adapter" / ADAPTER_WEIGHTS)
    assert {name: list(tensor.shape) for name, tensor in saved.items()} == PEFT["shapes"]
    assert f"{FIRST}.lora_A.weight" in saved and {tensor.dtype for tensor in saved.values()} == {torch.float32}
    settings = json.loads((tmp_path / "adapter" / ADAPTER_CONFIG).read_text())
    theirs = PEFT["adapter_config"] | {"base_model_name_or_path": str(tmp_path)}
    assert settings.items() <= theirs.items()


def test_an_adapter_is_read_as_its_base_with_it_added(folder):
    torch.testing.assert_close(load_model(folder)(IDS)[0], LOGITS, rtol=0, atol=5e-6)
    assert base_folder(folder) == folder.parent / "base" == base_folder(folder.parent / "base")


def rows_of(world: distributed.World, folder: Path) -> dict[str, torch.Tensor]:
    model = distributed.load(Llama, folder, world)
    return {name: distributed.full_tensor(p).detach() for name, p in model.named_parameters()}


def test_ranks_read_their_rows_of_the_sum(folder, two_ranks):
    expected = dict(load_model(folder).named_parameters())
    for found in two_ranks.run(rows_of, folder):
        for name, tensor in found.items():
            torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-6)


def test_the_sum_is_rounded_once_to_what_the_base_is_stored_in(folder):
    save_model(base_model(), folder.parent / "base", dtype=torch.bfloat16)
    exact, rounded = load_model(folder, torch.float32).state_dict(), load_model(folder).state_dict()
    for name, tensor in rounded.items():
        assert tensor.dtype == torch.bfloat16 and torch.equal(tensor, exact[name].bfloat16())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_rslora", True),
        ("use_dora", True),
        ("modules_to_save", ["lm_head"]),
        ("rank_pattern", {"q_proj": 8}),
        ("alpha_pattern", {"q_proj": 8}),
        ("bias", "lora_only"),
        ("lora_bias", True),
        ("fan_in_fan_out", True),
        ("init_lora_weights", "pissa_niter_16"),
        ("layer_replication", [[0, 4], [2, 5]]),
        ("a_later_invention", {"x": 1}),
        ("peft_type", "IA3"),
        ("r", None),
        ("lora_alpha", math.nan),
        ("base_model_name_or_path", "meta-llama/Llama-2-7b-hf"),
        ("base_model_name_or_path", None),
        ("base_model_name_or_path", 3),
    ],
)
def test_settings_that_mean_something_else_are_refused_by_name(folder, key, value):
    with_settings(folder, **{key: value})
    for read in (load_model, Tokenizer):
        with pytest.raises(CheckpointError, match=rf"{ADAPTER_CONFIG}.*\b{key}\b"):
            read(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"lora_A": None},
        {"lora_B": None},
        {"lora_A": torch.ones(3, 32)},
        {"lora_B": torch.ones(31, 4)},
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(folder, changes):
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    for matrix, tensor in changes.items():
        tensors[f"{FIRST}.{matrix}.weight"] = tensor
    save_file({n: t for n, t in tensors.items() if t is not None}, folder / ADAPTER_WEIGHTS)
    with pytest.raises(CheckpointError, match=FIRST):
        load_model(folder)


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, "model.layers.1.mlp.up_proj.weight: "),
        ({"target_modules": ["model.layers.1.mlp.up_proj"]}, "model.layers.1.mlp.up_proj.weight: "),
        ({"layers_to_transform": []}, "model.layers.1.mlp.up_proj.weight: "),
        ({"target_modules": r".*\.1\.mlp\.(up|down)_proj"}, "model.layers.1.mlp.up_proj.weight: "),
        ({"layers_to_transform": [0]}, None),
        ({"layers_to_transform": 0}, None),
        ({"exclude_modules": ["mlp.up_proj"]}, None),
        ({"target_modules": ["q_proj"]}, None),
        ({"target_modules": r".*\.0\.mlp\..*_proj"}, None),
        ({"target_modules": None}, None),
    ],
)
def test_a_module_that_the_settings_name_needs_its_tensors(folder, settings, missing):
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    kept = {name: tensor for name, tensor in tensors.items() if "layers.1.mlp.up_proj" not in name}
    assert len(kept) == len(tensors) - 2
    save_file(kept, folder / ADAPTER_WEIGHTS)
    with_settings(folder, **settings)
    if missing:
        with pytest.raises(CheckpointError, match=f"{ADAPTER_WEIGHTS}: {missing}expected .* each of these 1"):
            load_model(folder)
    else:
        load_model(folder)


@pytest.mark.parametrize("name", ["lm_head.modules_to_save.weight", "model.layers.7.self_attn.q_proj.lora_B.weight"])
def test_tensors_of_something_else_are_refused_by_name(folder, name):
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file(tensors | {f"base_model.model.{name}": torch.ones(4, 4)}, folder / ADAPTER_WEIGHTS)
    with pytest.raises(CheckpointError, match=name):
        load_model(folder)


def test_an_adapter_without_tensors_is_refused(folder):
    save_file({}, folder / ADAPTER_WEIGHTS)
    with pytest.raises(CheckpointError, match=f"{ADAPTER_WEIGHTS}: has no tensors. Save the adapter again"):
        load_model(folder)


def test_an_adapter_without_safetensors_is_refused(folder):
    (folder / ADAPTER_WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=f"{ADAPTER_WEIGHTS}: no such file"):
        load_model(folder)


# ---- runs


@pytest.fixture(scope="module")
def run(toy_sft, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("adapter") / "run"
    assert train_sft.main(arguments(toy_sft, out, "--lora_rank", "3")) == 0
    return out


def test_a_run_leaves_the_merged_model_and_the_adapter_that_makes_it(toy_sft, run):
    merged, again = weights(run), weights(run / "adapter")
    assert base_folder(run / "adapter") == toy_sft / "model"
    for name, weight in merged.items():
        torch.testing.assert_close(again[name], weight, rtol=0, atol=1e-7)
    assert template_line(Tokenizer(run / "adapter")) == template_line(Tokenizer(run))
    assert "as saved with the model" in template_line(Tokenizer(run))


def test_a_run_never_replaces_the_base_of_the_adapter_that_it_starts_from(toy_sft, run):
    config = SFTConfig(model=str(run / "adapter"), out=str(toy_sft / "model"), overwrite=True)
    with pytest.raises(RunError, match=r"model is inside --out .*model"):
        check_settings(config)


def test_programs_take_an_adapter_for_a_model(toy_sft, run, tmp_path, capsys):
    flags = ["--data", str(toy_sft / "data.jsonl"), "--limit", "1", "--batch_size", "2"]
    for name, model in (("adapter", run / "adapter"), ("merged", run)):
        assert evaluate.main(["--model", str(model), *flags, "--report", str(tmp_path / f"{name}.json")]) == 0
    of_adapter, of_merged = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("adapter", "merged"))
    assert of_adapter["suites"] == of_merged["suites"]
    shutil.copytree(run / "adapter", tmp_path / "adapter")
    flags = arguments(toy_sft, tmp_path / "out", "--max_steps", "1", "--model", str(tmp_path / "adapter"))
    assert train_sft.main(flags) == 0
    with pytest.raises(RunError, match="is an adapter"):
        train_sft.main([*flags, "--overwrite", "--lora_rank", "4"])
