"""A step of supervised fine-tuning (forward, backward, clipping, AdamW) beside transformers' model and fused AdamW.

    python -m benchmarks.sft                       # installs transformers into benchmarks/.venv
    python -m benchmarks.sft --lora_rank 16        # and PEFT: adapters on all layers of the blocks on both sides

4 texts of 512 tokens with the loss on the last quarter of each, in float32 on a CPU; 56 M parameters, the same on both
sides. Ours computes cheap activations again (`--checkpointing selective`). The peer is given labels of -100 where there
is no loss, as its users do, and makes logits for every position. Peak memory is that of a process of its own, over what
it has in use before the model is read.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable

import torch

from benchmarks.models import MEDIUM, random_checkpoint, random_texts
from benchmarks.side_by_side import compare, descend, with_peers
from tl.llama import Llama
from tl.llama.lora import LoRA
from tl.prompt import NO_TARGET, Example, Turn
from tl.training import distributed
from tl.training.optimizer import make_optimizer
from train_sft import SFTConfig, train_step

BATCH, LENGTH, LOSS = 4, 512, 128
CONFIG = SFTConfig(learning_rate=1e-5, micro_tokens=BATCH * LENGTH, checkpointing="selective")

Step = Callable[[], float]  # does a step and returns the loss before it


def our_step(folder: str, texts: list[list[int]], world: distributed.World, rank: int) -> Step:
    """The product's own step, `train_sft.train_step`, on a model loaded as `train_sft.py` loads it."""
    lora = LoRA(rank, 2.0 * rank) if rank else None
    model = distributed.load(Llama, folder, world, CONFIG.checkpointing, lora=lora)
    optimizer, examples = make_optimizer(model, CONFIG.learning_rate, CONFIG), [example(text) for text in texts]
    return lambda: train_step(model, optimizer, examples, CONFIG, world)["loss"]


def example(text: list[int]) -> Example:
    """All but the last token as input, the last ``LOSS`` tokens as one turn to be trained on."""
    ids = torch.tensor(text)
    targets, weights = torch.full((LENGTH,), NO_TARGET), torch.zeros(LENGTH)
    targets[-LOSS - 1 : -1], weights[-LOSS - 1 : -1] = ids[-LOSS:], 1.0
    turn = Turn(LENGTH - LOSS, LENGTH, True, None, (), True)
    return Example("random", ids, targets, weights, torch.zeros_like(ids), (turn,), 0)


def their_step(folder: str, texts: list[list[int]], world: distributed.World, rank: int) -> Step:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    model.config.use_cache = False
    if rank:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, CONFIG.learning_rate, (0.9, CONFIG.beta2), fused=True)
    ids = torch.tensor(texts)
    labels = ids.clone()
    labels[:, :-LOSS] = NO_TARGET

    def step() -> float:
        loss = model(input_ids=ids, labels=labels).loss
        return descend(loss, model, optimizer, CONFIG.max_grad_norm)

    return step


SIDES = {"ours": our_step, "theirs": their_step}


def peak_bytes(side: str, folder: str, rank: int) -> int:
    """Peak memory of three steps of this process, in bytes, over what it has in use once all is imported."""
    if side == "theirs":
        import transformers.models.llama.modeling_llama  # noqa: F401

        if rank:
            import peft  # noqa: F401

    def peak() -> int:
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = peak()
    with distributed.process_group() as world:
        step = SIDES[side](folder, random_texts(MEDIUM, BATCH, LENGTH, LENGTH), world, rank)
        for _ in range(3):
            step()
    return peak() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="number of measurements (default: %(default)s)")
    parser.add_argument(
        "--peak", nargs=2, metavar=("SIDE", "CHECKPOINT"), help="only print the peak memory of one side"
    )
    parser.add_argument(
        "--lora_rank", type=int, default=0, help="train only LoRA adapters of this rank; 0: all weights"
    )
    options = parser.parse_args()
    rank = options.lora_rank
    with_peers("benchmarks.sft", transformers="5.23.0", **({"peft": "0.21.2"} if rank else {}))
    if options.peak:
        return print(peak_bytes(*options.peak, rank))
    kind = f"LoRA of rank {rank}" if rank else "all weights"
    print(
        f"SFT step, 56 M parameters, {kind}, {BATCH} x {LENGTH} tokens ({torch.get_num_threads()} threads)", flush=True
    )
    with random_checkpoint(MEDIUM) as folder:
        command = [sys.executable, "-m", "benchmarks.sft", "--lora_rank", str(rank), "--peak"]
        ours, theirs = (int(subprocess.check_output([*command, side, folder])) for side in SIDES)
        print(f"  peak memory: ours {ours / 2**30:.2f} GiB, other {theirs / 2**30:.2f} GiB, ratio {ours / theirs:.2f}")
        texts = random_texts(MEDIUM, BATCH, LENGTH, LENGTH)
        with distributed.process_group() as world:
            steps = [make(folder, texts, world, rank) for make in SIDES.values()]
            ours, theirs = (step() for step in steps)
            print(f"  loss of the first step: ours {ours:.6f}, other {theirs:.6f}", flush=True)
            print(f"  {compare(*steps, options.rounds, uncounted=0)}")


if __name__ == "__main__":
    main()
