"""How the work grows, measured beside what its arithmetic says: one row each, relative to the first.

python -m benchmarks.growth            # all of it; OMP_NUM_THREADS=1, as seconds are those of the processor
python -m benchmarks.growth length     # a training step against the tokens of a text, 2 layers of the small model
python -m benchmarks.growth tools      # a training step against the tools in the prompt, embedded model
python -m benchmarks.growth episodes   # episodes with the executor against how many run at a time, embedded model
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import torch

from benchmarks.models import SMALL, random_model, random_texts
from benchmarks.side_by_side import Taken
from tl.assets import TINY
from tl.executor import Executor
from tl.llama import Llama, ModelConfig, Tokenizer, load_model
from tl.losses import token_nll
from tl.prompt import EncodingOptions, encode_trajectory
from tl.rl.config import PPOConfig
from tl.rl.data import task_data
from tl.rl.episodes import sample_episodes
from tl.synthesis import LIBRARY, synthesize
from tl.synthesis.tasks import make_tasks
from tl.training.batching import MicroBatch, collate
from tl.training.scaling import Work, executed_flops

Row = tuple[int, str, float, float]  # what grows, what it makes, seconds, the arithmetic of them in any unit
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
TOOLS = (4, 8, 16, 32, 64)
AT_ONCE = (1, 2, 4, 8)
TARGETS = 128


def against_length() -> Iterator[Row]:
    """Products grow with the tokens, attention with their square."""
    config = replace(SMALL, num_hidden_layers=2, max_position_embeddings=max(LENGTHS))
    model = random_model(config)
    for length in LENGTHS:
        [text] = random_texts(config, 1, length, length)
        ids = torch.tensor([text])
        positions, targets = torch.arange(length - 1 - TARGETS, length - 1), ids[0, -TARGETS:]
        none = torch.zeros(0)
        micro = MicroBatch(ids, [length], None, positions, targets, none, none, 1)
        yield length, "", step_seconds(model, micro), arithmetic(config, micro)


def against_tools() -> Iterator[Row]:
    """Products grow with the tokens of the prompt, which grow with the tools."""
    tokenizer, model = Tokenizer(TINY), load_model(TINY, torch.float32)
    trajectories = synthesize(size=300)
    library = list({tool.name: tool for trajectory in trajectories for tool in trajectory.tools}.values())
    for number in TOOLS:
        own = trajectories[0].tools
        tools = (*own, *[tool for tool in library if tool not in own])[:number]
        if len(tools) < number:
            return
        trajectory = replace(trajectories[0], tools=tools)
        example = encode_trajectory(trajectory, tokenizer, EncodingOptions(max_length=2**20))
        micro = collate([example])
        yield number, f"{len(example):,} tokens", step_seconds(model, micro), arithmetic(model.config, micro)


def against_episodes(tasks: int = 8, new_tokens: int = 32) -> Iterator[Row]:
    """The same episodes take fewer steps of decoding, each over more rows; a step reads all weights once. The
    arithmetic counts steps, as if rows were free."""
    tokenizer, model = Tokenizer(TINY), load_model(TINY, torch.float32).eval()
    work = task_data(make_tasks(size=tasks), tokenizer, 1024).prompts
    config = PPOConfig(max_new_tokens=new_tokens)
    with Executor(LIBRARY) as executor:
        for at_once in AT_ONCE:
            start = Taken.now()
            with patch("tl.rl.episodes.MAX_ROWS", at_once):
                done = sample_episodes(model, tokenizer, work, executor, config, range(tasks))
            seconds = start.since().processor
            tokens = sum(len(experience.actions) for experience in done if experience)
            yield at_once, f"{tasks / seconds:.2f} episodes/s, {tokens:,} tokens drawn", seconds, tokens / at_once


def step_seconds(model: Llama, micro: MicroBatch) -> float:
    """Processor seconds of forward and backward pass, the second time that they are made."""
    for _ in range(2):
        start = Taken.now()
        hidden = model(micro.input_ids, micro.lengths, return_hidden=True)
        token_nll(hidden[0, micro.positions], model.lm_head.weight, micro.targets).sum().backward()
        seconds = start.since().processor
        model.zero_grad()
    return seconds


def arithmetic(config: ModelConfig, micro: MicroBatch) -> float:
    """Floating-point operations of the pass."""
    tokens = micro.input_ids.numel()
    return executed_flops(config, Work(tokens, tokens, len(micro.targets) / tokens, "none"))


WORK = {
    "length": ("training step by tokens of the text", against_length),
    "tools": ("training step by tools in the prompt", against_tools),
    "episodes": ("8 episodes by how many run at a time", against_episodes),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", choices=[*WORK, "all"], default="all", help="what to measure (default: all)")
    chosen = parser.parse_args().work
    for name in WORK if chosen == "all" else [chosen]:
        what, rows = WORK[name]
        print(f"{what} ({torch.get_num_threads()} threads)")
        first = None
        for size, made, seconds, expected in rows():
            first = first or (seconds, expected)
            print(
                f"  {size:>6}  {seconds:8.3f} s  x {seconds / first[0]:7.2f}, arithmetic x {expected / first[1]:7.2f}  "
                f"{made}",
                flush=True,
            )


if __name__ == "__main__":
    main()
