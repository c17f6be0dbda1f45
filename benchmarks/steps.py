"""Steps of whole trajectories beside the released code's steps of 4 calls: whether both learn alike.

    python -m benchmarks.steps --rate 1e-5

The embedded model and generated trajectories, one pass over them, `train_sft.train_step` on both sides. A sample of the
released code is a trajectory up to a right call, with a loss on that call alone. Ours makes steps of 4 trajectories, at
the released code's rate and at that in proportion to the calls of a step (`train_sft.peak_rate`). Printed is the mean
loss of a call over the trajectories.
"""

import argparse
from dataclasses import replace

import torch

from benchmarks.bf16 import mean_loss, train
from tl.assets import TINY
from tl.llama import Llama, Tokenizer
from tl.prompt import EncodingOptions, Example
from tl.training import distributed
from tl.training.batching import batches
from tl.training.data import load_training_data
from train_sft import RELEASED_TURNS

BATCH = 4  # trajectories, or samples of a call


def samples(example: Example) -> list[Example]:
    """One for each right call or text: what stands before its end, and a loss on it alone."""
    made = []
    for turn in example.turns:
        if turn.trained:
            weights = torch.zeros_like(example.weights)
            weights[turn.start - 1 : turn.end] = example.weights[turn.start - 1 : turn.end]
            tensors = {"input_ids": example.input_ids, "targets": example.targets, "weights": weights}
            tensors["turn_index"] = example.turn_index
            made.append(replace(example, **{name: x[: turn.end] for name, x in tensors.items()}))
    return made


def one_pass(data: list[Example], peak: float, trajectories: list[Example]) -> tuple[int, float]:
    """Steps, and the loss on the trajectories after one pass over the data."""
    order = [[data[i] for i in indices] for indices in batches(len(data), BATCH, 0, 0, len(data))]
    with distributed.process_group() as world:
        model = distributed.load(Llama, TINY, world)
        train(model, order, peak, world)
        return len(order), mean_loss(model, [[example] for example in trajectories])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rate", type=float, default=1e-5, help="learning rate (default: %(default)s, the released code's)"
    )
    parser.add_argument("--size", type=int, default=60, help="number of trajectories (default: %(default)s)")
    parser.add_argument(
        "--longest", type=int, default=512, help="skip trajectories with more tokens than this (default: %(default)s)"
    )
    options = parser.parse_args()
    data = load_training_data([], Tokenizer(TINY), EncodingOptions(max_length=8192), progress=False).examples
    trajectories = [example for example in data if len(example) <= options.longest][: options.size]
    calls = [sample for example in trajectories for sample in samples(example)]
    scaled = options.rate * len(calls) / len(trajectories) * BATCH / RELEASED_TURNS
    with distributed.process_group() as world:
        model = distributed.load(Llama, TINY, world)
        print(f"{len(trajectories)} trajectories, {len(calls)} right calls and texts", flush=True)
        print(f"untrained: loss {mean_loss(model, [[example] for example in trajectories]):.4f}", flush=True)
    works = {"a sample a call": (calls, options.rate), "ours, the same rate": (trajectories, options.rate)}
    works["ours, in proportion"] = (trajectories, scaled)
    for name, (items, peak) in works.items():
        steps, loss = one_pass(items, peak, trajectories)
        print(f"{name:20} rate {peak:.2e}, {steps:4} steps: loss {loss:.4f}", flush=True)


if __name__ == "__main__":
    main()
