"""Soak: trainings killed at random instants, a rank that is killed under torchrun, and long runs watched for growth.

    python -m benchmarks.soak                      all of it; or one of these
    python -m benchmarks.soak kills --times 30     each training and an experiment; resumed = uninterrupted, to the bit
    python -m benchmarks.soak ranks                torchrun starts two ranks again after one of them was killed
    python -m benchmarks.soak long                 2,000 steps of SFT and 300 of PPO: memory, descriptors, threads
    python -m benchmarks.soak suite                what tests/faults/ tries, and how often

Toy models, one job at a time. Printed are the tables of docs/faults.md.
"""

import argparse
import hashlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

import train_ppo
import train_sft
from tl.assets import TINY
from tl.cli import dpo, prm
from tl.datasets import read
from tl.experiments import plan
from tl.experiments.ablation import ABLATION, VARIANTS
from tl.llama import Llama, ModelConfig, Tokenizer, save_model
from tl.llama.tokenizer import train_vocabulary
from tl.rl.returns import Returns
from tl.synthesis import prompts, synthesize
from tl.training.run import is_finished

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "tests"))
from ranks import CONTEXT, exit_code  # noqa: E402
from runs import metrics, record  # noqa: E402

SHARE = 0.1, 0.5  # of the seconds of an uninterrupted run, after which a run is killed
OF_THE_CLOCK = re.compile("seconds|_share$|tokens_per_second")  # what a log says of its speed


@dataclass(frozen=True)
class Job:
    """Something that can be killed and gone on with: `main` takes a command line."""

    main: Callable[[list[str]], object]
    flags: str

    def run(self, out: Path) -> None:
        """Begin, or go on where it was; what is printed lies beside `out`."""
        with out.with_suffix(".log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        if not is_finished(out):  # else it was killed after its last step
            self.main([*self.flags.split(), "--out", str(out), "--resume"])


def toy(folder: Path) -> dict[str, Job]:
    """A random model of two small blocks and a few records in the folder; the jobs on them."""
    vocabulary, line = folder / "tokenizer.model", 'System: User: Assistant: Output: get_papers(topic="cats", by=3)'
    train_vocabulary([line] * 20 + [" ".join(map(chr, range(33, 127)))], vocabulary, 400)
    torch.manual_seed(0)
    shape = ModelConfig(Tokenizer(vocabulary).vocab_size, 16, 24, 2, 2, 2, 8, 4096, tie_word_embeddings=True)
    save_model(Llama(shape), folder / "model", vocabulary)
    records = [record(number) for number in range(12)]
    (folder / "data.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    with (folder / "pairs.jsonl").open("w") as file:
        for one in records:
            asked, chosen, *_, rejected = one["messages"]
            pair = {"tools": one["tools"], "prompt": [asked], "chosen": [chosen], "rejected": [rejected]}
            file.write(json.dumps(pair) + "\n")
    with (folder / "steps.jsonl").open("w") as file:
        for episode in read([str(folder / "data.jsonl")])[0]:
            calls = len(episode.calls())
            file.write(Returns(episode, (*[1] * calls, 4), (4,) * (calls + 1)).to_line({}))
    general = f"--model {folder / 'model'} --max_length 4000 --save_every 1 --epochs 1000"
    data = f"{general} --data {folder / 'data.jsonl'}"
    ppo = "--max_new_tokens 6 --batch_size 4 --minibatch_size 4 --gamma 0.9 --actor_lr 1e-3 --critic_lr 1e-3"
    tasks = f"--tools {REPO}/examples/inventory.py --tasks {REPO}/examples/inventory_test.jsonl --eval_every 0"
    return {
        "SFT": Job(train_sft.main, f"{data} --max_steps 24 --learning_rate 1e-2"),
        "PPO, step": Job(train_ppo.main, f"{data} {ppo} --samples_per_prompt 2 --max_steps 8"),
        "PPO, episode": Job(train_ppo.main, f"{general} {ppo} --rollout episode {tasks} --max_steps 8"),
        "DPO": Job(dpo.start, f"{general} --data {folder / 'pairs.jsonl'} --batch_size 4 --max_steps 24"),
        "PRM": Job(prm.start, f"{general} --data {folder / 'steps.jsonl'} --held_out 0.25 --max_steps 24"),
        "experiments": Job(experiment, ""),
    }


def experiment(flags: list[str]) -> None:
    """The first and the last variant of the ablation with a model of one block, three steps a training."""
    out = Path(flags[flags.index("--out") + 1])
    base = out.parent / "base"
    if not base.exists():
        torch.manual_seed(0)
        save_model(Llama(ModelConfig(Tokenizer(TINY).vocab_size, 16, 24, 1, 2, 2, 8, 9216)), base, Tokenizer(TINY).path)
    plan.synthesize, plan.prompts = cache(partial(synthesize, 60)), cache(partial(prompts, 8))
    small = plan.Budget(0.01, requests=1, episodes=1, max_steps=3)
    two = replace(ABLATION, variants=(VARIANTS[0], VARIANTS[-1]))
    [_] = plan.carry_out(two, plan.Plan(out, small, base), [0])


def result(out: Path) -> tuple:
    """All that a job has made: weights, and logs without what they say of the speed."""
    weights = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(out.rglob("*.safetensors"))]
    logs = [metrics(file.parent) for file in sorted(out.rglob("metrics.jsonl"))]
    return weights, [[{k: v for k, v in line.items() if not OF_THE_CLOCK.search(k)} for line in log] for log in logs]


def kill_at_random(job: Job, folder: Path, times: int, seed: int) -> dict[str, int]:
    """Kills the job `times` times, and a new one of the same kind whenever one comes to its end before that. Counts
    kills, jobs, and the jobs whose result was another than that of one that nothing happened to."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    started, instants = time.perf_counter(), random.Random(seed)
    finish(job, folder / "whole")
    seconds, expected = time.perf_counter() - started, result(folder / "whole")
    counts = Counter(kills=0, jobs=0, different=0)
    while counts["kills"] < times:
        out = folder / f"job-{counts['jobs']}"
        while counts["kills"] < times:
            status = exit_code(job.run, out, seconds=seconds * instants.uniform(*SHARE))
            if status != -signal.SIGKILL:
                break
            counts["kills"] += 1
        finish(job, out)
        counts["jobs"] += 1
        counts["different"] += result(out) != expected
    return counts


def finish(job: Job, out: Path) -> None:
    if status := exit_code(job.run, out):
        raise failure(out, status)


def failure(out: Path, status: int | None) -> SystemExit:
    return SystemExit(f"{out}: status {status}\n{out.with_suffix('.log').read_text()[-3000:]}")


# ---- ranks


def restart(flags: str, folder: Path) -> bool:
    """Whether two ranks end as two that nothing happened to if one is killed after the third state and torchrun starts
    both again."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    outs = [folder / "whole", folder / "killed"]
    for out in outs:
        command = [*launcher, "--max-restarts", "1", "train_sft.py", *flags.split(), "--out", str(out), "--resume"]
        with out.with_suffix(".log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            if out.name == "killed":
                while process.poll() is None and not (out / "states" / "step-00000003").exists():
                    time.sleep(0.05)
                os.kill(max(children(process.pid)), signal.SIGKILL)
        if process.returncode:
            raise failure(out, process.returncode)
    return result(outs[0]) == result(outs[1])


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# ---- long runs


def watch(job: Job, out: Path, every: int) -> None:
    """Runs the job and samples its process every `every` steps: MiB of memory, open descriptors, threads and child
    processes. The samples are written to a file next to `out`."""
    program: Any = sys.modules[job.main.__module__]
    original, seen, steps = program.train_step, [], itertools.count()

    def train_step(*arguments: Any) -> Any:
        if next(steps) % every == 0:
            memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
            counts = [len(os.listdir(f"/proc/self/{kind}")) for kind in ("fd", "task")]
            seen.append([memory, *counts, len(children(os.getpid()))])
        return original(*arguments)

    program.train_step = train_step
    job.run(out)
    out.with_suffix(".seen").write_text(json.dumps(seen))


def watched(job: Job, steps: int, folder: Path) -> Iterator[list]:
    """What a long run held at a tenth, the half and the end of its steps."""
    every, out = max(1, steps // 20), folder / f"long-{steps}"
    long = replace(job, flags=f"{job.flags} --max_steps {steps} --save_every {every}")
    if status := exit_code(watch, long, out, every):
        raise failure(out, status)
    seen = json.loads(out.with_suffix(".seen").read_text())
    for place in (len(seen) // 10, len(seen) // 2, len(seen) - 1):
        yield [place * every, *seen[place]]


# ---- the suite


def tried(report: Path) -> list[tuple[str, str, int, str]]:
    """Of pytest's report: file, what a test says, how often with other values, and what came of it."""
    rows: Counter[tuple[str, str, str]] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        words = case.get("name", "").partition("[")[0].removeprefix("test_").replace("_", " ")
        ends = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        rows[case.get("classname", "").rpartition(".")[2].removeprefix("test_"), words, (ends or ["held"])[0]] += 1
    return [(file, words, count, end) for (file, words, end), count in rows.items()]


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def head(*names: str) -> None:
    row(*names)
    row(*["---"] * len(names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["all", "kills", "ranks", "long", "suite"], default="all")
    parser.add_argument("--times", type=int, default=30, help="kills of each job")
    parser.add_argument("--jobs", nargs="+", help="of kills: these alone")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--steps", type=int, default=2000, help="of the long run of SFT")
    parser.add_argument("--ppo_steps", type=int, default=300, help="of those of PPO")
    options = parser.parse_args()
    CONTEXT.set_forkserver_preload(["train_ppo", "tl.cli.prm", "tl.cli.dpo", "tl.experiments.plan"])
    with tempfile.TemporaryDirectory(prefix="tl-soak-") as name:
        folder = Path(name)
        jobs = toy(folder)
        if options.what in ("kills", "all"):
            head("training", "kills", "runs", "with another result", "s")
            for job in options.jobs or jobs:
                started = time.perf_counter()
                counts = kill_at_random(jobs[job], folder, options.times, options.seed)
                row(job, *counts.values(), round(time.perf_counter() - started))
        if options.what in ("ranks", "all"):
            same = restart(jobs["SFT"].flags, folder)
            print(f"two ranks, one killed, started again by torchrun: {'the same' if same else 'another'} result")
        if options.what in ("long", "all"):
            head("run", "after steps", "MiB", "descriptors", "threads", "processes")
            for job in ("SFT", "PPO, episode"):
                for seen in watched(jobs[job], options.steps if job == "SFT" else options.ppo_steps, folder):
                    row(job, *seen)
        if options.what in ("suite", "all"):
            report = folder / "report.xml"
            subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/faults", f"--junitxml={report}"], cwd=REPO)
            head("file", "what is tried", "times", "what happened")
            for found in tried(report):
                row(*found)


if __name__ == "__main__":
    main()
