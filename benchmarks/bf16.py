"""What is left of float32's learning where a model that is stored in bfloat16 computes in it: with dither and without.

    python -m benchmarks.bf16 --steps 40 --rates 3e-6 1e-5 3e-5

`train_sft.train_step` on the embedded model (stored in bfloat16) and generated trajectories, as `train_sft.py` loads
and shards it; on a CPU, whose bfloat16 products are slow and otherwise the same. Warm-up and cosine as in training.
Printed is how far the loss on the trajectories that were trained on falls, and the share of float32's fall.
"""

import argparse
from unittest.mock import patch

import torch

from tl.assets import TINY
from tl.config import preset
from tl.llama import Llama, Tokenizer
from tl.losses import weighted_cross_entropy
from tl.prompt import EncodingOptions, Example
from tl.training import distributed
from tl.training.batching import collate, target_nll
from tl.training.data import load_training_data
from tl.training.distributed import World
from tl.training.optimizer import make_optimizer
from train_sft import SFTConfig, learning_rate, train_step

CONFIG = SFTConfig(**preset(SFTConfig) | {"max_length": 512})
ARMS = {"float32": (torch.float32, None), "bfloat16": (torch.bfloat16, None), "with dither": (torch.bfloat16, 0)}


def fall(arm: str, batches: list[list[Example]], peak: float) -> tuple[float, float]:
    """The mean loss of the batches before and after a step on each."""
    dtype, seed = ARMS[arm]
    with distributed.process_group() as world, patch.object(World, "compute_dtype", dtype):
        model = distributed.load(Llama, TINY, world, seed=seed)
        before = mean_loss(model, batches)
        train(model, batches, peak, world)
        return before, mean_loss(model, batches)


def train(model: Llama, batches: list[list[Example]], peak: float, world: World) -> None:
    """A step on each batch, with the learning rates of a training run."""
    optimizer = make_optimizer(model, peak, CONFIG)
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, len(batches), peak, CONFIG.warmup_ratio)
        train_step(model, optimizer, batch, CONFIG, world)


@torch.no_grad()
def mean_loss(model: Llama, batches: list[list[Example]]) -> float:
    losses = []
    for batch in batches:
        micro = collate(batch)
        losses.append(weighted_cross_entropy(target_nll(model, micro), micro.weights, micro.turn_index).item())
    return sum(losses) / len(losses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="training steps (default: %(default)s)")
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-6, 1e-5, 3e-5], help="learning rates")
    options = parser.parse_args()
    encoding = EncodingOptions(max_length=CONFIG.max_length)
    data = list(load_training_data([], Tokenizer(TINY), encoding, progress=False).examples)
    n = CONFIG.batch_size
    batches = [data[i * n : (i + 1) * n] for i in range(options.steps)]
    for rate in options.rates:
        falls = {}
        for arm in ARMS:
            before, after = fall(arm, batches, rate)
            falls[arm] = before - after
            share = f"{falls[arm] / falls['float32']:.0%} of float32's fall"
            print(f"rate {rate:.1e}, {options.steps} steps, {arm:12} {before:.5f} -> {after:.5f}, {share}", flush=True)


if __name__ == "__main__":
    main()
