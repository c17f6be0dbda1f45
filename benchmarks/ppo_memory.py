"""Peak memory of ten steps of PPO: three models beside three that share one base (LoRA of rank 16).

    python -m benchmarks.ppo_memory

56 M parameters with random weights, in float32 on a CPU; two rollouts of 60 prompt tokens and 4 sampled ones a step,
which are worth nothing. Each side is a process of its own; peaks are over what it has in use once all is imported.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import train_ppo
from benchmarks.models import MEDIUM, NEVER, random_checkpoint, random_texts
from tl.llama import Llama
from tl.llama.sampling import Sampler
from tl.metrics import Question
from tl.rl.calls import Experience, ScoredCall
from tl.rl.config import PPOConfig
from tl.training import distributed
from tl.training.run import Progress

STEPS, ROLLOUTS, PROMPT, NEW = 10, 2, 60, 4


def sample(actor: Llama, _: object, prompts: list[Question], config: PPOConfig, seeds: list[int]) -> list[Experience]:
    """In place of ``sample_calls``: texts without words."""
    ids = [list(prompt.prompt_ids) for prompt in prompts]
    completions = Sampler(actor, len(ids), eos_id=NEVER).complete(ids, NEW, 1.0, seeds=seeds, logprobs=True)
    experiences = [Experience(prompt.id, list(prompt.prompt_ids)) for prompt in prompts]
    for experience, completion in zip(experiences, completions, strict=True):
        experience.add(completion, ScoredCall("", 0.0, None))
    return experiences


def peak(folder: str, rank: int) -> tuple[float, float]:
    """(GiB, processor seconds of the steps) of this process."""
    train_ppo.sample_calls = sample  # type: ignore[assignment]
    sizes = {"batch_size": ROLLOUTS, "minibatch_size": ROLLOUTS, "max_new_tokens": NEW, "micro_tokens": 256}
    config = PPOConfig(**sizes, checkpointing="none", lora_rank=rank, show_every=0)
    texts = random_texts(MEDIUM, ROLLOUTS, PROMPT, PROMPT)
    prompts = [Question(str(n), (), (), (), prompt_ids=ids) for n, ids in enumerate(texts)]
    before = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[1])  # in use now
    with distributed.process_group() as world:
        models, progress = train_ppo.Models.load(Path(folder), config, world), Progress()
        start = time.process_time()
        for _ in range(STEPS):
            train_ppo.ppo_step(models, None, None, prompts, progress, config, world)
        seconds = time.process_time() - start
    return (1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**30, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peak", nargs=2, metavar=("CHECKPOINT", "RANK"), help="only print the peak memory of one side"
    )
    options = parser.parse_args()
    if options.peak:
        folder, rank = options.peak
        return print(*peak(folder, int(rank)))
    with random_checkpoint(MEDIUM) as folder:
        for name, rank in (("three models", 0), ("one base, LoRA of rank 16", 16)):
            command = [sys.executable, "-m", "benchmarks.ppo_memory", "--peak", folder, str(rank)]
            gigabytes, seconds = map(float, subprocess.check_output(command, text=True).split())
            print(f"{name:<28}{gigabytes:.2f} GiB, {STEPS} steps in {seconds:.1f} processor seconds", flush=True)


if __name__ == "__main__":
    main()
