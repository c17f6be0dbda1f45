"""Training with LoRA: what moves, what is saved and resumed, and that ranks and recomputation change nothing."""

import warnings
from pathlib import Path

import pytest
import torch
from ranks import on_one_rank
from runs import Crash, arguments, assert_same_run, crash_at, losses, weights
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.tensor import DTensor

import train_sft
from tl.llama import Llama
from tl.llama.lora import LoRA
from tl.training import distributed
from tl.training.batching import collate, target_nll
from tl.training.config import RunError, resolve_config
from tl.training.data import load_training_data
from tl.training.distributed import World
from tl.training.optimizer import make_optimizer

RANK = ("--lora_rank", "3")  # no multiple of two ranks


@pytest.fixture(scope="module")
def whole(toy_sft, tmp_path_factory) -> Path:
    """An uninterrupted run on one rank, which changes the model."""
    run = tmp_path_factory.mktemp("lora") / "run"
    assert train_sft.main(arguments(toy_sft, run, *RANK)) == 0
    return run


def test_the_adapted_layers_alone_have_changed_and_the_loss_falls(toy_sft, whole):
    before, after = weights(toy_sft / "model"), weights(whole)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "_proj." in name}
    assert losses(whole)[-1] < losses(whole)[0]


def test_the_first_loss_is_that_of_the_model_itself(toy_sft, whole, tmp_path):
    train_sft.main(arguments(toy_sft, tmp_path / "full", "--max_steps", "1"))
    assert losses(tmp_path / "full")[0] == losses(whole)[0]


def test_the_saved_model_has_its_share_of_the_initial_weights(toy_sft, whole, tmp_path, monkeypatch):
    reads, read = [], distributed._read
    monkeypatch.setattr(distributed, "_read", lambda *args: reads.append(args) or read(*args))
    train_sft.main(arguments(toy_sft, tmp_path / "run", *RANK, "--initial_share", "0.25"))
    assert len(reads) == 1  # the frozen weights are still in memory at the end
    initial, trained = weights(toy_sft / "model"), weights(whole)
    for name, tensor in weights(tmp_path / "run").items():
        torch.testing.assert_close(tensor, 0.75 * trained[name] + 0.25 * initial[name])


@pytest.mark.parametrize("mode", ["none", "selective"])  # the default is full
def test_computing_activations_again_changes_nothing(toy_sft, whole, tmp_path, mode):
    train_sft.main(arguments(toy_sft, tmp_path / "run", *RANK, "--checkpointing", mode))
    assert_same_run(whole, tmp_path / "run")


def test_a_resumed_run_is_the_same_to_the_last_bit_from_a_state_without_frozen_weights(toy_sft, whole, tmp_path):
    flags = arguments(toy_sft, tmp_path / "run", *RANK, "--save_every", "2")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        crash_at(4, patch)
        train_sft.main(flags)
    [state] = (tmp_path / "run" / "states").iterdir()
    saved = FileSystemReader(state).read_metadata().state_dict_metadata.keys()
    assert {name for name in saved if "_proj" in name} and all("lora_" in name for name in saved if "layers" in name)
    assert not any("embed_tokens" in name or "lm_head" in name for name in saved)
    assert train_sft.main([*flags, "--resume"]) == 0
    assert_same_run(whole, tmp_path / "run")


def test_settings_of_lora_do_not_change_when_a_run_is_resumed(toy_sft, tmp_path):
    flags = arguments(toy_sft, tmp_path / "run", *RANK, "--save_every", "1")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        crash_at(2, patch)
        train_sft.main(flags)
    with pytest.raises(RunError, match="lora_rank: 3 -> 4"):
        train_sft.main([*flags, "--resume", "--lora_rank", "4"])


def test_defaults(toy_sft):
    def config(*flags: str) -> train_sft.SFTConfig:
        return resolve_config(["--model", str(toy_sft / "model"), *flags])

    assert config().lora is None and config("--lora_rank", "8").lora == LoRA(8, 16.0)
    assert config("--lora_rank", "8").learning_rate == 1e-4 != config().learning_rate
    assert config("--lora_rank", "8", "--learning_rate", "7").learning_rate == 7
    chosen = config("--lora_rank", "8", "--lora_alpha", "4", "--lora_on", "q_proj", "v_proj")
    assert chosen.lora == LoRA(8, 4.0, ("q_proj", "v_proj"))
    for without_rank in (["--lora_alpha", "4"], ["--lora_on", "q_proj"]):
        with pytest.raises(RunError, match="--lora_rank"):
            config(*without_rank)
    with pytest.raises(SystemExit):
        config("--lora_rank", "8", "--lora_on", "lm_head")


# ---- ranks


def train(world: World, toy: Path, dtype: torch.dtype, batches: list[list[int]]):
    """Losses, gradient norms and, on rank 0, adapters after a step on each batch of examples."""
    config = train_sft.SFTConfig(micro_tokens=400, learning_rate=1e-2)
    model = distributed.load(Llama, toy / "model", world, dtype=dtype, seed=0, lora=LoRA(3, 6.0))
    tokenizer = train_sft.Tokenizer(toy / "model")
    data = load_training_data([str(toy / "data.jsonl")], tokenizer, train_sft.EncodingOptions(), progress=False)
    optimizer = make_optimizer(model, config.learning_rate, config)
    steps = [train_sft.train_step(model, optimizer, [data.examples[i] for i in b], config, world) for b in batches]
    whole = distributed.gather(model, world)
    return steps, None if whole is None else {n: p.detach() for n, p in whole.named_parameters() if "lora_" in n}


def test_two_ranks_equal_one(toy_sft, two_ranks):
    batches = [[0, 1, 2], [3, 4, 5, 6, 7], [8, 2]]
    steps, adapters = on_one_rank(train, toy_sft, torch.float64, batches)
    (steps_of_two, adapters_of_two), _ = two_ranks.run(train, toy_sft, torch.float64, batches)
    for step, of_two in zip(steps, steps_of_two, strict=True):
        assert step == pytest.approx(of_two, rel=1e-12)
    for name, adapter in adapters.items():
        torch.testing.assert_close(adapters_of_two[name], adapter, rtol=1e-10, atol=1e-12)
        assert adapter.abs().sum() > 0


def in_bfloat16(world: World, toy: Path):
    """(dtypes and whether trained of the parameters, dtypes of products, local gradient of the adapters)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "compute_dtype", torch.bfloat16)
        model = distributed.load(Llama, toy / "model", world, "full", seed=0, lora=LoRA(3, 6.0))
    returned = set()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda module, inputs, output: returned.add(output.dtype))
    tokenizer = train_sft.Tokenizer(toy / "model")
    data = load_training_data([str(toy / "data.jsonl")], tokenizer, train_sft.EncodingOptions(), progress=False)
    target_nll(model, collate(list(data.examples)[world.rank :: world.size])).mean().backward()
    kinds = {(p.dtype, p.requires_grad, p.grad is not None) for p in model.parameters()}
    with torch.no_grad(), distributed.unsharded(model, world) as plain:
        logits = plain(torch.arange(12)[None])
    sharded_again = isinstance(model.lm_head.weight, DTensor)
    return kinds, returned, logits, sharded_again


def test_frozen_weights_are_bfloat16_and_adapters_float32_where_bfloat16_is_computed_in(toy_sft, two_ranks):
    for kinds, returned, logits, sharded_again in two_ranks.run(in_bfloat16, toy_sft):
        assert kinds == {(torch.bfloat16, False, False), (torch.float32, True, True)}
        assert returned == {torch.bfloat16} and logits.dtype == torch.bfloat16 and sharded_again


def run(world: World, flags: list[str]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return train_sft.run(train_sft.resolve_config(flags), world)


def test_the_program_leaves_the_same_model_from_two_ranks(toy_sft, two_ranks, whole, tmp_path):
    assert two_ranks.run(run, arguments(toy_sft, tmp_path / "two", *RANK)) == [0, 0]
    assert losses(tmp_path / "two") == pytest.approx(losses(whole), rel=1e-5)
    one, two = weights(whole), weights(tmp_path / "two")
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0, atol=1e-4)
