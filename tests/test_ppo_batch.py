"""Minibatches of PPO: every epoch goes over all rollouts once, however many are left. What rollouts begin with alike is
read once, which changes nothing but the time."""

import itertools

import pytest
import torch
from ranks import on_one_rank
from torch.optim import SGD

from tl.llama import Llama, ModelConfig
from tl.llama.model import Critic
from tl.rl.batch import PPOBatch, minibatches
from tl.rl.calls import Experience
from tl.rl.prefix_groups import prefix_groups
from tl.rl.update import Learner, update_policy, update_values
from tl.training.batching import target_nll
from tl.training.distributed import World


def singles(n: int) -> list[list[int]]:
    return [[i] for i in range(n)]


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [(32, 8, [8, 8, 8, 8]), (31, 8, [7, 8, 8, 8]), (9, 8, [4, 5]), (5, 8, [5]), (3, 1, [1, 1, 1]), (1, 8, [1])],
)
def test_each_epoch_has_every_rollout_once_in_minibatches_of_nearly_one_size(n, size, sizes):
    rows = list(minibatches(singles(n), size, epochs=3, seed=4))
    epochs = [rows[i : i + len(sizes)] for i in range(0, len(rows), len(sizes))]
    assert len(epochs) == 3
    for epoch in epochs:
        assert [len(minibatch) for minibatch in epoch] == sizes
        assert sorted(itertools.chain(*epoch)) == list(range(n))


def test_epochs_go_in_orders_of_their_own_which_the_seed_decides():
    first, second = minibatches(singles(30), 30, epochs=2, seed=0)
    assert first != second and [first, second] == list(minibatches(singles(30), 30, epochs=2, seed=0))
    assert [first, second] != list(minibatches(singles(30), 30, epochs=2, seed=1))


def test_a_prefix_group_stays_together_where_minibatches_allow():
    for rows in minibatches([[0, 1], [2, 3], [4, 5], [6, 7]], 4, epochs=3, seed=0):
        assert all((row ^ 1) in rows for row in rows)


# ---- rollouts that begin alike


def experience(id: str, prompt: list[int], *call: int) -> Experience:
    n = len(call)
    ids, positions = [*prompt, *call[:-1]], list(range(len(prompt) - 1, len(prompt) - 1 + n))
    return Experience(id, ids, positions, list(call), [-1.0] * n, [0.0] * (n - 1) + [1.0])


PROMPT = [1, 5, 6, 7]
ALONE = World(0, 1, torch.device("cpu"))
EXPERIENCES = [
    experience("other", [1, 5, 9], 3, 2),
    experience("first step", PROMPT, 8, 9, 2),
    experience("second step", [*PROMPT, 8, 2, 30, 31], 9, 2),
    experience("first step again", PROMPT, 2),
    experience("second step again", [*PROMPT, 8, 2, 30, 31], 8, 8, 8, 2),
    experience("without the others", [1, 9, 9, 9, 9], 4, 2),
]


def test_rollouts_whose_prompts_begin_alike_are_a_prefix_group_and_the_longest_prompt_comes_first():
    sharing = PPOBatch.of(EXPERIENCES, 100, ALONE).sharing
    assert sharing.groups(range(6)) == [[4, 2, 3, 1], [0], [5]]
    assert sharing.groups([1, 3, 0]) == [[3, 1], [0]]
    # Eleven tokens of the first one; of the others the last token of the prompt and the call but its end.
    assert [sharing.n_read(group) for group in sharing.groups(range(6))] == [11 + 2 + 1 + 3, 4, 6]


def test_every_prompt_of_a_prefix_group_begins_with_the_one_before_it():
    prompts = [[1, 2], [1], [1, 3], [1, 3, 4], [2], [1, 3, 5]]
    assert prefix_groups(prompts) == [[1, 0], [2, 3], [5], [4]]


def test_actions_know_their_call_and_rollouts_the_others_of_their_prompt():
    # Between the calls two tokens, the fewest that there can be.
    two_calls = Experience("a", [1, 7, 9, 3, 4, 8], [1, 2, 4, 5], [9, 2, 8, 2], [-1.0] * 4, [0.0, 1.0, 0.0, -2.0])
    others = [experience("b", prompt, *call) for prompt, *call in (([1, 7], 9, 2), ([1, 7], 2), ([1, 8], 2))]
    batch = PPOBatch.of([two_calls, *others], 100, ALONE)
    assert batch.call_index.tolist() == [[0, 0, 1, 1], *[[0, 0, 0, 0]] * 3]
    assert batch.groups.tolist() == [0, 1, 1, 2]


def test_a_prefix_group_of_too_many_tokens_is_cut():
    sharing = PPOBatch.of(EXPERIENCES, 100, ALONE).sharing
    parts = {
        most: [part for group in sharing.groups(range(6)) for part in sharing.cut(group, most)] for most in (15, 1)
    }
    assert parts[15] == [[4, 2, 3], [1], [0], [5]]
    assert parts[1] == [[4], [2], [3], [1], [0], [5]]


@pytest.mark.parametrize(("ranks", "micro_tokens"), [(1, 12), (2, 100), (3, 9)])
def test_a_prefix_group_is_dealt_out_and_no_micro_batch_is_too_large(ranks, micro_tokens):
    seen = []
    for rank in range(ranks):
        batch = PPOBatch.of([EXPERIENCES[1]] * 6, micro_tokens, World(rank, ranks, torch.device("cpu")))
        made = list(batch.micro_batches(range(6)))
        tokens = [sum(micro.lengths) for micro, _ in made]
        assert all(n <= micro_tokens for n in tokens)
        assert ranks == 1 or sum(tokens) < 6 + 5 * 3
        seen += [row for _, rows in made for row in rows]
    assert sorted(seen) == list(range(6))


@pytest.mark.parametrize(
    ("ranks", "tokens"), [(1, [59]), (2, [39, 39]), (4, [29] * 4), (3, [34, 34, 29]), (8, [24] * 8)]
)
def test_each_rank_reads_the_prompt_of_its_samples_once(ranks, tokens):
    """Eight samples of a prompt of 20 tokens: a rank reads the prompt with four tokens of its first call, and five of
    each other one, the last of the prompt among them."""
    samples = [experience("", list(range(20)), 7, 7, 7, 7, 2)] * 8
    read = []
    for rank in range(ranks):
        batch = PPOBatch.of(samples, 1000, World(rank, ranks, torch.device("cpu")))
        read.append(sum(sum(micro.lengths) for micro, _ in batch.micro_batches(range(8))))
    assert read == tokens


@pytest.mark.parametrize("micro_tokens", [1, 20, 1000])
def test_reading_a_common_beginning_once_changes_no_number_and_no_gradient(micro_tokens):
    torch.manual_seed(0)
    model = Llama(ModelConfig(40, 16, 24, 2, 4, 2, 8, 64)).double()
    batch = PPOBatch.of(EXPERIENCES, micro_tokens, ALONE)

    def outcome(shared: bool) -> list[torch.Tensor]:
        """−log p of all actions, and gradients of a sum that weighs each otherwise."""
        nll, total = torch.zeros(batch.mask.shape, dtype=torch.float64), 0.0
        parts = [range(6)] if shared else singles(6)
        for micro, rows in (m for part in parts for m in batch.micro_batches(part)):
            assert any(micro.prefixes) <= shared
            found = target_nll(model, micro)
            weight = torch.linspace(-1, 1, nll.numel(), dtype=torch.float64).view(nll.shape)
            total = total + (found * batch.take(weight, rows)).sum()
            nll[rows] = nll[rows].masked_scatter(batch.mask[rows], found.detach())
        return [nll, *torch.autograd.grad(total, list(model.parameters()))]

    for a, b in zip(outcome(shared=True), outcome(shared=False), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


# ---- updates

ROWS = [0, 2, 4]  # two, two and four actions


def drawn(shift: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of the actions of all rollouts, [6, 4], and those of ROWS in one row."""
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift
    return x, torch.cat([x[row, : len(EXPERIENCES[row].actions)] for row in ROWS])


def said(model: torch.nn.Module) -> torch.Tensor:
    """What a model says at the actions of ROWS, each rollout read whole."""
    return torch.cat([model(torch.tensor([EXPERIENCES[i].ids]))[0, EXPERIENCES[i].positions] for i in ROWS])


def step_of(model: torch.nn.Module, loss: torch.Tensor, max_norm: float) -> tuple[float, list[torch.Tensor]]:
    """The norm of a loss's gradient, and the parameters after a step of 0.5 along it, at most ``max_norm`` long."""
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    norm = sum((g**2).sum() for g in gradients).sqrt().item()
    rate = 0.5 * min(1.0, max_norm / norm)
    return norm, [p.detach() - rate * g for p, g in zip(parameters, gradients, strict=True)]


@pytest.mark.parametrize("max_norm", [1e9, 1e-2])
@pytest.mark.parametrize("target_kl", [1e9, 1e-9])
def test_an_update_of_the_policy_is_a_step_on_the_clipped_objective_unless_it_moved_too_far(max_norm, target_kl):
    torch.manual_seed(0)
    model = Llama(ModelConfig(40, 16, 24, 2, 4, 2, 8, 64)).double()
    (old, old_of_rows), (advantages, advantages_of_rows) = drawn(-3.7, seed=1), drawn(0.0, seed=2)
    log_p = said(model).log_softmax(-1)
    logp = log_p[range(8), [a for row in ROWS for a in EXPERIENCES[row].actions]]
    ratio = (logp - old_of_rows).exp()
    gain = torch.minimum(ratio * advantages_of_rows, ratio.clamp(0.9, 1.1) * advantages_of_rows)
    norm, expected = step_of(model, -gain.mean(), max_norm)
    applied = target_kl > 1
    before = [p.detach().clone() for p in model.parameters()]
    learner = Learner(model, SGD(model.parameters(), 0.5), max_norm)
    batch = PPOBatch.of(EXPERIENCES, 1, ALONE)  # each rollout in a forward of its own
    metrics = on_one_rank(lambda _: update_policy(learner, batch, ROWS, old, advantages, 0.1, target_kl))
    torch.testing.assert_close([p.detach() for p in model.parameters()], expected if applied else before)
    assert all(p.grad is None for p in model.parameters())
    clipped = torch.where(advantages_of_rows > 0, ratio > 1.1, ratio < 0.9).double().mean().item()
    assert metrics == pytest.approx(
        {
            "ratio": ratio.mean().item(),
            "approx_kl": (ratio - 1 - ratio.log()).mean().item(),
            "clip_fraction": clipped,
            "entropy": -(log_p.exp() * log_p).sum(-1).mean().item(),
            "policy_loss": -gain.mean().item(),
            "policy_grad_norm": norm,
            "policy_steps": float(applied),
            "policy_skipped": 0,
        }
    )


def test_an_update_of_the_values_is_a_step_on_the_larger_squared_error_of_two():
    torch.manual_seed(0)
    model = Critic(ModelConfig(40, 16, 24, 2, 4, 2, 8, 64)).double()
    (old, old_of_rows), (returns, returns_of_rows) = drawn(0.0, seed=1), drawn(0.0, seed=2)
    values = said(model)
    near = old_of_rows + (values - old_of_rows).clamp(-0.1, 0.1)
    loss = torch.maximum((values - returns_of_rows) ** 2, (near - returns_of_rows) ** 2).mean() / 2
    norm, expected = step_of(model, loss, 1e9)
    learner = Learner(model, SGD(model.parameters(), 0.5), 1e9)
    batch = PPOBatch.of(EXPERIENCES, 1, ALONE)  # each rollout in a forward of its own
    metrics = on_one_rank(lambda _: update_values(learner, batch, ROWS, old, returns, 0.1))
    torch.testing.assert_close([p.detach() for p in model.parameters()], expected)
    expected_metrics = {"value_loss": loss.item(), "value_grad_norm": norm, "value_steps": 1, "value_skipped": 0}
    assert metrics == pytest.approx(expected_metrics)
