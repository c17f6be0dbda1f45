"""Trains on preferences (DPO, arXiv 2305.18290): makes the chosen of two continuations more likely than the rejected.

    python -m tl rejection --model runs/sft --pairs pairs.jsonl --out kept.jsonl      pairs from a model's episodes
    python -m tl dpo --model runs/sft --data pairs.jsonl --out runs/dpo
    torchrun --nproc_per_node 8 -m tl dpo --model …

A record has prompt, chosen, rejected and tools, with messages as in TRL; docs/preferences.md has the other layouts. The
reference is the initial model.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tl.llama.model import Llama
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import read_config
from tl.metrics import Question
from tl.rl.dpo import DPOConfig, reference_logp, resolve_config, train
from tl.rl.preferences import PairData, load_pairs
from tl.rl.update import Learner
from tl.templates import template_line
from tl.training import distributed
from tl.training.distributed import World
from tl.training.held_out import MAX_NEW_TOKENS, cached_tokens, load_held_out
from tl.training.lock import folder_lock
from tl.training.loop import STOPPED, run_script
from tl.training.memory import largest_micro_batch, step_section
from tl.training.optimizer import make_optimizer
from tl.training.run import (
    check_folder,
    check_max_length,
    close_run,
    open_run,
    read_checkpoint,
    settings_lines,
    show,
)


def main(argv: Sequence[str]) -> int:
    run_script(partial(start, argv))


def start(argv: Sequence[str]) -> int:
    """Trains and returns the exit status; raises the errors that `run_script` reports."""
    config = resolve_config(argv, __doc__)
    with distributed.process_group() as world, folder_lock(config, world):
        return run(config, world)


def run(config: DPOConfig, world: World) -> int:
    """Trains and saves the model. Returns the process's exit status."""
    source = Path(config.model)
    check_folder(config, world)
    show({"configuration": settings_lines(config)}, world)
    data, held_out = distributed.on_main(lambda: prepare(config, source), world)
    tokenizer = Tokenizer(source, config.template)
    show({"tokens": [template_line(tokenizer)], "data": data.lines()} | memory(config, data, held_out, world), world)
    if config.dry_run:
        return 0
    saved = open_run(config, data.fingerprint, world)
    model = distributed.load(Llama, source, world, config.checkpointing, seed=config.seed, lora=config.lora)
    reference = reference_logp(model, data.pairs, config.micro_tokens, world)  # adapters add nothing yet
    policy = Learner(model, make_optimizer(model, config.learning_rate, config), config.max_grad_norm)
    progress, stopped = train(policy, tokenizer, data, reference, held_out, config, world, saved)
    if stopped:
        return STOPPED
    close_run(config, [progress.line("pairs")], world)
    return 0


def prepare(config: DPOConfig, source: Path) -> tuple[PairData, list[Question]]:
    """Reads, checks and tokenises the pairs and the held-out requests."""
    model, tokenizer = read_checkpoint(source, config.template, config.dry_run)
    check_max_length(config, model)
    lengths = config.max_length, config.max_feedback_tokens
    return load_pairs(config.data, tokenizer, *lengths, config.on_bad_data), load_held_out(config, tokenizer, *lengths)


def memory(config: DPOConfig, data: PairData, held_out: Sequence[Question], world: World) -> dict[str, list[str]]:
    """A section of text with the memory that a step takes on each rank."""
    tokens = largest_micro_batch([*map(len, data.pairs)], config)
    cached = cached_tokens(held_out, MAX_NEW_TOKENS, world.size)
    return step_section(config, read_config(Path(config.model)), tokens, world, cached)
