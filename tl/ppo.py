"""PPO's per-token quantities: rewards, advantages, returns, whitening. Tensors are [B, T], a row per rollout.

Every mask is True at actions, the tokens that the policy chose; values elsewhere are ignored. In training, a row holds
only the actions of a rollout, from the first call to the last (T is then A of ``tl/rl/batch.py``), so the mask is False
only at the padding of shorter rollouts. A row with all positions of an episode, whose mask is False at the prompt and
at the feedback between calls as well, gives the same results.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tl.losses import kl

MIN_STD = 0.1  # half the smallest step in IRM's table of rewards


def token_rewards(
    call_rewards: Tensor, logp: Tensor, ref_logp: Tensor, mask: Tensor, kl_coef: float, clip: float = 5.0
) -> Tensor:
    """r = −β (log π − log π_ref) at each action, plus R, clipped to ±clip, where a call ends (section 3.3). [B, T].

    IRM's R is in [−2, 1], and in [−2, 2] with the reward of an episode's outcome, so the default ``clip``, the released
    code's, has no effect on them. It is meant for other rewards.
    call_rewards [B, T] holds R at the last action of each call and 0 elsewhere; logp is the sampling policy's,
    computed as in training rather than by the sampler.
    """
    rewards = call_rewards.clamp(-clip, clip) - kl_coef * kl(logp, ref_logp, "k1")
    return torch.where(mask, rewards, 0.0)


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (arXiv 1506.02438, equation 16): (advantages, returns), both [B, T].

    δ_i = r_i + γ V_{i+1} − V_i and A_i = δ_i + γλ A_{i+1}, where i counts actions only: after the last token of a
    call comes the first token of the next one, and after the last action V and A are 0. Returns are A + V. Both are 0
    where mask is False. Not whitened.
    """
    advantages = torch.zeros_like(rewards)
    next_value = torch.zeros_like(rewards[:, 0])
    next_advantage = torch.zeros_like(next_value)
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        is_action = mask[:, t]
        next_advantage = torch.where(is_action, delta + gamma * lam * next_advantage, next_advantage)
        next_value = torch.where(is_action, values[:, t], next_value)
        advantages[:, t] = torch.where(is_action, next_advantage, 0.0)
    return advantages, torch.where(mask, advantages + values, 0.0)


def turn_gae(
    rewards: Tensor, values: Tensor, call_index: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """GAE over calls instead of tokens: (advantages, returns), both [B, T], equal at all actions of a call.

    A call's reward is the sum of its actions' rewards and its value that of its first action, V before the call;
    ``gamma`` and ``lam`` count calls. call_index [B, T] numbers the calls of each row from 0.
    """
    first, _ = _ends_of_calls(call_index, mask)
    index = torch.where(mask, call_index, 0)
    per_call = rewards.new_zeros(rewards.shape)  # there are at most as many calls as actions
    call_rewards = per_call.scatter_add(1, index, torch.where(mask, rewards, 0.0))
    call_values = per_call.scatter_add(1, index, torch.where(first, values, 0.0))
    is_call = per_call.scatter_add(1, index, mask.to(rewards.dtype)) > 0
    advantages, returns = gae(call_rewards, call_values, is_call, gamma, lam)
    return tuple(torch.where(mask, x.gather(1, index), 0.0) for x in (advantages, returns))  # type: ignore[return-value]


def progress_rewards(call_rewards: Tensor, values: Tensor, call_index: Tensor, mask: Tensor) -> Tensor:
    """R plus, on the last action of each call, the change of V from the beginning of the call to that of the next one.
    [B, T].

    ``values`` [B, T] are the probabilities that the episode ends right; after the last call, V counts as 0. Without
    discounting, this potential-based shaping does not change the best policy (Ng, Harada and Russell, 1999): the
    rewards of an episode add up to those in ``call_rewards`` minus its first V. call_index as in ``turn_gae``.
    """
    first, last = _ends_of_calls(call_index, mask)
    index = torch.where(mask, call_index, 0)
    before = torch.zeros_like(values).scatter_add(1, index, torch.where(first, values, 0.0))  # [B, calls]
    change = F.pad(before[:, 1:], (0, 1)) - before
    return call_rewards + torch.where(last, change.gather(1, index), 0.0)


def _ends_of_calls(call_index: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Whether a position is the first, and whether it is the last action of its call; both [B, T]."""
    end = call_index.shape[1]  # larger than any number of a call
    before = torch.where(mask, call_index, -1).cummax(dim=1).values
    after = torch.where(mask, call_index, end).flip(1).cummin(dim=1).values.flip(1)
    first = call_index != F.pad(before[:, :-1], (1, 0), value=-1)
    return mask & first, mask & (call_index != F.pad(after[:, 1:], (0, 1), value=end))


def group_advantages(returns: Tensor, groups: Tensor, standardise: bool = True, eps: float = 1e-4) -> Tensor:
    """GRPO's advantages (arXiv 2402.03300, section 4.1.2), [B]: the return of a rollout minus the mean of its group,
    which are the samples of one prompt, divided by their standard deviation + ``eps`` if ``standardise``.

    returns [B]; groups [B], the number of each rollout's group. A group of one, or of equal returns, gives 0. The
    length of a rollout has no effect here; the loss divides by the number of all actions, not by that of each rollout,
    which would add a bias (arXiv 2503.20783).
    """
    count, mean = _group_moments(returns, groups)
    centred = returns - mean
    if not standardise:
        return centred
    _, variance = _group_moments(centred**2, groups)
    return centred / ((variance * count / (count - 1).clamp(min=1)).sqrt() + eps)


def rloo_advantages(returns: Tensor, groups: Tensor) -> Tensor:
    """REINFORCE leave-one-out (arXiv 2402.14740, equation 8), [B]: the return of a rollout minus the mean return of the
    other samples of its prompt; 0 where there is no other. Arguments as in ``group_advantages``."""
    count, mean = _group_moments(returns, groups)
    return (returns - mean) * count / (count - 1).clamp(min=1)


def _group_moments(x: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """(size, mean of x) of the group that each rollout belongs to, both [B]."""
    zeros = torch.zeros_like(x)  # there are at most as many groups as rollouts
    count = zeros.index_add(0, groups, torch.ones_like(x))[groups]
    return count, zeros.index_add(0, groups, x)[groups] / count


def whiten(x: Tensor, mask: Tensor) -> Tensor:
    """(x − mean) / max(std, MIN_STD) at actions, 0 elsewhere, with the mean and the (population) std of the actions.

    If all calls of a batch earn about the same, as the critic predicts, the advantages are little more than rounding
    and the critic's error. Dividing by their own std would amplify that noise, so the divisor is at least MIN_STD,
    in units of reward.
    """
    chosen = x[mask].double()
    if not len(chosen):
        return torch.zeros_like(x)
    scale = chosen.std(correction=0).clamp(min=MIN_STD)
    return torch.where(mask, ((x.double() - chosen.mean()) / scale).to(x.dtype), 0.0)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 − Var(returns − values) / Var(returns) over actions: 1 for a perfect critic, 0 for a constant one, and 0 if all
    returns are equal up to rounding."""
    target, error = returns[mask].double(), (returns - values)[mask].double()
    if not len(target) or target.std(correction=0) <= 1e-6 * target.abs().max():
        return 0.0
    return (1 - error.var(correction=0) / target.var(correction=0)).item()
