"""Ways on from a model whose fine-tuning was stopped early, each with as much sampled: what helps how much?

More fine-tuning, rejection sampling, DPO, PPO by four kinds of advantages and with two rewards of whole episodes, and
best of 8 without any training but that of a process reward model. All start from the same checkpoint of a seed, see the
same tasks of the tool library, and draw 8 samples of each. A way samples about ``Budget.calls`` calls, an episode
counted as CALLS_OF_AN_EPISODE of them; the table has the tokens that were really drawn.
"""

import re
import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tl.experiments.ablation import Experiment, Variant
from tl.experiments.comparison import Column, episode_columns, single_turn_columns
from tl.experiments.parts import Part
from tl.experiments.plan import Budget, Plan
from tl.synthesis import held_out

SAMPLES = 8  # of a prompt or task, and answers that best of 8 chooses from
ROUNDS = 2  # of rejection
CALLS_OF_AN_EPISODE = 3
CALLS_OF_A_PRM_TASK = 24  # an episode of three calls, and four ways on from each: 3 + 4 · (3 + 2 + 1), less what fails
STEP = 32  # calls, or episodes' worth of calls, that PPO learns from at a time
RATE = ("--learning_rate", "3e-4")  # of more SFT: less than at first, where it falls to 0
# A step has few prompts: with the preset, 1e-4 and two updates a pass, the policy moves further and learns less.
PPO_UPDATES = ("--batch_size", str(STEP), "--minibatch_size", str(STEP), "--actor_lr", "3e-5")


@dataclass(frozen=True)
class Way(Variant):
    """A kind of part that goes on from the checkpoint, with its flags; and flags of the evaluation."""

    mae: bool = True
    pkt: bool = True
    kind: str = ""
    flags: tuple[str, ...] = ()
    choice: tuple[str, ...] = ()


def best_of(select: str, kind: str = "") -> Way:
    return Way(f"best of {SAMPLES}, {select}", kind=kind, choice=("--best_of", str(SAMPLES), "--select", select))


def ppo(name: str, *flags: str) -> Way:
    return Way(f"PPO, {name}", kind="ppo", flags=flags)


START = Way("start")
CRAFT = Experiment(
    "craft",
    "What helps a model that was fine-tuned for a short time, at an equal number of sampled calls",
    (
        START,
        Way("more SFT", kind="sft"),
        Way(f"rejection, {ROUNDS} rounds", kind="rejection"),
        Way("DPO", kind="dpo"),
        *(ppo(advantage, "--advantage", advantage) for advantage in ("gae", "turn", "group", "rloo")),
        ppo("episodes, outcome", "--rollout", "episode", "--reward", "outcome"),
        ppo("episodes, step rewards", "--rollout", "episode", "--reward", "step"),
        best_of("vote"),
        best_of("prm", kind="prm"),
    ),
    ("held-out", "episodes"),
    (
        *single_turn_columns("Held-out requests", "held-out"),
        Column("Held-out requests", "100 R", "held-out", "reward", scoring="irm"),
        *episode_columns("Episodes", "episodes"),
    ),
    notes=(
        "start: the default fine-tuning, stopped early. more SFT: on the same data, a step for four sampled calls",
        "PPO by name of the advantage: single calls, scored by IRM; episodes: whole tasks, by gae",
        "100 R: IRM's mean reward of the greedy call, times 100",
        "costs: what a way adds to the start. Tokens that the evaluation draws, for best of 8 eight times as many, "
        "are not counted as sampled",
    ),
    leaves_out=True,  # where nothing is kept to train on, or no pair is found
)
FULL_CRAFT = Budget(share=1 / 3, calls=2048)
QUICK_CRAFT = Budget(share=1 / 3, requests=100, episodes=50, calls=256)


class CraftPlan(Plan):
    """The parts of each Way: the start, and what goes on from it."""

    def trained(self, variant: Variant, seed: int) -> list[Part]:
        assert isinstance(variant, Way)
        start = self.sft(START, seed)
        make = {"sft": self._sft, "rejection": self._rejection, "dpo": self._dpo, "ppo": self._ppo, "prm": self._prm}
        return [start, *(make[variant.kind](variant, start, seed) if variant.kind else [])]

    def evaluation(self, experiment: Experiment, variant: Variant, seed: int) -> Part:
        assert isinstance(variant, Way)
        start, *others = self.trained(variant, seed)
        if not variant.choice:
            return super().evaluation(experiment, variant, seed)
        return self._evaluation(experiment, start, seed, variant.choice, prm=others[-1] if others else None)

    def costs(self, experiment: Experiment, variant: Variant, seed: int) -> dict[str, float]:
        """What a way adds to the start, and its evaluation; the start's own costs are those of its fine-tuning."""
        start, *others = self.trained(variant, seed)
        return {
            "sampled tokens": sum(part.sampled() for part in others),
            "CPU seconds of training": sum(part.cpu_seconds() for part in ([start] if variant == START else others)),
            "of evaluation": self.evaluation(experiment, variant, seed).cpu_seconds(),
        }

    def _sft(self, way: Way, start: Part, seed: int) -> list[Part]:
        data = self.trajectories(seed, way.errors)
        flags = ["--data", str(data), "--seed", str(seed + 1), "--max_steps", str(max(1, self.budget.calls // 4))]
        return [self._further(way, start, seed, [*flags, *RATE], data=data.name)]

    def _rejection(self, way: Way, start: Part, seed: int) -> list[Part]:
        tasks = self._tasks(CALLS_OF_AN_EPISODE * SAMPLES * ROUNDS)
        train = shlex.join(["--learning_rate", "1e-4", "--epochs", "1", "--eval_every", "0"])
        flags = ["--rounds", str(ROUNDS), "--size", tasks, "--seed", str(seed), "--train", train]
        return [self._sampling("rounds", start, seed, flags, f"rounds/round-{ROUNDS}/model")]

    def _dpo(self, way: Way, start: Part, seed: int) -> list[Part]:
        flags = ["--size", self._tasks(CALLS_OF_AN_EPISODE * SAMPLES), "--per_task", "4", "--seed", str(seed)]
        sampling = self._sampling("pairs", start, seed, flags, "kept.jsonl")
        pairs = sampling.folder / "pairs.jsonl"
        sampling = replace(sampling, flags=[*sampling.flags, "--pairs", str(pairs)])
        flags = ["--data", str(pairs), "--seed", str(seed), "--batch_size", "8", "--epochs", "1"]
        return [sampling, self._further(way, start, seed, flags, pairs=sampling.digest)]

    def _ppo(self, way: Way, start: Part, seed: int) -> list[Part]:
        each, flags, source = 1, ["--data", str(self.prompts(seed))], {"data": self.prompts(seed).name}
        if "episode" in way.flags:
            each, flags, source = CALLS_OF_AN_EPISODE, ["--eval_data", str(self.one_request)], {}
        steps = max(1, self.budget.calls // each // STEP)
        flags += ["--samples_per_prompt", str(SAMPLES), *PPO_UPDATES, "--seed", str(seed), "--max_steps", str(steps)]
        return [self._further(way, start, seed, [*flags, *way.flags], **source)]

    @cached_property
    def one_request(self) -> Path:
        """To be evaluated on during training, where it would be 400."""
        return self._written("held-out-1", [question.solved() for question in held_out(1)])

    def _prm(self, way: Way, start: Part, seed: int) -> list[Part]:
        flags = ["--size", self._tasks(CALLS_OF_A_PRM_TASK, least=2), "--seed", str(seed)]
        return [self._further(way, start, seed, flags)]

    def _tasks(self, calls: int, least: int = 1) -> str:
        """How many tasks take that many calls each, within the budget."""
        return str(max(least, self.budget.calls // calls))

    def _sampling(self, name: str, start: Part, seed: int, flags: list[str], place: str) -> Part:
        name, settings = f"{name}-seed{seed}", {"sft": start.digest, "flags": flags}
        return Part("rejection", name, ["--model", str(start.model), *flags], settings, self.out / "parts", place)

    def _further(self, way: Way, start: Part, seed: int, flags: list[str], **source: str) -> Part:
        name = "-".join([*re.findall(r"\w+", way.name.lower().removeprefix(way.kind)), f"seed{seed}"])
        return self._run(way.kind, name, start.model, flags, {"sft": start.digest, **source})
