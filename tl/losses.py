"""Every loss term, as pure functions on tensors. N counts token positions, C channels, V vocabulary entries."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

LOGITS_PER_CHUNK = 2**24  # 64 MiB of float32 logits at a time


def token_nll(hidden: Tensor, lm_head: Tensor, targets: Tensor) -> Tensor:
    """−log p(target) at each position, [N], in float32 or wider.

    hidden [N, C], lm_head [V, C], targets [N] (token ids). The logits are computed in chunks of rows and, if there is
    more than one chunk, computed again in the backward pass, so that they never take memory for all N rows.
    """
    return _ChunkedNLL.apply(hidden, lm_head, targets)


class _ChunkedNLL(torch.autograd.Function):
    """nll = logsumexp(z) − z[target] with z = hidden @ lm_headᵀ;  d nll / d z = softmax(z) − onehot(target)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, lm_head: Tensor, targets: Tensor) -> Tensor:
        nlls, normalisers = [], []
        for h, target in _chunks(lm_head, hidden, targets):
            logits = _logits(h, lm_head)
            normaliser = logits.logsumexp(dim=-1)
            nlls.append(normaliser - logits.gather(-1, target[:, None]).squeeze(-1))
            normalisers.append(normaliser)
        only = logits if len(nlls) == 1 else None
        ctx.save_for_backward(hidden, lm_head, targets, torch.cat(normalisers), only)
        return torch.cat(nlls)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_nll: Tensor) -> tuple[Tensor, Tensor | None, None]:
        hidden, lm_head, targets, normalisers, only = ctx.saved_tensors
        grad_hidden = []
        trained = ctx.needs_input_grad[1]
        grad_lm_head = torch.zeros_like(lm_head, dtype=normalisers.dtype) if trained else None
        for h, target, normaliser, grad in _chunks(lm_head, hidden, targets, normalisers, grad_nll):
            unused = grad == 0  # masked: values there must not count, even if they are NaN
            h, normaliser = h.masked_fill(unused[:, None], 0), normaliser.masked_fill(unused, 0)
            logits = _logits(h, lm_head) if only is None else only.masked_fill(unused[:, None], 0)
            grad_logits = logits.sub_(normaliser[:, None]).exp_()
            grad_logits.scatter_add_(-1, target[:, None], torch.full_like(target[:, None], -1, dtype=grad.dtype))
            grad_logits = grad_logits.mul_(grad[:, None]).to(h.dtype)
            grad_hidden.append(grad_logits @ lm_head)
            if grad_lm_head is None:
                continue
            if h.dtype == grad_lm_head.dtype:
                grad_lm_head.addmm_(grad_logits.T, h)  # without a second [V, C]
            else:
                grad_lm_head += grad_logits.T @ h
        return torch.cat(grad_hidden), None if grad_lm_head is None else grad_lm_head.to(lm_head.dtype), None


def _logits(hidden: Tensor, lm_head: Tensor) -> Tensor:
    logits = hidden @ lm_head.T
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _chunks(lm_head: Tensor, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Splits the tensors [N, …] along N into chunks with at most LOGITS_PER_CHUNK logits."""
    rows = max(1, LOGITS_PER_CHUNK // lm_head.shape[0])
    return zip(*(t.split(rows) for t in tensors), strict=True)


def weighted_cross_entropy(
    nll: Tensor,
    weights: Tensor,
    call_index: Tensor | None = None,
    norm: Literal["call", "sum"] = "call",
    total: Tensor | float | None = None,
) -> Tensor:
    """The SFT loss with MAE and PKT in its weights (sections 3.1 and 3.2), a scalar.

    nll [N]; weights [N], 0 at masked tokens, whose nll is ignored (even NaN); call_index [N], the number (0 … N−1) of
    the call that each token belongs to (default: a single call). A trained text turn has a number too and counts as a
    call.

    * ``norm="sum"``: Σ w·nll / total, total 1 by default: the paper's sum, where a token's gradient scales with its
      weight. Training passes the number of tokens with weight.
    * ``norm="call"``: Σ_calls (Σ w·nll / Σ w) / total: each call and each text turn counts equally (the released code).
      Calls without weight are excluded; total is by default the number of calls with weight.

    ``total`` is the divisor of the whole step if this is only a part of it (micro-batches, ranks).
    """
    counts = weights > 0
    weighted = weights * torch.where(counts, nll, 0.0)
    if norm == "sum":
        return weighted.sum() / _divisor(1.0 if total is None else total)
    if norm != "call":
        raise ValueError(f"norm is {norm!r}, expected 'call' or 'sum'")
    if call_index is None:
        call_index = torch.zeros_like(weights, dtype=torch.long)
    per_call = torch.zeros_like(weighted)  # there are at most as many calls as tokens
    numerator = per_call.index_add(0, call_index, weighted)
    denominator = per_call.index_add(0, call_index, weights.to(weighted.dtype))
    trained = denominator > 0
    means = numerator / torch.where(trained, denominator, 1.0)
    return means.sum() / _divisor(trained.sum() if total is None else total)


def policy_loss(
    logp: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip: float,
    total: Tensor | float | None = None,
) -> Tensor:
    """PPO's clipped objective, negated: −Σ min(ρA, clip(ρ, 1−ε, 1+ε)·A) / total with ρ = exp(logp − old_logp).

    All tensors have the same shape; mask is True at actions, and other entries are ignored. ``total`` is the
    number of actions of the whole step (default: of the mask). PPO (arXiv 1707.06347), equation 7.
    """
    ratio = _ratio(logp, old_logp, mask)
    gain = torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    return -_masked_sum(gain, mask) / _divisor(mask.sum() if total is None else total)


@torch.no_grad()
def policy_stats(logp: Tensor, old_logp: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> dict[str, Tensor]:
    """Diagnostics of PPO as sums over the actions; divide by their number. All tensors have the same shape.

    ``ratio``; ``approx_kl``, the k3 estimate of KL(old ‖ new); ``clip_fraction``, actions whose gradient is clipped.
    """
    ratio = _ratio(logp, old_logp, mask)
    moved_past = torch.where(advantages > 0, ratio > 1 + clip, ratio < 1 - clip) & (advantages != 0)
    return {
        "ratio": _masked_sum(ratio, mask),
        "approx_kl": _masked_sum(ratio - 1 - ratio.log(), mask),
        "clip_fraction": _masked_sum(moved_past.to(ratio.dtype), mask),
    }


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float, total: Tensor | float | None = None
) -> Tensor:
    """Σ ½ max((V − G)², (V_clipped − G)²) / total, with V_clipped within ``clip`` of the values at rollout time.

    All tensors have one shape; mask is True at actions, ``total`` as in ``policy_loss``.
    """
    values, old_values, returns = (torch.where(mask, x, 0.0) for x in (values, old_values, returns))
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    error = torch.maximum((values - returns) ** 2, (clipped - returns) ** 2)
    return 0.5 * _masked_sum(error, mask) / _divisor(mask.sum() if total is None else total)


def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    beta: float,
    label_smoothing: float = 0.0,
    total: Tensor | float | None = None,
) -> Tensor:
    """−Σ [(1 − ε) log σ(m) + ε log σ(−m)] / total over pairs of answers, with the margins m of ``dpo_rewards``.

    All tensors are [P], a log-probability of a whole answer (its tokens' sum) for each pair. ε is ``label_smoothing``,
    the assumed fraction of swapped pairs; ``total`` is the number of pairs of the whole step (default:
    P). DPO (arXiv 2305.18290), equation 7; ε: conservative DPO, as in TRL.
    """
    chosen, rejected = dpo_rewards(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)
    margin = chosen - rejected
    gain = (1 - label_smoothing) * F.logsigmoid(margin) + label_smoothing * F.logsigmoid(-margin)
    return -gain.sum() / _divisor(len(margin) if total is None else total)


def dpo_rewards(
    policy_chosen: Tensor, policy_rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    """The rewards β (log π − log π_ref) that the policy implies for the chosen and the rejected answers, both [P] like
    the arguments. Their difference is the margin of a pair. DPO (arXiv 2305.18290), section 4."""
    return beta * (policy_chosen - ref_chosen), beta * (policy_rejected - ref_rejected)


def kl(logp: Tensor, ref_logp: Tensor, estimator: Literal["k1", "k3"] = "k1") -> Tensor:
    """Estimates of KL(π ‖ π_ref) at each token sampled from π, from the two log-probabilities of that token.

    k1 = log π − log π_ref; k3 = ρ − 1 − log ρ with ρ = π_ref / π. Both are unbiased; k3 is never negative.
    """
    if estimator == "k1":
        return logp - ref_logp
    if estimator == "k3":
        log_ratio = ref_logp - logp
        return log_ratio.exp() - 1 - log_ratio
    raise ValueError(f"estimator is {estimator!r}, expected 'k1' or 'k3'")


@torch.no_grad()
def token_entropy(hidden: Tensor, lm_head: Tensor) -> Tensor:
    """Entropy in nats of the next-token distribution at each position, [N]; hidden [N, C], lm_head [V, C]."""
    entropies = []
    for (h,) in _chunks(lm_head, hidden):
        log_p = _logits(h, lm_head).log_softmax(dim=-1)
        entropies.append(-(log_p.exp() * log_p).sum(-1))
    return torch.cat(entropies)


def _ratio(logp: Tensor, old_logp: Tensor, mask: Tensor) -> Tensor:
    """exp(logp − old_logp) at actions, 1 elsewhere."""
    return torch.where(mask, logp - old_logp, 0.0).exp()


def _masked_sum(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, x, 0.0).sum()


def _divisor(total: Tensor | float) -> Tensor | float:
    """total, or 1 if it is 0, so that the loss is 0 instead of NaN if there is nothing to train on."""
    if not isinstance(total, Tensor):  # and stays a number: a GPU need not be told
        return total if total > 0 else 1.0
    return torch.where(total > 0, total, 1.0)
