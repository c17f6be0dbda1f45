"""PPO's quantities and loss terms against closed forms, slow references and hand-computed values."""

import itertools
import math

import pytest
import torch

from tl.losses import kl, policy_loss, policy_stats, token_entropy, value_loss
from tl.ppo import (
    explained_variance,
    gae,
    group_advantages,
    progress_rewards,
    rloo_advantages,
    token_rewards,
    turn_gae,
    whiten,
)

F64 = torch.float64


def tensor(*values):
    return torch.tensor(values, dtype=F64)


def ones(*shape):
    return torch.ones(shape, dtype=torch.bool)


def slow_gae(rewards, values, gamma, lam):
    """O(T²) sum over the actions of one rollout: A_i = Σ_k (γλ)^k δ_{i+k}."""
    n = len(rewards)
    deltas = [rewards[i] + gamma * (values[i + 1] if i + 1 < n else 0.0) - values[i] for i in range(n)]
    return [sum((gamma * lam) ** k * deltas[i + k] for k in range(n - i)) for i in range(n)]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.8), (1.0, 1.0), (0.99, 0.0)])
def test_gae_equals_the_double_sum_whatever_stands_between_actions(gamma, lam):
    generator = torch.Generator().manual_seed(0)
    rewards, values = (torch.randn(4, 12, dtype=F64, generator=generator) for _ in range(2))
    mask = torch.rand(4, 12, generator=generator) < 0.6
    values[~mask] = math.nan  # neither padding nor feedback has a value
    rewards[~mask] = math.nan
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    for row in range(4):
        at = mask[row]
        expected = slow_gae(rewards[row, at].tolist(), values[row, at].tolist(), gamma, lam)
        assert advantages[row, at].tolist() == pytest.approx(expected, abs=1e-12)
        assert returns[row, at].tolist() == pytest.approx(
            [a + v for a, v in zip(expected, values[row, at].tolist(), strict=True)], abs=1e-12
        )
    assert (advantages[~mask] == 0).all() and (returns[~mask] == 0).all()


def test_turns_have_one_advantage_each_and_discount_by_the_call():
    """Two calls of two and one actions, then padding; γ 0.5, λ 1. Call rewards 0.25 and 2, values before 1 and 3."""
    mask = torch.tensor([[True, True, True, False]])
    call_index = torch.tensor([[0, 0, 1, 0]])
    rewards, values = tensor([0.5, -0.25, 2.0, 9.0]), tensor([1.0, 7.0, 3.0, 9.0])
    advantages, returns = turn_gae(rewards, values, call_index, mask, 0.5, 1.0)
    second = 2.0 - 3.0
    first = 0.25 + 0.5 * 3.0 - 1.0 + 0.5 * second
    assert advantages.tolist() == [[first, first, second, 0.0]]
    assert returns.tolist() == [[first + 1.0, first + 1.0, second + 3.0, 0.0]]


@pytest.mark.parametrize("elsewhere", [0, 1, 5, -1, 99])
def test_what_stands_between_the_calls_of_a_row_changes_nothing(elsewhere):
    """Prompt and feedback may have any number of a call there, and no values."""
    generator = torch.Generator().manual_seed(2)
    rewards, values = (torch.randn(2, 5, dtype=F64, generator=generator) for _ in range(2))
    call_index, mask = torch.tensor([[0, 0, 1, 2, 2], [0, 1, 1, 1, 0]]), ones(2, 5)
    mask[1, 4] = False
    at = torch.tensor([2, 3, 6, 7, 9])  # of the actions in longer rows

    def spread(x, filler):
        return torch.full((2, 11), filler, dtype=x.dtype).index_copy(1, at, x)

    apart = spread(call_index, elsewhere), spread(mask, False)
    longer = turn_gae(spread(rewards, math.nan), spread(values, math.nan), *apart, 0.9, 0.8)
    for got, expected in zip(longer, turn_gae(rewards, values, call_index, mask, 0.9, 0.8), strict=True):
        torch.testing.assert_close(got, spread(expected, 0.0))
    got = progress_rewards(spread(rewards, 0.0), spread(values, math.nan), *apart)
    torch.testing.assert_close(got, spread(progress_rewards(rewards, values, call_index, mask), 0.0))


def test_turns_of_one_action_are_steps_of_gae():
    generator = torch.Generator().manual_seed(1)
    rewards, values = (torch.randn(3, 6, dtype=F64, generator=generator) for _ in range(2))
    mask, call_index = ones(3, 6), torch.arange(6).expand(3, 6)
    torch.testing.assert_close(
        turn_gae(rewards, values, call_index, mask, 0.9, 0.8), gae(rewards, values, mask, 0.9, 0.8)
    )


def test_group_advantages_by_hand():
    """Groups (1, 0, 5) and (2, 2) lie mixed; a sixth rollout is alone. Means 2 and 2; unbiased variance of the first
    (1 + 4 + 9) / 2 = 7."""
    returns, groups = tensor(1.0, 2.0, 0.0, 5.0, 2.0, 4.0), torch.tensor([3, 0, 3, 3, 0, 1])
    centred = [-1.0, 0.0, -2.0, 3.0, 0.0, 0.0]
    assert group_advantages(returns, groups, standardise=False).tolist() == centred
    expected = [x / (math.sqrt(7) + 1e-4) for x in centred]
    assert group_advantages(returns, groups).tolist() == pytest.approx(expected, abs=1e-12)


def test_leave_one_out_by_hand():
    returns, groups = tensor(1.0, 2.0, 0.0, 5.0, 2.0, 4.0), torch.tensor([3, 0, 3, 3, 0, 1])
    expected = [1 - 5 / 2, 0.0, 0 - 6 / 2, 5 - 1 / 2, 0.0, 0.0]
    assert rloo_advantages(returns, groups).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("advantages", [group_advantages, rloo_advantages])
def test_rollouts_that_earn_the_same_in_their_group_have_no_advantage(advantages):
    assert advantages(tensor(-2.0, 1.0, -2.0, 1.0), torch.tensor([0, 1, 0, 1])).tolist() == [0.0] * 4


def test_gae_steps_across_feedback_as_if_it_were_not_there():
    """Two policy tokens, 20 of feedback, two policy tokens; values 0.5, reward 1 on the last; γ 1, λ 0.95."""
    mask = torch.tensor([[True] * 2 + [False] * 20 + [True] * 2])
    values = torch.where(mask, 0.5, 0.0).double()
    rewards = torch.zeros(1, 24, dtype=F64)
    rewards[0, -1] = 1.0
    advantages, _ = gae(rewards, values, mask, 1.0, 0.95)
    assert advantages[0, 0].item() == pytest.approx(0.95**3 * 0.5)
    # Taking feedback for steps of value zero gives another number, and the wrong sign.
    as_steps, _ = gae(rewards, values, ones(1, 24), 1.0, 0.95)
    assert as_steps[0, 0].item() == pytest.approx(-0.151, abs=1e-3)


def test_gae_with_lambda_zero_is_the_one_step_error_and_with_one_the_return_minus_value():
    rewards, values = tensor([1.0, 2.0, 3.0]), tensor([0.5, 0.25, 4.0])
    one_step, _ = gae(rewards, values, ones(1, 3), 0.5, 0.0)
    assert one_step.tolist() == [[1 + 0.125 - 0.5, 2 + 2 - 0.25, 3 - 4.0]]
    monte_carlo, returns = gae(rewards, values, ones(1, 3), 0.5, 1.0)
    assert returns.tolist() == [[1 + 1 + 0.75, 2 + 1.5, 3]]
    assert torch.equal(monte_carlo, returns - values)


def test_gae_does_not_change_with_padding():
    rewards, values = torch.randn(2, 5, dtype=F64), torch.randn(2, 5, dtype=F64)
    short = gae(rewards, values, ones(2, 5), 0.9, 0.9)
    pad = torch.full((2, 3), 7.0, dtype=F64)
    mask = torch.cat([~ones(2, 3), ones(2, 5), ~ones(2, 3)], 1)
    padded = gae(torch.cat([pad, rewards, pad], 1), torch.cat([pad, values, pad], 1), mask, 0.9, 0.9)
    for a, b in zip(short, padded, strict=True):
        assert torch.equal(a, b[:, 3:8])


def test_token_rewards_by_hand():
    mask = torch.tensor([[False, True, True, True]])
    logp, ref_logp = tensor([9.0, -1.0, -2.0, -3.0]), tensor([0.0, -1.5, -2.0, -2.0])
    call_rewards = tensor([0.0, 0.0, 8.0, -8.0])
    rewards = token_rewards(call_rewards, logp, ref_logp, mask, kl_coef=0.4)
    assert rewards.tolist() == [[0.0, pytest.approx(-0.2), 5.0, pytest.approx(-5 + 0.4)]]


def test_whitened_advantages_have_mean_zero_and_std_one():
    x, mask = torch.randn(6, 9, dtype=F64) * 3 + 2, torch.rand(6, 9) < 0.5
    whitened = whiten(x, mask)
    assert whitened[mask].mean().item() == pytest.approx(0, abs=1e-12)
    assert whitened[mask].std(correction=0).item() == pytest.approx(1, abs=1e-12)
    assert (whitened[~mask] == 0).all()


def test_whitening_in_float32_loses_nothing_to_a_large_mean():
    x = torch.tensor([1000.0, 1000.2] * 5000)[None]
    torch.testing.assert_close(whiten(x, ones(1, 10000)), whiten(x.double(), ones(1, 10000)).float())


def whitened(*values):
    x = tensor(values)
    return whiten(x, ones(1, len(values)))[0].tolist()


def test_noise_that_is_left_where_all_calls_earn_the_same_is_not_blown_up():
    """Errors of a thousandth stay within a hundredth; by their own std they would be as loud as real advantages."""
    assert whitened(1.001, 0.999, 1.001, 0.999) == pytest.approx([0.01, -0.01, 0.01, -0.01])


def test_whitening_has_no_jump_where_its_scale_begins_to_hold():
    just_below, just_above = whitened(0.0999, -0.0999)[0], whitened(0.1001, -0.1001)[0]
    assert just_below == pytest.approx(0.999) and just_above == pytest.approx(1)


def test_one_call_in_a_hundred_that_is_wrong_still_stands_out():
    *right, wrong = whitened(*[1.0] * 99, -0.25)  # IRM's rewards; std 0.124
    assert wrong == pytest.approx(-(99**0.5)) and right == pytest.approx([99**-0.5] * 99)


@pytest.mark.filterwarnings("error")
def test_whitening_nothing_or_a_constant_stays_finite():
    for mask in (~ones(1, 3), ones(1, 3)):
        x = tensor([2.0, 2.0, 2.0])
        assert whiten(x, mask).tolist() == [[0, 0, 0]]


def test_explained_variance_by_hand():
    returns, mask = tensor([1.0, 2.0, 3.0, 99.0]), torch.tensor([[True, True, True, False]])
    assert explained_variance(returns, returns, mask) == 1
    assert explained_variance(tensor([7.0, 7.0, 7.0, 0.0]), returns, mask) == 0
    assert explained_variance(tensor([2.0, 2.0, 2.5, 0.0]), returns, mask) == pytest.approx(1 - (7 / 18) / (2 / 3))
    assert explained_variance(returns, tensor([1.0, 1.0, 1.0, 0.0]), mask) == 0  # nothing to explain
    assert explained_variance(returns, returns, ~ones(1, 4)) == 0  # nothing at all
    rounded = torch.tensor([[-0.8, -0.8000001, -0.8, 1.0]])
    assert explained_variance(torch.tensor([[-1.0, 0.0, -2.0, 0.0]]), rounded, mask) == 0


def test_policy_loss_by_hand():
    old = tensor(0.0, 0.0, 0.0, 0.0)
    logp = tensor(math.log(1.5), math.log(0.5), math.log(1.1), math.nan).requires_grad_()
    advantages = tensor(2.0, -1.0, 3.0, math.nan)
    mask = torch.tensor([True, True, True, False])
    # min(1.5·2, 1.2·2) = 2.4; min(0.5·−1, 0.8·−1) = −0.8; 1.1·3 = 3.3
    loss = policy_loss(logp, old, advantages, mask, 0.2)
    loss.backward()
    assert loss.item() == pytest.approx(-(2.4 - 0.8 + 3.3) / 3) and logp.grad.isfinite().all()
    assert policy_loss(logp, old, advantages, mask, 0.2, total=10).item() == pytest.approx(-4.9 / 10)


def test_policy_gradient_is_zero_exactly_where_the_clip_bites():
    """Only where the ratio has moved past the clip in the direction that the advantage asks for."""
    ratios, advantages = zip(*itertools.product((0.5, 0.79, 0.81, 1.0, 1.19, 1.21, 2.0), (-1.0, 1.0)), strict=True)
    logp = tensor(*ratios).log().requires_grad_()
    policy_loss(logp, tensor(*[0.0] * 14), tensor(*advantages), ones(14), 0.2).backward()
    for ratio, advantage, gradient in zip(ratios, advantages, logp.grad.tolist(), strict=True):
        clipped = ratio > 1.2 if advantage > 0 else ratio < 0.8
        assert gradient == pytest.approx(0.0 if clipped else -ratio * advantage / 14, abs=1e-15)


def test_ratio_one_gives_the_plain_policy_gradient():
    logp = tensor(-1.0, -2.0, -0.5).requires_grad_()
    policy_loss(logp, logp.detach(), tensor(2.0, -3.0, 1.0), ones(3), 0.2).backward()
    assert logp.grad.tolist() == pytest.approx([-2 / 3, 1, -1 / 3])


def test_parts_of_a_step_add_up():
    logp, old, advantages = (torch.randn(7, dtype=F64) for _ in range(3))
    mask = torch.tensor([True, True, False, True, False, True, True])
    whole = policy_loss(logp, old, advantages, mask, 0.2)
    parts = [policy_loss(logp[p], old[p], advantages[p], mask[p], 0.2, 5) for p in (slice(0, 1), slice(1, 7))]
    assert sum(parts).item() == pytest.approx(whole.item())


def test_policy_stats_by_hand():
    logp = tensor(math.log(1.5), *[math.log(0.5)] * 3, math.nan).requires_grad_()
    advantages, mask = tensor(1.0, 1.0, -1.0, 0.0, 1.0), torch.tensor([True, True, True, True, False])
    stats = policy_stats(logp, torch.zeros(5, dtype=F64), advantages, mask, 0.2)
    assert stats["ratio"].item() == pytest.approx(3.0)
    assert stats["clip_fraction"].item() == 2  # 0.5 with a positive advantage still has its gradient; with 0, none
    assert stats["approx_kl"].item() == pytest.approx((0.5 - math.log(1.5)) + 3 * (-0.5 - math.log(0.5)))
    assert not any(x.requires_grad for x in stats.values())


def test_value_loss_by_hand():
    values, old, returns = tensor(1.0, 0.0, math.nan), tensor(0.0, 0.1, 0.0), tensor(2.0, 1.0, math.nan)
    values.requires_grad_()
    mask = torch.tensor([True, True, False])
    # Clipped to 0.2: max(1, 1.8²) = 3.24; within the clip: max(1, 1) = 1
    loss = value_loss(values, old, returns, mask, 0.2)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * (3.24 + 1) / 2) and values.grad.isfinite().all()
    assert value_loss(values, old, returns, mask, 0.2, total=10).item() == pytest.approx(0.5 * 4.24 / 10)


def test_value_gradient_is_zero_where_clipping_makes_the_error_larger():
    values = tensor(1.0, -1.0, -1.0).requires_grad_()  # all far from 0: towards their returns, but for the second
    value_loss(values, tensor(0.0, 0.0, 0.0), tensor(2.0, 2.0, -2.0), ones(3), 0.2).backward()
    assert values.grad.tolist() == [0.0, pytest.approx(-1.0), 0.0]


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_kl_estimators_are_unbiased(estimator):
    """Enumerated over a vocabulary of five: Σ p · estimate = KL(p ‖ q)."""
    log_p, log_q = torch.randn(5, dtype=F64).log_softmax(0), torch.randn(5, dtype=F64).log_softmax(0)
    exact = (log_p.exp() * (log_p - log_q)).sum()
    estimates = kl(log_p, log_q, estimator)
    torch.testing.assert_close((log_p.exp() * estimates).sum(), exact)
    if estimator == "k3":
        assert (estimates >= 0).all()


def test_unknown_kl_estimator_is_refused():
    with pytest.raises(ValueError, match="expected 'k1' or 'k3'"):
        kl(tensor(0.0), tensor(0.0), "k2")


def test_entropy_of_known_distributions():
    lm_head = torch.eye(4, dtype=F64)
    hidden = torch.stack([torch.zeros(4, dtype=F64), tensor(100.0, 0, 0, 0), tensor(math.log(3), 0, -1e9, -1e9)])
    expected = [math.log(4), 0.0, -0.75 * math.log(0.75) - 0.25 * math.log(0.25)]
    entropy = token_entropy(hidden.requires_grad_(), lm_head)
    assert entropy.tolist() == pytest.approx(expected) and not entropy.requires_grad
