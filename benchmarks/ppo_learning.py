"""Whether PPO learns: a fine-tuned model before and after, on the same held-out requests and episodes, over seeds.

    python -m benchmarks.ppo_learning --model runs/sft                   three seeds, one table
    python -m benchmarks.ppo_learning --model runs/sft --variants        and one seed each without KL, without critic

Every model is asked for calls to 600 held-out requests, once drawn at temperature 1 as in training, once greedy, and
works greedily through 100 held-out episodes. Differences are paired request by request, with 95 % intervals: normal for
the requests of a seed; over all seeds by a bootstrap that draws seeds and requests, or, for the rates of episodes, by
Student's t over the seeds, which leaves out that other episodes would have given other rates. KL is a run's highest.
What was measured is written to OUT/results.json; a model that is there already is not trained or measured again.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from tl.evaluation.suites.own import read_episodes
from tl.experiments.comparison import t_interval
from tl.irm import call_reward
from tl.llama import Tokenizer, load_model
from tl.metrics import score_episodes
from tl.rl.calls import sample_calls
from tl.rl.config import PPOConfig
from tl.rollout.episodes import outcome, play
from tl.rollout.policy import LlamaPolicy
from tl.synthesis import held_out
from tl.training.held_out import MAX_NEW_TOKENS, predict, score, tokenise
from tl.training.run import is_finished

REQUESTS, EPISODES = 600, 100
REWARDS = ("sampled reward", "greedy reward")
ITEMS_SEED = 1  # other requests than those that train_ppo.py evaluates itself on
VARIANTS = {"without KL": ["--kl_coef", "0"], "without critic": ["--no-critic", "--lam", "1"]}
REPO = Path(__file__).resolve().parent.parent


def measure(folder: Path) -> dict:
    """Rewards, and whether CF holds, of every held-out request; the rates of the held-out episodes in percent."""
    model, tokenizer = load_model(folder, dtype=torch.float32), Tokenizer(folder)
    questions = tokenise(held_out(REQUESTS, ITEMS_SEED), tokenizer)
    config = PPOConfig(max_new_tokens=MAX_NEW_TOKENS)
    texts = predict(model, tokenizer, questions)
    rewards = [call_reward(t, q.golden, q.tools, config.free_text).value for q, t in zip(questions, texts, strict=True)]
    drawn = sample_calls(model, tokenizer, questions, config, range(REQUESTS))
    sampled = [call.reward for experience in drawn for call in experience.calls]
    suite = read_episodes(ITEMS_SEED, EPISODES)
    policy = LlamaPolicy(model, tokenizer, 32, MAX_NEW_TOKENS)
    played = [outcome(suite.requests[i], rollout) for i, rollout in play(suite.requests, policy, 32)]
    scores = score_episodes(played)
    rates = {"DE+CE": scores.de + scores.ce, "real answers": scores.real, "calls": scores.n_calls}
    cf = [100.0 * one.cf for one in score(questions, texts)]
    return {"sampled reward": sampled, "greedy reward": rewards, "CF": cf, **rates}


def train(model: Path, out: Path, flags: list[str]) -> dict:
    """A run of train_ppo.py, and what its log says."""
    if not is_finished(out):
        command = [sys.executable, "train_ppo.py", "--model", str(model.resolve()), "--out", str(out.resolve())]
        subprocess.run([*command, "--resume", *flags], cwd=REPO, check=True)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "kl" in line]
    kl, seconds = max(line["kl"] for line in steps), sum(line["seconds"] for line in steps)
    return {"KL": kl, "seconds": seconds, "steps": len(steps)}


def paired(before: list[float], after: list[float]) -> str:
    """Mean difference with its 95 % interval."""
    differences = [b - a for a, b in zip(before, after, strict=True)]
    mean, half = statistics.fmean(differences), 1.96 * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


def row(name: str, found: dict, before: dict) -> str:
    cells = [name]
    for key in REWARDS:
        cells += [f"{statistics.fmean(found[key]):.3f}", paired(before[key], found[key])]
    cells += [f"{statistics.fmean(found['CF']):.1f}", f"{found['DE+CE']:.1f}", f"{found['real answers']:.1f}"]
    cells += [f"{found['KL']:.2f}", f"{found['seconds']:.0f}"] if "KL" in found else ["", ""]
    return f"| {' | '.join(cells)} |"


def over_seeds(before: dict, runs: list[dict]) -> list[str]:
    """The mean difference of each figure over the seeds, and its interval where there are two or more."""
    lines = []
    for key in (*REWARDS, "CF"):
        differences = np.array([run[key] for run in runs]) - np.array(before[key])  # [seeds, requests]
        low, high = bootstrap(differences)
        text = f"{differences.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(f"{key}: {text} over {len(runs)} seeds and the requests")
    for key in ("DE+CE", "real answers"):
        rates = [run[key] - before[key] for run in runs]
        interval = t_interval(rates)
        text = f" [{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else ""
        lines.append(f"{key}: {statistics.fmean(rates):+.3f}{text} over {len(runs)} seeds")
    return lines


def bootstrap(differences: np.ndarray, draws: int = 10_000) -> tuple[float, float]:
    """95 % interval of the mean of [seeds, requests], had both been others."""
    rng, (seeds, requests) = np.random.default_rng(0), differences.shape
    means = []
    for _ in range(draws):
        drawn = differences[rng.integers(seeds, size=seeds)].mean(axis=0)
        means.append(drawn[rng.integers(requests, size=requests)].mean())
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a run of train_sft.py")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/ppo_learning"), help="output folder (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds to train with (default: 0 1 2)")
    parser.add_argument("--variants", action="store_true", help="also train without KL and without a critic")
    arguments, flags = parser.parse_known_args()  # what is left goes to train_ppo.py
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    runs = {f"seed {seed}": ["--seed", str(seed)] for seed in arguments.seeds}
    runs |= {name: [*more, "--seed", "0"] for name, more in VARIANTS.items()} if arguments.variants else {}
    if "before" not in results:
        results["before"] = measure(arguments.model)
    for name, more in runs.items():
        if name not in results:
            folder = arguments.out / name.replace(" ", "_")
            trained = train(arguments.model, folder, [*flags, *more])
            results[name] = measure(folder) | trained
        file.write_text(json.dumps(results) + "\n")
    columns = ["", *(c for key in REWARDS for c in (key, "paired")), "CF", "DE+CE", "real answers", "KL", "seconds"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for name in ["before", *runs]:
        print(row(name, results[name], results["before"]))
    print("\n".join(over_seeds(results["before"], [results[f"seed {seed}"] for seed in arguments.seeds])))


if __name__ == "__main__":
    main()
