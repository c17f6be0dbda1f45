"""PPO's step is the same however its rollouts are spread over ranks: also where one has more of them, or none."""

import random

import pytest
import torch
from ranks import on_one_rank
from torch.optim import SGD

import train_ppo
from tl.llama import Llama, ModelConfig, save_model
from tl.llama.model import Critic
from tl.llama.sampling import Completion
from tl.rl.batch import PPOBatch
from tl.rl.calls import Experience, ScoredCall
from tl.rl.update import Learner
from tl.training import distributed
from tl.training.distributed import World

STEPS = [[1, 3, 20], [20, 8, 3], [8]]  # numbers of actions of the rollouts of each step, all in one minibatch
REWARDS = {1: 1.0, 3: -2.0, 8: 0.5, 20: -1.5}
CONFIG = train_ppo.PPOConfig(minibatch_size=3, ppo_epochs=2, target_kl=1e9)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    save_model(Llama(ModelConfig(40, 16, 24, 2, 2, 2, 8, 64)), folder)
    return folder


def rollout(n: int) -> Experience:
    """n actions after a prompt that begins as no other does."""
    experience = Experience(str(n), [n, 30, 31])
    actions = random.Random(n).choices(range(40), k=n)
    experience.add(Completion(actions, [-3.0] * n), ScoredCall("", REWARDS[n], None))
    return experience


def share(batch: PPOBatch, rows: list[int]) -> list[int]:
    return [row for _, mine in batch.micro_batches(rows) for row in mine]


def train(world: World, folder) -> tuple[list[int], list]:
    """The number of the rank's rollouts in each step; metrics, and parameters of actor and critic after the last one.
    In float64 and without Adam, so that gradients count for what they are and rounding for nothing."""

    def learner(kind) -> Learner:
        model = distributed.load(kind, folder, world, dtype=torch.float64)
        return Learner(model, SGD(model.parameters(), 0.5), 1e9)

    reference = distributed.load(Llama, folder, world, dtype=torch.float64)
    models = train_ppo.Models(learner(Llama), learner(Critic), reference)
    batches = [PPOBatch.of([rollout(n) for n in lengths], CONFIG.micro_tokens, world) for lengths in STEPS]
    metrics = [train_ppo.train_step(models, batch, seed, CONFIG) for seed, batch in enumerate(batches)]
    trained = [
        {name: distributed.full_tensor(parameter).detach() for name, parameter in learner.model.named_parameters()}
        for learner in (models.actor, models.critic)
    ]
    return [len(share(batch, range(len(batch)))) for batch in batches], [metrics, *trained]


def train_naively(world: World, folder) -> tuple[list[int], list]:
    """The same, except that each rank divides by the number of its own actions."""

    def own_actions(batch: PPOBatch, rows: list[int]) -> int:
        return world.size * max(int(batch.mask[share(batch, rows)].sum()), 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PPOBatch, "n_actions", own_actions)
        return train(world, folder)


def test_two_ranks_equal_one_whatever_each_has_of_a_minibatch(model, two_ranks):
    _, one = on_one_rank(train, model)
    for (counts, two), expected in zip(two_ranks.run(train, model), ([1, 1, 1], [2, 2, 0]), strict=True):
        assert counts == expected
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-7)
    assert all(step["kl"] != 0 for step in one[0][1:])  # the steps before moved the policy


def test_eight_ranks_equal_one_though_most_have_none_of_a_minibatch(model, eight_ranks):
    _, one = on_one_rank(train, model)
    for _, eight in eight_ranks.run(train, model):
        torch.testing.assert_close(eight, one, rtol=1e-5, atol=1e-7)


def test_the_average_of_rank_averages_would_not(model, two_ranks):
    _, one = on_one_rank(train, model)
    (_, two), _ = two_ranks.run(train_naively, model)
    for metrics_or_parameters, expected in zip(two, one, strict=True):
        with pytest.raises(AssertionError):
            torch.testing.assert_close(metrics_or_parameters, expected, rtol=1e-2, atol=1e-3)
