"""PPO's models and their updates on minibatches of rollouts.

Losses are means over the actions of a whole minibatch, so micro-batches and ranks change only rounding.
M counts the actions of a micro-batch, C channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tl.llama.model import Critic, Llama
from tl.losses import policy_loss, policy_stats, token_entropy, token_nll, value_loss
from tl.rl.batch import PPOBatch, action_values
from tl.rl.config import PPOConfig
from tl.training import distributed
from tl.training.batching import target_hidden
from tl.training.distributed import World
from tl.training.optimizer import make_optimizer

L = TypeVar("L", bound=Llama)


@dataclass(frozen=True)
class Learner(Generic[L]):
    """A model with its optimizer and gradient clipping."""

    model: L
    optimizer: Optimizer
    max_grad_norm: float


@dataclass(frozen=True)
class Models:
    """The policy, its critic, the frozen SFT model as reference and, if asked for, a process reward model.

    With LoRA, the SFT model's weights are in memory once: the policy and the critic add adapters to them.
    """

    actor: Learner[Llama]
    critic: Learner[Critic] | None
    reference: Llama
    prm: Critic | None = None

    @classmethod
    def load(cls, source: Path, config: PPOConfig, world: World) -> "Models":
        def learner(kind: type[L], rate: float, base: Llama | None = None) -> Learner[L]:
            model = distributed.load(
                kind, source, world, config.checkpointing, seed=config.seed, lora=config.lora, base=base
            )
            return Learner(model, make_optimizer(model, rate, config), config.max_grad_norm)

        actor = learner(Llama, config.actor_lr)
        base = actor.model if config.lora else None
        critic = learner(Critic, config.critic_lr, base) if config.learns_values else None
        reference = distributed.load(Llama, source, world, dtype=world.compute_dtype, base=base)
        prm = distributed.load(Critic, Path(config.prm), world, dtype=world.compute_dtype) if config.prm else None
        return cls(actor, critic, reference.requires_grad_(False), prm and prm.requires_grad_(False))

    def trained(self) -> tuple[nn.ModuleDict, list[Optimizer]]:
        """The trained models as one module, and their optimizers."""
        learners = {"actor": self.actor} | ({"critic": self.critic} if self.critic else {})
        return nn.ModuleDict({n: x.model for n, x in learners.items()}), [x.optimizer for x in learners.values()]


def update_policy(
    actor: Learner[Llama],
    batch: PPOBatch,
    rows: Sequence[int],
    old_logp: Tensor,
    advantages: Tensor,
    clip: float,
    target_kl: float,
) -> dict[str, float]:
    """A step on the clipped objective for a minibatch. Returns its loss and diagnostics, means over its actions.

    The approximate KL to the sampling policy (nats per token) is only known together with the gradient. If it exceeds
    ``target_kl``, the gradient is discarded and the policy is not updated.
    """
    model, n_actions = actor.model, batch.n_actions(rows)
    parts: list[dict[str, Tensor]] = []
    for micro, micro_rows in batch.micro_batches(rows):
        hidden = target_hidden(model, micro)  # [M, C]
        logp = -token_nll(hidden, model.lm_head.weight, micro.targets)
        old, advantage = (batch.take(x, micro_rows) for x in (old_logp, advantages))
        mask = torch.ones_like(logp, dtype=torch.bool)  # all M entries are actions
        loss = policy_loss(logp, old, advantage, mask, clip, n_actions)
        stats = policy_stats(logp, old, advantage, mask, clip)
        stats["entropy"] = token_entropy(hidden, model.lm_head.weight).sum()
        (loss * batch.world.size).backward()  # FSDP averages gradients over the ranks; the loss is a sum
        means = {name: value.double() / n_actions for name, value in stats.items()}
        parts.append(means | {"policy_loss": loss.detach()})
    metrics = over_ranks(parts)
    within_target_kl = metrics["approx_kl"] <= target_kl
    return metrics | descend(actor, "policy", metrics["policy_loss"], apply=within_target_kl)


@torch.no_grad()
def start_values(critic: Learner[Critic], value: float) -> None:
    """Makes ``value`` the value of every token, by the bias of an untrained critic's head. PPO takes the mean return of
    the first rollouts: with values of 0 and λ below 1, advantages would differ by token, and move the policy, even if
    all rollouts earned the same."""
    critic.model.value_head.bias.fill_(value)


def update_values(
    critic: Learner[Critic], batch: PPOBatch, rows: Sequence[int], old_values: Tensor, returns: Tensor, clip: float
) -> dict[str, float]:
    """An update of the critic on a minibatch."""
    n_actions = batch.n_actions(rows)
    parts: list[dict[str, Tensor]] = []
    for micro, micro_rows in batch.micro_batches(rows):
        values = action_values(critic.model, micro)
        old, target = (batch.take(x, micro_rows) for x in (old_values, returns))
        mask = torch.ones_like(values, dtype=torch.bool)
        loss = value_loss(values, old, target, mask, clip, n_actions)
        (loss * batch.world.size).backward()
        parts.append({"value_loss": loss.detach()})
    metrics = over_ranks(parts)
    return metrics | descend(critic, "value", metrics["value_loss"])


def over_ranks(parts: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """Each value summed over this rank's micro-batches and over the ranks. Until then values stay on their device, to
    avoid synchronisation."""
    values = [torch.stack([value.double() for value in part.values()]) for part in parts]
    return dict(zip(parts[0], distributed.all_reduce(torch.stack(values).sum(0).cpu()).tolist(), strict=True))


def descend(learner: Learner[L], name: str, loss: float, apply: bool = True) -> dict[str, float]:
    """Clips the gradients, applies them unless ``apply`` is False or the loss or their norm is not finite, and clears
    them. All ranks decide alike. The keys of the returned metrics begin with ``name``."""
    norm = distributed.clip_grad_norm(learner.model, learner.max_grad_norm)
    finite = math.isfinite(loss) and math.isfinite(norm)
    if finite and apply:
        learner.optimizer.step()
    learner.optimizer.zero_grad()  # to None: the other model and the next rollouts need the memory
    return {f"{name}_grad_norm": norm, f"{name}_steps": float(finite and apply), f"{name}_skipped": float(not finite)}
