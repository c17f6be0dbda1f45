"""One process or many: process groups, FSDP2, reductions. The maths elsewhere knows nothing of it.

One process is a group of one rank on an in-process store, so that there is one code path.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from tl.model import Llama


@dataclass(frozen=True)
class World:
    """This process's place among the ranks, and the device it works on."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def start() -> World:
    """Joins the process group that torchrun describes, or makes a group of one."""
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else None
    if device is not None:
        torch.cuda.set_device(device)
    backend = "cuda:nccl,cpu:gloo" if device is not None else "gloo"
    if "RANK" in os.environ:
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    return World(dist.get_rank(), dist.get_world_size(), device or torch.device("cpu"))


def finish() -> None:
    dist.destroy_process_group()


def shard(model: Llama, world: World) -> Llama:
    """Wraps the model for FSDP2: each block is a group of its own; embedding, final norm and head form the root's,
    which stays whole after the forward pass so that ``token_nll`` can use the head's weight.

    Master weights, gradients' reduction and optimizer state stay in the model's dtype (float32); on a GPU the blocks
    compute in bfloat16.
    """
    mesh = dist.init_device_mesh(world.device.type, (world.size,))
    mixed = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    policy = mixed if world.device.type == "cuda" else MixedPrecisionPolicy()
    for layer in model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    return model


def gather(model: Llama) -> Llama:
    """A copy of a sharded model with whole parameters, on the CPU. Every rank must call it."""
    with torch.device("meta"):
        whole = Llama(model.config)
    weights = {name: p.full_tensor().cpu() for name, p in model.state_dict().items()}
    whole.load_state_dict(weights, assign=True)
    if model.config.tie_word_embeddings:
        whole.lm_head.weight = whole.embed_tokens.weight
    return whole


def all_sum(values: Sequence[float], world: World) -> list[float]:
    """Each value summed over the ranks."""
    total = torch.tensor(values, dtype=torch.float64)  # on the CPU: float64 and no wait for the GPU
    dist.all_reduce(total)
    return total.tolist()
