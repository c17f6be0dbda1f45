"""The product's own functions on GPUs that are not there: fake tensors on "cuda", a fake process group of any size.

    python tests/fake_gpu.py STUB.so [WORK …]          what tests/test_fake_gpu.py asks for, as JSON

Tensors on the CPU are real. Those on "cuda" have shapes, types and bytes, but no numbers: where the product reads one,
it gets 0, False, or token 1. Of torch, streams, pinned memory and the exchange of Python objects are patched; of the
product, nothing but the micro-batches, whose contents do not matter. Rank 0 of the group is this process.

STUB.so: tests/native/cuda_stub.cpp, loaded before torch; "-" where torch itself was built for CUDA.
"""

import ctypes
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

if __name__ == "__main__" and sys.argv[1] != "-":
    ctypes.CDLL(sys.argv[1])
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torch.distributed as dist
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import train_ppo
import train_sft
from tl.llama import Llama, ModelConfig, save_model
from tl.llama.sampling import Completion, Sampler, cache_size
from tl.metrics import Question
from tl.rl.calls import Experience, ScoredCall
from tl.rl.data import PPOData
from tl.training import distributed
from tl.training.batching import MicroBatch
from tl.training.checkpoint import SavedState, load_state, save_state
from tl.training.distributed import World
from tl.training.memory import training_memory
from tl.training.optimizer import make_optimizer
from tl.training.run import Progress

aten = torch.ops.aten
CODELLAMA = ModelConfig(32016, 4096, 11008, 32, 32, 32, 128, 16384)
SMALL = ModelConfig(3000, 256, 688, 2, 8, 4, 32, 4096)
PRODUCTS = ("mm", "bmm", "addmm", "_scaled_dot_product", "_varlen_attn")


class Stream:
    """Neither waits nor works."""

    stream_id, device_index, device_type = 0, 0, 1

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def wait_stream(self, *_: Any) -> None: ...

    def wait_event(self, *_: Any) -> None: ...

    def record_event(self, *_: Any) -> "Stream":
        return self

    def record(self, *_: Any) -> "Stream":
        return self

    wait = synchronize = wait_event

    def query(self) -> bool:
        return True


class Boundary(TorchDispatchMode):
    """Keeps tensors on the CPU real, answers what is read from the GPU, and counts what goes between the two."""

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        self.waits: Counter[str] = Counter()  # of the CPU for the GPU
        self.collectives: Counter[str] = Counter()
        self.product_types: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        devices = {t.device.type for t in tensors}
        target = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else None
        if "meta" in devices or target == "meta":
            return func(*args, **kwargs)
        if "cuda" not in devices and target != "cuda":
            with no_dispatch():
                return func(*args, **kwargs)
        name = func.name().removeprefix("aten::")
        if func is aten._local_scalar_dense.default:
            self.waits["item"] += 1
            return 0.0 if args[0].is_floating_point() else 0 if args[0].dtype == torch.bool else 1
        if func is aten._to_copy.default and target is not None and devices != {target}:
            return self._copied(args[0], target, kwargs)
        if func is aten.copy_.default and args[0].device != args[1].device:
            self.waits["copy"] += 0 if args[0].device.type == "cuda" else 1
            return args[0]
        if name.startswith("c10d::"):
            self.collectives[name.removeprefix("c10d::").strip("_")] += 1
        if name.startswith(PRODUCTS):
            self.product_types |= {str(t.dtype).removeprefix("torch.") for t in tensors if t.is_floating_point()}
        return func(*args, **kwargs)

    def _copied(self, tensor: Tensor, target: str, kwargs: dict[str, Any]) -> Tensor:
        dtype = kwargs.get("dtype") or tensor.dtype
        if not kwargs.get("non_blocking"):
            self.waits[f"to {target}"] += 1
        if target == "cuda":
            return torch.empty(tensor.shape, dtype=dtype, device="cuda")
        with no_dispatch():
            return torch.ones(tuple(tensor.shape)).to(dtype)


def fused_attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, enable_gqa: bool = False
) -> Tensor:
    """The fused kernel that PyTorch takes on a GPU; here, it would take one that keeps all scores."""
    if enable_gqa:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    if attn_mask is not None:
        attn_mask = attn_mask.expand(*q.shape[:3], k.shape[2])
        if attn_mask.dtype == torch.bool:
            attn_mask = torch.empty_like(attn_mask, dtype=q.dtype)
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    return kernel(q, k, v, attn_mask, compute_log_sumexp=q.requires_grad, is_causal=is_causal)[0]


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """All ranks have the same."""
    object_list[:] = [obj] * len(object_list)


def gather_object(obj: Any, object_gather_list: list[Any], dst: int = 0, group: Any = None) -> None:
    all_gather_object(object_gather_list, obj)


def scatter_object_list(
    scatter_object_output_list: list[Any], scatter_object_input_list: list[Any], src: int = 0, group: Any = None
) -> None:
    scatter_object_output_list[0] = scatter_object_input_list[0]


PATCHES: list[tuple[Any, str, Any]] = [
    (torch.cuda, "Stream", Stream),
    (torch.cuda, "Event", Stream),
    (torch.cuda, "stream", lambda _: nullcontext()),
    (torch.cuda, "current_stream", Stream),
    (torch.cuda, "default_stream", Stream),
    (torch.cuda, "current_device", lambda: 0),
    (torch.cuda, "device_count", lambda: 8),
    (torch.cuda, "set_device", lambda _: None),
    (torch.cuda, "is_bf16_supported", lambda including_emulation=True: True),
    (Tensor, "record_stream", lambda *_: None),
    (Tensor, "pin_memory", lambda self, *_: self),
    (torch.nn.functional, "scaled_dot_product_attention", fused_attention),
    (dist, "all_gather_object", all_gather_object),
    (dist, "gather_object", gather_object),
    (dist, "scatter_object_list", scatter_object_list),
    (dist, "broadcast_object_list", lambda *_, **__: None),
]


@contextmanager
def gpus(ranks: int) -> Iterator[tuple[World, Boundary]]:
    """Rank 0 of a group of fake GPUs."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    with ExitStack() as stack:
        for owner, name, value in PATCHES:
            stack.enter_context(patch.object(owner, name, value, create=True))
        mesh = dist.init_device_mesh("cuda", (ranks,))  # only once: with fake tensors it would ask what is on the GPU
        stack.enter_context(patch.object(dist, "init_device_mesh", lambda *_: mesh))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield World(0, ranks, torch.device("cuda", 0)), stack.enter_context(Boundary())
    dist.destroy_process_group()


class Tracker(MemTracker):
    """torch's, without its figures for single modules, which must not be called more than once."""

    def _nothing(self, *_: Any) -> None: ...

    _pre_fw_hook = _post_fw_hook = _pre_bw_hook = _post_bw_hook = _nothing


def peak(action: Callable[[], Any], held: list[Any]) -> int:
    """Bytes on the GPU at the peak, by torch's tracker; ``held``: models and optimizers that are there before."""
    tracker = Tracker()
    tracker.track_external(*held)
    with tracker:
        action()
    [sizes] = [s for device, s in tracker.get_tracker_snapshot("peak").items() if device.type == "cuda"]
    return sizes["Total"]


def micro_batch(tokens: int, documents: int = 4) -> MicroBatch:
    """All tokens are targets, of which the estimate knows nothing else."""
    zeros, indices = torch.zeros(1, tokens, dtype=torch.int64), torch.arange(tokens)
    return MicroBatch(
        zeros, [tokens // documents] * documents, None, indices, zeros[0], torch.ones(tokens), zeros[0], 1
    )


def load(kind: type[Llama], config: ModelConfig, world: World, checkpointing: str, dtype: torch.dtype) -> Llama:
    """A model as ``distributed.load`` leaves it, of no file."""
    with torch.device("meta"):
        model = kind(config)
    distributed.shard(model, world, checkpointing)
    return model.to(dtype).to_empty(device=world.device)


def with_moments(model: Llama) -> Optimizer:
    """Its optimizer, as after a step."""
    optimizer = make_optimizer(model, 1e-6, train_sft.SFTConfig())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


def report(boundary: Boundary, peaks: dict[str, int], estimates: dict[str, int]) -> dict[str, Any]:
    found = {name: dict(counts) for name, counts in (("waits", boundary.waits), ("collectives", boundary.collectives))}
    types = sorted(boundary.product_types)
    return found | {"product_types": types, "peaks": peaks, "estimates": estimates}


def sft(config: ModelConfig, ranks: int, checkpointing: str, tokens: int, micro_batches: int) -> dict[str, Any]:
    """A step of train_sft.py, then an evaluation's sampling."""
    settings = train_sft.SFTConfig(micro_tokens=tokens)
    train_sft.micro_batches = lambda *_: [micro_batch(tokens) for _ in range(micro_batches)]
    with gpus(ranks) as (world, boundary):
        model = load(Llama, config, world, checkpointing, torch.float32)
        optimizer = with_moments(model)
        peaks = {"step": peak(lambda: train_sft.train_step(model, optimizer, [], settings, world), [model, optimizer])}
        found = report(boundary, {}, {})
        rows, length, new = 4, 1000, 24

        def evaluate() -> None:
            with torch.no_grad(), distributed.unsharded(model, world) as plain:
                prompts = [[row + 3] * length for row in range(rows)]
                Sampler(plain, rows, eos_id=2).complete(prompts, new)

        boundary.waits.clear()
        peaks["evaluation"] = peak(evaluate, [model, optimizer])
        cached = cache_size(rows, [length + new])
        memory = training_memory(config, tokens, ranks, 2, checkpointing, cached)
        estimates = {"step": memory.held + memory.step, "evaluation": memory.held + memory.generation}
    decoding = dict(boundary.waits) | {"tokens": new}
    return found | {"peaks": peaks, "estimates": estimates, "decoding": decoding}


def ppo(config: ModelConfig, ranks: int, prompt: int, new: int) -> dict[str, Any]:
    """The second step of train_ppo.py, two rollouts a rank, each of them a micro-batch."""
    rollouts = 2 * ranks
    settings = train_ppo.PPOConfig(batch_size=rollouts, minibatch_size=rollouts, max_new_tokens=new, show_every=0)

    def sample(actor: Llama, _: Any, prompts: list[Question], __: Any, seeds: list[int]) -> list[Experience]:
        sampler = Sampler(actor, len(prompts), eos_id=1)  # which is drawn at once; the calls are taken to be long
        sampler.complete([p.prompt_ids for p in prompts], new, 1.0, seeds=seeds, logprobs=True)
        experiences = [Experience(p.id, list(p.prompt_ids)) for p in prompts]
        for number, experience in enumerate(experiences):
            experience.add(Completion([1] * new, [-1.0] * new, True), ScoredCall("", float(number), None))
        return experiences

    train_ppo.sample_calls = sample
    prompts = [Question(str(n), (), (), (), prompt_ids=[n + 3] * prompt) for n in range(rollouts)]
    progress = Progress()

    def read(
        kind: type[Llama], _: Any, world: World, mode: str = "none", dtype: Any = torch.float32, **__: Any
    ) -> Llama:
        return load(kind, config, world, mode, dtype)

    with patch.object(distributed, "load", read), gpus(ranks) as (world, boundary):
        models = train_ppo.Models.load(Path("none"), settings, world)

        def step() -> None:
            train_ppo.ppo_step(models, None, None, prompts, progress, settings, world)

        step()
        boundary.clear()
        learners = (models.actor, models.critic)
        held = [x for learner in learners for x in (learner.model, learner.optimizer)]
        peaks = {"ppo": peak(step, [*held, models.reference])}
        estimates = {"ppo": train_ppo.estimate_memory(settings, PPOData(prompts), [], config, world).total}
    return report(boundary, peaks, estimates)


def files(config: ModelConfig, ranks: int) -> dict[str, Any]:
    """Reads a checkpoint in bfloat16 and brings the model back to the CPU, whole; of one rank, which has all that a
    state consists of, also writes a state and reads it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        save_model(Llama(config), folder, dtype=torch.bfloat16)
        with gpus(ranks) as (world, boundary):
            model = distributed.load(Llama, folder, world, seed=0)
            found = report(boundary, {}, {}) | {"loaded": places(model.parameters())}
            whole = distributed.gather(model, world)
            assert whole is not None
            found["gathered"] = places(whole.parameters())
            if ranks == 1:
                optimizer = with_moments(model)
                save_state(folder / "states", 1, model, optimizer, {}, world, keep=1)
                load_state(SavedState(folder / "states" / "step-00000001", {}), model, optimizer)
                moments = [x for state in optimizer.state.values() for x in (state["exp_avg"], state["exp_avg_sq"])]
                found["resumed"] = places([*model.parameters(), *moments])
    return found


def places(tensors: Iterable[Tensor]) -> dict[str, int]:
    """How many numbers this rank has of them, by device and type."""
    found: Counter[str] = Counter()
    for tensor in tensors:
        mine = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        found[f"{mine.device.type} {mine.dtype}"] += mine.numel()
    return dict(found)


def seven_b(layers: int) -> ModelConfig:
    """CodeLLaMA-7B with fewer layers."""
    return replace(CODELLAMA, num_hidden_layers=layers)


WORK: dict[str, Callable[[], dict[str, Any]]] = {
    "full": lambda: sft(seven_b(4), 8, "full", 8192, 1),
    "full on one": lambda: sft(seven_b(2), 1, "full", 8192, 2),
    "none": lambda: sft(seven_b(4), 8, "none", 4096, 2),
    "selective": lambda: sft(seven_b(8), 8, "selective", 4096, 1),
    "small": lambda: sft(SMALL, 8, "full", 512, 3),
    "files": lambda: files(SMALL, 8),
    "files of one": lambda: files(SMALL, 1),
    "ppo": lambda: ppo(seven_b(4), 8, 500, 7500),
    "small ppo": lambda: ppo(SMALL, 1, 500, 100),
}

if __name__ == "__main__":
    print(json.dumps({name: WORK[name]() for name in sys.argv[2:] or WORK}))
