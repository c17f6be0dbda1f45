"""Training and decoding on one GPU against what the machine can do: its own matrix products and copies, measured first.

    python -m benchmarks.gpu all > gpu.txt            # a table beside published figures, within ten minutes
    python -m benchmarks.gpu train --checkpointing selective --tokens 8192
    python -m benchmarks.gpu decode --batch 64 --context 1024
    python -m benchmarks.gpu ppo                      # 1.3 billion parameters each: actor, critic, reference

CodeLLaMA-7B's shape, random weights, bfloat16 products. Training takes as many of its layers as the GPU has memory for,
all of them with 141 GB: a share of the products' speed can be compared all the same, tokens/s cannot. Without a GPU the
same code runs on a toy model, which shows that it works and says nothing about speed.
"""

import argparse
import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.models import LARGE, NEVER, SMALL, random_checkpoint, random_texts
from benchmarks.ppo import our_step
from tl.assets import TINY
from tl.llama import Llama, ModelConfig, Tokenizer, generate
from tl.mae import ErrorCategory
from tl.prompt import Example, Turn
from tl.rl.config import PPOConfig
from tl.rl.data import read_prompts
from tl.training import distributed
from tl.training.memory import count_parameters, training_memory
from tl.training.optimizer import make_optimizer
from tl.training.scaling import CODE_LLAMA, Work, model_flops
from train_sft import SFTConfig, train_step

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
RESERVE = 8e9  # bytes of a GPU that are left to CUDA's context, its libraries and fragmentation


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Median over the rounds, behind one that is not counted."""
    taken = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        if GPU:
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def product_speed(size: int) -> float:
    """FLOP/s of a large bfloat16 product."""
    a, b = (torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / seconds(lambda: a @ b)


def copy_speed(size: int) -> float:
    """Bytes/s read plus written of a copy of ``size`` bytes."""
    source = torch.empty(size, device=DEVICE, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * size / seconds(lambda: target.copy_(source))


def packed(config: ModelConfig, tokens: int, length: int) -> list[Example]:
    """Texts with a target at every token."""

    def example(text: list[int]) -> Example:
        ids = torch.tensor(text)
        turn = Turn(1, length, False, ErrorCategory.ALL_RIGHT, (), True)
        return Example("random", ids, ids.roll(-1), torch.ones(length), torch.zeros_like(ids), (turn,), 0)

    return [example(text) for text in random_texts(config, max(tokens // length, 1), length, length)]


def that_fits(config: ModelConfig, tokens: int, options: argparse.Namespace) -> ModelConfig:
    """The model with as many of its layers as a GPU has memory to train."""
    room = torch.cuda.mem_get_info()[1] - RESERVE if GPU else math.inf
    for layers in range(config.num_hidden_layers, 1, -1):
        shape = replace(config, num_hidden_layers=layers)
        if training_memory(shape, tokens, 1, 2, options.checkpointing).total < room:
            break
    return shape


def train(config: ModelConfig, options: argparse.Namespace, peak: float) -> str:
    """The product's own step: float32 master weights, bfloat16 products, AdamW."""
    settings = SFTConfig(micro_tokens=options.tokens, checkpointing=options.checkpointing, learning_rate=1e-6)
    examples = packed(config, options.tokens, options.length)
    tokens, whole = sum(map(len, examples)), config.num_hidden_layers
    config = that_fits(config, tokens, options)
    with distributed.process_group() as world:
        with DEVICE:
            model = Llama(config)
        model = distributed.shard(model, world, options.checkpointing)
        optimizer = make_optimizer(model, 1e-6, settings)
        step = seconds(lambda: train_step(model, optimizer, examples, settings, world))
        estimated = training_memory(config, tokens, 1, world.compute_dtype.itemsize, options.checkpointing).total
    used = torch.cuda.max_memory_allocated() if GPU else 0
    useful = model_flops(config, Work(tokens, options.length, 1.0))
    return (
        f"{tokens / step:,.0f} tokens/s with {config.num_hidden_layers} of {whole} layers, "
        f"{useful / step / peak:.0%} of the products' speed (nothing counted twice); "
        f"peak memory {used / 1e9:.1f} GB, estimated {estimated / 1e9:.1f}"
    )


def decode(config: ModelConfig, options: argparse.Namespace, bandwidth: float) -> str:
    """Time of a token from two runs that differ only in how many tokens they draw, so that the prompt falls out."""
    with DEVICE:
        model = Llama(config).to(torch.bfloat16 if GPU else torch.float32).eval()
    prompts = random_texts(config, options.batch, options.context, options.context)

    def draw(tokens: int) -> float:
        return seconds(lambda: generate(model, prompts, tokens, eos_id=NEVER, batch_size=options.batch), rounds=3)

    few, many = 8, 8 + options.new_tokens
    each = (draw(many) - draw(few)) / options.new_tokens
    width = next(model.parameters()).element_size()
    cache = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    weights = count_parameters(config) - config.vocab_size * config.hidden_size
    read = width * (weights + options.batch * cache * (options.context + (few + many) / 2))
    return f"{options.batch / each:,.1f} tokens/s, {read / each / bandwidth:.0%} of the copies' speed"


def ppo(shape: ModelConfig, options: argparse.Namespace) -> str:
    """A step of the product's own, whose rollouts all have the same length; and what the time went into."""
    config = PPOConfig(batch_size=options.rollouts, max_new_tokens=options.new_tokens, show_every=0)
    tokenizer = Tokenizer(TINY)
    tokenizer.eos_id = NEVER
    prompts = read_prompts([], tokenizer, config.max_length).prompts[: options.rollouts]
    logged: list[dict[str, float]] = []
    with random_checkpoint(shape) as folder, our_step(folder, tokenizer, prompts, config) as step:
        taken = seconds(lambda: logged.append(step()), rounds=3)
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if GPU else [])]
        with profile(activities=activities) as profiler:
            step()
    shares = ", ".join(
        f"{name.replace('_', ' ')} {statistics.median(line[name] for line in logged[1:]):.0%}"
        for name in ("rollout_share", "generation_share")
    )
    order = "self_cuda_time_total" if GPU else "self_cpu_time_total"
    table = profiler.key_averages().table(sort_by=order, row_limit=12, max_name_column_width=60)
    return f"{taken:.1f} s a step of {len(prompts)} rollouts, {options.new_tokens} tokens each: {shares}\n{table}"


def everything(config: ModelConfig, options: argparse.Namespace, products: float, copies: float) -> None:
    """Prints a row for each piece of work as soon as it is done; one that fails says why, and the next one begins."""
    works: dict[str, tuple[str, Callable[[], str]]] = {
        "training": ("10,471 tokens/s on an H200, texts of 4,096", lambda: train(config, options, products)),
        "decoding, 1 text": ("104.9 tokens/s on an A100 (gpt-fast, compiled)", lambda: decode(config, options, copies)),
        "decoding, 64 texts": ("", lambda: decode(config, argparse.Namespace(**vars(options) | {"batch": 64}), copies)),
        "PPO step": ("", lambda: ppo(LARGE if GPU else SMALL, options).splitlines()[0]),
    }
    print("| work | measured | published |\n|---|---|---|", flush=True)
    for name, (published, work) in works.items():
        gc.collect()
        if GPU:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            measured = work()
        except Exception as error:
            measured = f"failed: {type(error).__name__}: {error}".splitlines()[0]
        print(f"| {name} | {measured} | {published} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=["all", "train", "decode", "ppo"], help="what to measure")
    parser.add_argument(
        "--tokens", type=int, default=8192 if GPU else 128, help="tokens in a training step (default: %(default)s)"
    )
    parser.add_argument(
        "--length", type=int, default=4096 if GPU else 64, help="tokens in a training sequence (default: %(default)s)"
    )
    parser.add_argument("--checkpointing", choices=["none", "selective", "full"], default="full")
    parser.add_argument("--batch", type=int, default=1, help="sequences to decode at once (default: %(default)s)")
    parser.add_argument(
        "--context", type=int, default=1024 if GPU else 16, help="tokens in a prompt (default: %(default)s)"
    )
    parser.add_argument(
        "--new_tokens", type=int, default=128 if GPU else 8, help="tokens to generate (default: %(default)s)"
    )
    parser.add_argument(
        "--rollouts", type=int, default=64 if GPU else 8, help="rollouts in a PPO step (default: %(default)s)"
    )
    options = parser.parse_args()
    config = CODE_LLAMA["7B"] if GPU else SMALL
    products, copies = product_speed(8192 if GPU else 256), copy_speed(2**32 if GPU else 2**22)
    name = torch.cuda.get_device_name() if GPU else "no GPU: a toy model, whose figures mean nothing"
    print(f"{name}: products {products / 1e12:,.1f} TFLOP/s, copies {copies / 1e9:,.0f} GB/s", flush=True)
    if options.work == "all":
        everything(config, options, products, copies)
    elif options.work == "train":
        print(train(config, options, products))
    elif options.work == "decode":
        print(decode(config, options, copies))
    else:
        print(ppo(LARGE if GPU else SMALL, options))


if __name__ == "__main__":
    main()
