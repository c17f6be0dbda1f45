"""Training on trajectories of several calls beside the released scheme: a sample for each correct call, one at a time.

    python -m benchmarks.trajectories                        # generated data; installs transformers
    python -m benchmarks.trajectories --data trajectories.jsonl --least_calls 1

The embedded model, float32 on a CPU, batches of 4 trajectories. The peer is transformers' model, which reads the whole
history again for each call and makes logits for all of it, with the same weights of tokens, clipping and AdamW. Both
sides make an optimizer step for each batch of trajectories, so that their losses can be compared.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.side_by_side import compare, with_peers
from tl.assets import TINY
from tl.config import preset
from tl.llama import Llama, Tokenizer
from tl.prompt import NO_TARGET, EncodingOptions, Example, Turn
from tl.training import distributed
from tl.training.data import load_training_data
from tl.training.optimizer import make_optimizer
from train_sft import SFTConfig, train_step

CONFIG = SFTConfig(**preset(SFTConfig))

Epoch = Callable[[], float]  # trains on all the batches once and returns the mean loss of their calls


def our_epoch(batches: list[list[Example]], world: distributed.World) -> Epoch:
    model = distributed.load(Llama, TINY, world, CONFIG.checkpointing)
    optimizer = make_optimizer(model, CONFIG.learning_rate, CONFIG)
    return lambda: mean_of_calls(batches, lambda batch: train_step(model, optimizer, batch, CONFIG, world)["loss"])


def their_epoch(batches: list[list[Example]]) -> Epoch:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32).train()
    model.config.use_cache = False
    optimizer = make_optimizer(model, CONFIG.learning_rate, CONFIG)

    def step(batch: list[Example]) -> float:
        calls, total = sum(e.trained_turns for e in batch), 0.0
        for example in batch:
            for turn in filter(lambda turn: turn.trained, example.turns):
                loss = call_loss(model(example.input_ids[None, : turn.end]).logits[0], example, turn) / calls
                loss.backward()
                total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CONFIG.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return total

    return lambda: mean_of_calls(batches, step)


def call_loss(logits: Tensor, example: Example, turn: Turn) -> Tensor:
    """Weighted mean over the tokens of one call, from the logits [T, V] of all that stands before its end."""
    targets, weights = torch.full((turn.end,), NO_TARGET), torch.zeros(turn.end)
    targets[turn.start - 1 :] = example.targets[turn.start - 1 : turn.end]
    weights[turn.start - 1 :] = example.weights[turn.start - 1 : turn.end]
    nll = F.cross_entropy(logits, targets, ignore_index=NO_TARGET, reduction="none")
    return (weights * nll).sum() / weights.sum()


def mean_of_calls(batches: list[list[Example]], step: Callable[[list[Example]], float]) -> float:
    calls = [sum(example.trained_turns for example in batch) for batch in batches]
    return sum(step(batch) * n for batch, n in zip(batches, calls, strict=True)) / sum(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=[], help="trajectory files (default: generated training set)")
    parser.add_argument(
        "--least_calls", type=int, default=4, help="minimum calls per trajectory (default: %(default)s)"
    )
    parser.add_argument("--size", type=int, default=16, help="maximum number of trajectories (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements (default: %(default)s)")
    options = parser.parse_args()
    with_peers("benchmarks.trajectories", transformers="5.23.0")
    encoding = EncodingOptions(max_length=4096)
    data = load_training_data(options.data, Tokenizer(TINY), encoding, on_bad="skip", progress=False)
    examples = [e for e in data.examples if sum(turn.is_call for turn in e.turns) >= options.least_calls]
    examples = examples[: options.size]
    batches = [examples[i : i + CONFIG.batch_size] for i in range(0, len(examples), CONFIG.batch_size)]
    once = sum(map(len, examples))
    again = sum(turn.end for e in examples for turn in e.turns if turn.trained)
    print(
        f"{len(examples)} trajectories of at least {options.least_calls} calls, {once:,} tokens, one sample a call "
        f"{again:,}: {again / once:.2f} x ({torch.get_num_threads()} threads)",
        flush=True,
    )
    with distributed.process_group() as world:
        sides = our_epoch(batches, world), their_epoch(batches)
        losses = [side() for side in sides]
        print(f"  loss of the first epoch: ours {losses[0]:.6f}, other {losses[1]:.6f}", flush=True)
        print(f"  {compare(*sides, options.rounds, uncounted=0)}")


if __name__ == "__main__":
    main()
