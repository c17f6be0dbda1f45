"""The estimate of --dry_run beside what a step of PPO really allocates."""

import pytest
import torch
from allocations import peak_allocated

import train_ppo
from tl.llama import Llama, ModelConfig, save_model
from tl.llama.sampling import Sampler
from tl.metrics import Question
from tl.rl.calls import Experience, ScoredCall
from tl.rl.config import PPOConfig
from tl.rl.data import PPOData
from tl.training import distributed
from tl.training.memory import TrainingMemory, ppo_memory
from tl.training.run import Progress

MIB = 2**20
CONFIG = ModelConfig(3000, 256, 1024, 2, 4, 2, 64, 1024)
UPDATE = PPOConfig(batch_size=2, minibatch_size=2, max_new_tokens=248, micro_tokens=256, checkpointing="none")
SAMPLING = PPOConfig(batch_size=16, minibatch_size=2, max_new_tokens=4, micro_tokens=128, checkpointing="full")


def of_ids(id: str, prompt_ids: list[int]) -> Question:
    return Question(id, (), (), (), prompt_ids=prompt_ids)


def sample(actor: Llama, _tokenizer, prompts: list[Question], config, seeds: list[int]) -> list[Experience]:
    """Rollouts that are worth nothing. Where updates are measured nearly all tokens are drawn ones: fewer would make
    fewer logits, and less of the last block, of which the estimate knows nothing."""
    sampler = Sampler(actor, len(prompts), eos_id=-1)
    completions = sampler.complete(
        [p.prompt_ids for p in prompts], config.max_new_tokens, 1.0, seeds=seeds, logprobs=True
    )
    experiences = [Experience(prompt.id, list(prompt.prompt_ids)) for prompt in prompts]
    for experience, completion in zip(experiences, completions, strict=True):
        experience.add(completion, ScoredCall("", 0.0, None))
    return experiences


@pytest.mark.long
@pytest.mark.parametrize(("config", "length", "phase"), [(UPDATE, 8, "step"), (SAMPLING, 124, "generation")])
def test_the_estimate_is_within_15_percent_of_the_measured_peak(config, length, phase, tmp_path, monkeypatch):
    """Of two steps, the second with the optimizers' state there from the beginning."""
    monkeypatch.setattr(train_ppo, "sample_calls", sample)
    save_model(Llama(CONFIG), tmp_path)
    prompts = [of_ids(str(n), [(n + i) % 3000 for i in range(length)]) for n in range(config.batch_size)]
    with distributed.process_group() as world:

        def work() -> None:
            models, progress = train_ppo.Models.load(tmp_path, config, world), Progress()
            for _ in range(2):
                train_ppo.ppo_step(models, None, None, prompts, progress, config, world)

        measured, _ = peak_allocated(work)
        estimate = train_ppo.estimate_memory(config, PPOData(prompts), [], CONFIG, world)
    assert getattr(estimate, phase) == max(estimate.step, estimate.generation)
    assert estimate.total == pytest.approx(measured, rel=0.15), f"{estimate}, measured {measured / MIB:.0f} MiB"


def test_an_evaluation_that_holds_more_than_a_rollout_counts():
    prompts = [of_ids("", [3] * 100)]
    held_out = [of_ids("", [3] * 496)] * 40
    world = distributed.World(0, 1, torch.device("cpu"))

    def sampled(items):
        return train_ppo.estimate_memory(SAMPLING, PPOData(prompts), items, CONFIG, world).generation

    assert sampled(held_out[:1]) == sampled([])
    keys_and_values, reading = 2 * 2 * 2 * 64, 2 * 256 + 3 * 1024  # numbers a token
    assert sampled(held_out) - sampled([]) == 4 * (16 * 512 - 16 * 128) * (keys_and_values + reading)


def test_every_part_is_shown_and_what_is_there_at_the_peak_of_each_phase():
    sizes = {
        "parameters": 1,
        "optimizer": 2,
        "gradients": 10,
        "activations": 20,
        "temporary": 30,
        "kv_cache": 100,
        "copies": 200,
        "reference": 3,
    }
    memory = TrainingMemory(whole_layers=0, **{name: size * 2**30 for name, size in sizes.items()})
    peaks = {"peak in steps": 1 + 2 + 3 + 60, "peak in generation": 1 + 2 + 3 + 300, "peak": 1 + 2 + 3 + 300}
    shown = {name.replace("_", " "): f"{size}.00 GiB" for name, size in (sizes | peaks).items()}
    assert {line[:20].strip(): line[20:].strip() for line in memory.lines()} == shown


@pytest.mark.parametrize(("ranks", "gigabytes"), [(8, 80), (2, 141)])
def test_three_models_of_7b_fit_in_the_memory_that_they_are_meant_for(ranks, gigabytes):
    """CodeLLaMA-7B in bfloat16, with the paper's longest prompt and response."""
    codellama, longest = ModelConfig(32016, 4096, 11008, 32, 32, 32, 128, 16384), 8192 + 512
    estimate = ppo_memory(codellama, longest, 3 * longest, ranks, compute_bytes=2, checkpointing="full")
    assert estimate.total < 0.9 * gigabytes * 1e9
