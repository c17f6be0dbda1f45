"""PPO with LoRA: policy, critic and reference are three models, whose frozen weights are in memory once."""

from pathlib import Path

import pytest
import torch
from ranks import on_one_rank
from runs import Crash, crash_at
from test_ppo_ranks import CONFIG, STEPS, rollout
from test_train_ppo import arguments, assert_same_run, column, weights
from torch.distributed.fsdp import FSDPModule
from torch.optim import SGD

import train_ppo
from tl.llama import Llama, ModelConfig, load_model, save_model
from tl.llama.lora import LoRA, adapter_parameters
from tl.llama.model import Critic
from tl.rl.batch import PPOBatch
from tl.rl.config import PPOConfig
from tl.rl.update import Learner
from tl.training import distributed
from tl.training.distributed import World
from tl.training.memory import count_parameters, ppo_memory

RANK = ("--lora_rank", "4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A model whose tensors two ranks can share evenly, as those of real models can be."""
    path = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    save_model(Llama(ModelConfig(40, 16, 24, 2, 2, 2, 8, 64)), path)
    return path


def addresses(model: Llama) -> dict[str, int]:
    """Where this rank's part of each weight of the base lies."""
    parameters = ((name, p) for name, p in model.named_parameters() if "lora_" not in name and "head" not in name)
    return {name: getattr(p, "_local_tensor", p).data_ptr() for name, p in parameters}


def places(world: World, folder: Path) -> list[dict[str, int]]:
    """The addresses after a forward pass of each, which is when FSDP makes its arrangements."""
    models = train_ppo.Models.load(folder, PPOConfig(lora_rank=4), world)
    three = (models.actor.model, models.critic.model, models.reference)
    with torch.no_grad():
        for model in three:
            model(torch.arange(8)[None], return_hidden=True)
            if isinstance(model, FSDPModule):
                model.reshard()
    return [addresses(model) for model in three]


def test_the_three_models_have_the_same_weights_in_memory(folder, two_ranks):
    for actor, critic, reference in (on_one_rank(places, folder), *two_ranks.run(places, folder)):
        assert actor == critic == reference and len(set(actor.values())) == len(actor)


def held(world: World, folder: Path, config: PPOConfig) -> int:
    """Bytes of all parameters of the three models, each once."""
    models = train_ppo.Models.load(folder, config, world)
    three = (models.actor.model, models.critic.model, models.reference)
    storages = [p.untyped_storage() for model in three for p in model.parameters()]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def test_one_model_and_two_sets_of_adapters_are_all_that_is_held(folder):
    model = load_model(folder)
    one, two_adapters = count_parameters(model.config), 2 * adapter_parameters(model.config, LoRA(4, 8.0))
    value_head = sum(p.numel() for p in Critic(model.config).value_head.parameters())
    assert on_one_rank(held, folder, PPOConfig(lora_rank=4)) == 4 * (one + two_adapters + value_head)
    head = model.lm_head.weight.numel()
    assert on_one_rank(held, folder, PPOConfig()) == 4 * (3 * one - head + value_head)


def test_the_estimate_counts_the_base_once():
    codellama, lora = ModelConfig(32016, 4096, 11008, 32, 32, 32, 128, 16384), LoRA(64, 128.0)
    weights, adapters = 2 * count_parameters(codellama), adapter_parameters(codellama, lora)
    memory = ppo_memory(codellama, 8704, 8704, compute_bytes=2, checkpointing="full", lora=lora)
    assert (memory.parameters, memory.reference) == (weights + 2 * 4 * adapters, 0)
    assert (memory.optimizer, memory.gradients) == (2 * 8 * adapters, 4 * adapters)
    assert memory.total < 0.25 * ppo_memory(codellama, 8704, 8704, compute_bytes=2, checkpointing="full").total


def train(world: World, folder: Path) -> tuple[list, dict, dict, torch.Tensor]:
    """Metrics of three steps, what is trained of actor and critic, and the reference's logits after them; in float64
    and without Adam, as in test_ppo_ranks.py."""
    lora = LoRA(3, 6.0)

    def learner(kind, base=None) -> Learner:
        model = distributed.load(kind, folder, world, dtype=torch.float64, seed=0, lora=lora, base=base)
        return Learner(model, SGD([p for p in model.parameters() if p.requires_grad], 0.5), 1e9)

    actor = learner(Llama)
    reference = distributed.load(Llama, folder, world, dtype=torch.float64, base=actor.model)
    models = train_ppo.Models(actor, learner(Critic, actor.model), reference.requires_grad_(False))
    batches = [PPOBatch.of([rollout(n) for n in lengths], CONFIG.micro_tokens, world) for lengths in STEPS]
    metrics = [train_ppo.train_step(models, batch, seed, CONFIG) for seed, batch in enumerate(batches)]
    trained = [
        {n: distributed.full_tensor(p).detach() for n, p in x.model.named_parameters() if p.requires_grad}
        for x in (models.actor, models.critic)
    ]
    with torch.no_grad():
        return metrics, *trained, reference(torch.arange(8)[None])


def test_two_ranks_equal_one_and_the_reference_stays(folder, two_ranks):
    one = on_one_rank(train, folder)
    for two in two_ranks.run(train, folder):
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-7)
    metrics, actor, critic, logits = one
    assert metrics[0]["kl"] == 0 != metrics[1]["kl"]
    assert all(p.abs().sum() > 0 for p in (*actor.values(), *critic.values()))
    torch.testing.assert_close(logits, load_model(folder, torch.float64)(torch.arange(8)[None]))


@pytest.fixture(scope="module")
def toy(tmp_path_factory, small_tokenizer) -> Path:
    from test_train_ppo import toy as make  # a fixture, of which the function is wanted

    return make.__wrapped__(tmp_path_factory, small_tokenizer)


def test_a_run_learns_leaves_both_forms_and_resumes_to_the_last_bit(toy, tmp_path, monkeypatch):
    flags = arguments(toy, tmp_path / "whole", *RANK, "--save_every", "0")
    assert train_ppo.main(flags) == 0
    assert column(tmp_path / "whole", "kl")[0] == 0 != column(tmp_path / "whole", "kl")[-1]
    again, merged = weights(tmp_path / "whole" / "adapter"), weights(tmp_path / "whole")
    assert all(torch.allclose(again[name], weight, rtol=0, atol=1e-6) for name, weight in merged.items())
    flags = arguments(toy, tmp_path / "resumed", *RANK, "--save_every", "2")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(4, patch, train_ppo)
        train_ppo.main(flags)
    assert train_ppo.main([*flags, "--resume"]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "resumed")
