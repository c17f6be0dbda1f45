"""Process groups, FSDP2 and reductions, kept separate from the maths.

A single process is a group of one rank on an in-process store, so callers have one code path.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts, noop_context_fn

from tl.errors import UserError
from tl.llama.lora import LoRA, add_lora, initial_a, lora_of
from tl.llama.model import Critic, Llama
from tl.llama.weights import StoredTensor, fitting_tensors, hf_name, own_name, read_config, read_slices, tie
from tl.training.dither import dither

Checkpointing = Literal["none", "selective", "full"]

PRODUCTS = [  # operations that are expensive to recompute
    torch.ops.aten.mm.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.torch_attn._varlen_attn.default,
]

T = TypeVar("T")
L = TypeVar("L", bound=Llama)

TIMEOUT = timedelta(hours=2)  # rank 0 prepares the data, and evaluates and saves, while the others wait


@dataclass(frozen=True)
class World:
    """This process's place among the ranks, and the device it works on."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @property
    def compute_dtype(self) -> torch.dtype:
        """Dtype of matrix products. Master weights, reductions and optimizer state are always float32."""
        fast = self.device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32

    def text(self) -> str:
        """Number of ranks and compute dtype, as estimates assume them."""
        ranks = "1 rank" if self.size == 1 else f"{self.size} ranks"
        return f"{ranks}, {str(self.compute_dtype).removeprefix('torch.')}"

    def rows(self, total: int) -> range:
        """This rank's rows of a tensor with ``total`` rows, as FSDP splits it: the last ranks may have fewer."""
        per_rank = -(-total // self.size)
        return range(min(self.rank * per_rank, total), min((self.rank + 1) * per_rank, total))


class RankError(RuntimeError):
    """Another rank failed; the message names it and the reason."""


AGREED = "Every rank knows of this error."  # a note on an exception, see propagate_errors


class LostRankError(UserError):
    """Another rank has ended or does not answer."""


@contextmanager
def process_group() -> Iterator[World]:
    """Joins the process group that torchrun describes, or makes a group of one.

    If one of several ranks leaves with an exception, it does not destroy the group, which would wait for the others:
    its process ends, and torchrun then ends theirs. Raises LostRankError if another rank has ended or has not answered
    for ``TIMEOUT``.
    """
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    backend = "cuda:nccl,cpu:gloo" if device.type == "cuda" else "gloo"
    store, rank, size = _rendezvous() if "RANK" in os.environ else (dist.HashStore(), 0, 1)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    world = World(rank, size, device)
    try:
        yield world
    except BaseException as error:
        if world.size == 1:
            dist.destroy_process_group()
        elif isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            reason = str(error).strip().partition("\n")[0]
            raise LostRankError(
                f"rank {world.rank}: another rank has ended or does not answer. The one that failed first says why, if "
                f"it could; this one was told: {reason}"
            ) from error
        raise
    dist.destroy_process_group()


def _rendezvous() -> tuple[dist.Store, int, int]:
    """The store that the ranks meet at, this rank, and the number of ranks.

    When torchrun starts the ranks of a machine again, they get the store of those that ended, with the addresses of
    those: each start has keys of its own. (On several machines the counts of starts may differ.)
    """
    store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
    if os.environ.get("GROUP_WORLD_SIZE") == "1":
        store = dist.PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    return store, rank, size


def load(
    kind: type[L],
    path: Path,
    world: World,
    checkpointing: Checkpointing = "none",
    dtype: torch.dtype | None = None,
    seed: int | None = None,
    lora: LoRA | None = None,
    base: Llama | None = None,
) -> L:
    """Loads a checkpoint's model, sharded over the ranks: a Llama or a Critic. A Critic made from a Llama's checkpoint
    has a head of zeros. Each rank reads only its own rows of each tensor.

    Args:
        dtype: of the weights that are read; new weights are at least float32. Default: float32 or, for weights that
            ``lora`` freezes, the compute dtype.
        seed: given if the model will be trained. It draws LoRA's matrices A, and the noise for trained tensors that are
            stored in bfloat16 if the model also computes in bfloat16 (see ``dither``).
        lora: freezes the weights that are read, and adds adapters.
        base: a model of this checkpoint with adapters. Its frozen weights are shared instead of read again.

    Raises:
        tl.llama.weights.CheckpointError: as ``load_model`` there does.
    """
    with torch.device("meta"):
        model = kind(read_config(path))
        if lora is not None:
            add_lora(model, lora)
    shard(model, world, checkpointing)
    dtype = dtype or (torch.float32 if lora is None else world.compute_dtype)
    if base is None:
        values = _read(path, model, world, dtype, seed)
    else:  # the frozen weights themselves, not copies
        values = {name: p.detach() for name, p in base.named_parameters() if not p.requires_grad}
    new = torch.promote_types(dtype, torch.float32)
    for name, a in initial_a(model, seed or 0):
        mine = world.rows(len(a))
        values[name] = _like(model.get_parameter(name), a[mine.start : mine.stop].to(world.device, new, copy=True))
    for name, parameter in model.named_parameters():
        if name not in values:  # LoRA's matrices B, and a critic's head
            total, *rest = parameter.shape
            rows = torch.zeros(len(world.rows(total)), *rest, dtype=new, device=world.device)
            values[name] = _like(parameter, rows)
    _assign(model, values)
    return model


def _read(path: Path, model: Llama, world: World, dtype: torch.dtype, seed: int | None) -> dict[str, Tensor]:
    """This rank's part of each tensor of the checkpoint that the model has a parameter for. With a seed, trained ones
    get noise if needed (see ``load``)."""
    rows: dict[str, Tensor] = {}
    stored = fitting_tensors(path, None if isinstance(model, Critic) else Llama)
    for name, piece in read_slices(stored):
        total, *rest = piece.get_shape()
        mine = world.rows(total)
        rows[own_name(name)] = torch.empty(len(mine), *rest, dtype=dtype, device=world.device)
        if mine:
            rows[own_name(name)].copy_(piece[mine.start : mine.stop])
    if _is_tied(model):
        tie(path, rows)
    if seed is not None and world.compute_dtype == torch.bfloat16:
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and (tensor := stored.get(hf_name(name))) and _is_bfloat16(tensor):
                dither(rows[name], world.rows(len(parameter)).start, name, seed)
    return {name: _like(p, rows[name]) for name, p in model.named_parameters() if name in rows}


def _is_bfloat16(tensor: StoredTensor) -> bool:
    """Whether a checkpoint's values are of this type, which sums with the products of an adapter are not."""
    return tensor.dtype == "BF16" and tensor.product is None


def _like(parameter: Tensor, rows: Tensor) -> Tensor:
    """``rows`` as this rank's part of a tensor that is sharded like ``parameter``; unchanged if that is not sharded."""
    if not isinstance(parameter, DTensor):
        return rows
    mesh, placements = parameter.device_mesh, parameter.placements
    return DTensor.from_local(rows, mesh, placements, run_check=False, shape=parameter.shape, stride=parameter.stride())


def shard(model: Llama, world: World, checkpointing: Checkpointing = "none") -> Llama:
    """Wraps the model for FSDP2 if needed (``needs_fsdp``). Each block is a group of its own. Embedding, final norm and
    head form the root group, which stays unsharded after the forward pass so that ``token_nll`` can use the head's
    weight.

    Parameters keep their dtype, in which gradients are reduced as well; on a GPU the model computes in bfloat16.
    """
    for layer in model.layers:
        checkpoint_activations(layer, checkpointing)
    if not needs_fsdp(world.size, world.compute_dtype.itemsize):
        return model
    mesh = dist.init_device_mesh(world.device.type, (world.size,))
    mixed = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    policy = mixed if world.compute_dtype == torch.bfloat16 else MixedPrecisionPolicy()
    for layer in model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    return model


@contextmanager
def unsharded(model: Llama, world: World) -> Iterator[Llama]:
    """While entered, every rank has all parameters in the compute dtype, in a model of the same kind without FSDP's
    wrappers. Ranks may then run different numbers of forward passes, since none waits for another rank.

    Every rank raises if one has no memory for the parameters."""
    sharded = _sharded(model)
    if sharded:  # an error amid the gathering would leave the ranks in different collectives
        with propagate_errors(world):
            _check_memory(model, world)
    try:
        for module in sharded:
            module.unshard()
        yield _from_tensors(dict(model.named_parameters()), model) if sharded else model
    finally:
        reshard(model)


def _check_memory(model: Llama, world: World) -> None:
    """Allocates as much memory as all parameters take, and frees it."""
    size = sum(p.numel() for p in model.parameters()) * world.compute_dtype.itemsize
    torch.empty(size, dtype=torch.uint8, device=world.device)


def reshard(model: Llama) -> None:
    """Shards the parameters again. A forward pass without a backward pass leaves the root group unsharded, and neither
    optimizers nor states may be made from it then."""
    for module in _sharded(model):
        module.reshard()


def _sharded(model: Llama) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def gather(model: Llama, world: World) -> Llama | None:
    """On rank 0, a copy of the model with unsharded parameters on the CPU; None on other ranks. All must call it."""
    weights = {}
    for name, parameter in model.named_parameters():
        full = full_tensor(parameter)
        if world.is_main:
            weights[name] = full.detach().to("cpu", copy=True)  # copy, since on one CPU rank it is the parameter
    return _from_tensors(weights, model) if world.is_main else None


def _from_tensors(weights: dict[str, Tensor], like: Llama) -> Llama:
    """A model of the kind of ``like`` (Llama or Critic, with or without adapters) that uses these tensors."""
    with torch.device("meta"):
        model = (Critic if isinstance(like, Critic) else Llama)(like.config)
        if lora := lora_of(like):
            add_lora(model, lora)
    _assign(model.requires_grad_(False), weights)
    return model


def _assign(model: Llama, weights: dict[str, Tensor]) -> None:
    """Makes these tensors the model's parameters, without copying."""
    parameters = {name: nn.Parameter(weights[name]) for name, _ in model.named_parameters()}
    if _is_tied(model):
        parameters["lm_head.weight"] = parameters["embed_tokens.weight"]
    model.load_state_dict(parameters, assign=True)  # keeps requires_grad of each


def _is_tied(model: Llama) -> bool:
    return model.config.tie_word_embeddings and not isinstance(model, Critic)


def full_tensor(x: Tensor) -> Tensor:
    """A sharded tensor as a whole; any other tensor unchanged. All ranks must call it."""
    return x.full_tensor() if isinstance(x, DTensor) else x


def clip_grad_norm(model: nn.Module, max_norm: float) -> float:
    """Scales the gradients down to ``max_norm``. Returns the previous norm over all ranks, which may be NaN or inf."""
    return float(full_tensor(nn.utils.clip_grad_norm_(model.parameters(), max_norm)))


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Each value summed over the ranks."""
    return all_reduce(torch.tensor(values, dtype=torch.float64)).tolist()  # on the CPU, to avoid waiting for the GPU


def all_reduce(x: Tensor) -> Tensor:
    """A tensor on the CPU, summed over the ranks."""
    dist.all_reduce(x)
    return x


def any_rank(flag: bool) -> bool:
    [count] = sum_over_ranks([flag])
    return count > 0


def gather_objects(value: T, world: World) -> list[T]:
    """Every rank's value, in the order of the ranks."""
    values = [value] * world.size
    dist.all_gather_object(values, value)
    return values


@contextmanager
def propagate_errors(world: World) -> Iterator[None]:
    """If the body raises on one rank, every rank raises instead of waiting for it forever: that rank its own exception,
    the others a RankError. If several ranks fail with the same error, only the first raises its own. The body must not
    communicate. See ``all_know``."""
    error = None
    try:
        yield
    except Exception as raised:
        error = raised
    reports = gather_objects(None if error is None else f"{type(error).__name__}: {error}", world)
    own = reports[world.rank]
    for rank, report in enumerate(reports):
        if error is not None and rank == world.rank:
            error.add_note(AGREED)
            raise error
        if report is not None and own in (None, report):
            raise RankError(f"rank {rank} failed: {report}") from error


def all_know(error: Exception, world: World) -> bool:
    """Whether every rank has raised because of this error, so that all can go on together."""
    return world.size == 1 or isinstance(error, RankError) or AGREED in getattr(error, "__notes__", ())


def on_main(function: Callable[[], T], world: World) -> T:
    """Calls ``function()`` on rank 0 and returns its result on every rank. If it raises, every rank raises."""
    box: list[Any] = [None]
    with propagate_errors(world):
        if world.is_main:
            box = [function()]
    dist.broadcast_object_list(box)
    return box[0]


def checkpoint_activations(layer: nn.Module, mode: Checkpointing) -> None:
    """Makes a block recompute its activations in the backward pass instead of keeping them: all of them ("full"), or
    all except the results of matrix products and attention ("selective"). The results are the same to the last bit."""
    if mode != "none":
        contexts = partial(create_selective_checkpoint_contexts, PRODUCTS) if mode == "selective" else noop_context_fn
        layer.forward = partial(
            checkpoint, layer.forward, use_reentrant=False, context_fn=contexts, preserve_rng_state=False
        )


def needs_fsdp(ranks: int, compute_bytes: int) -> bool:
    """Whether parameters must be sharded over ranks or cast from float32 master weights. One process on a CPU needs
    neither, and FSDP's copies of all parameters and gradients would cost memory and time in every step."""
    return ranks > 1 or compute_bytes < 4
