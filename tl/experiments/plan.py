"""The plan of an experiment: which parts each variant and seed takes (fine-tuning, PPO if the variant has IRM,
evaluation), and the loop that runs them. `tl.experiments.craft` has a plan of its own.

Data, order, prompts and evaluated items depend on the seed alone, so that variants are compared seed by seed.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

from tqdm import tqdm

from tl.assets import TINY
from tl.datasets import read
from tl.datasets.questions import read_questions
from tl.experiments.ablation import Experiment, Variant
from tl.experiments.parts import Part, PartError, digest, digest_of_files, duration, seconds_left
from tl.files import write_whole
from tl.rl.config import resolve_config as resolve_ppo
from tl.rl.dpo import resolve_config as resolve_dpo
from tl.rl.prm import resolve_config as resolve_prm
from tl.synthesis import MIX, prompts, synthesize
from tl.training.config import RunConfig, TrainingConfig
from tl.training.config import resolve_config as resolve_sft
from tl.trajectory import Trajectory

PLACES = {"model", "data", "eval_data", *RunConfig.__dataclass_fields__}  # settings that do not change the result
RESOLVE: dict[str, Callable[[list[str]], TrainingConfig]] = {
    "sft": resolve_sft,
    "ppo": resolve_ppo,
    "dpo": partial(resolve_dpo, description=""),
    "prm": partial(resolve_prm, description=""),
}
BAR = "{desc}: {n_fmt}/{total_fmt} parts |{bar}| {elapsed}{postfix}"  # tqdm's own estimate would count all parts alike


@dataclass(frozen=True)
class Budget:
    """How much is trained, as a share of the default epochs, and how many items of each suite are evaluated."""

    share: float = 1.0
    requests: int = 400
    episodes: int = 100
    max_steps: int | None = None  # of each training, for trials
    calls: int = 0  # sampled by each way of `tl.experiments.craft`


FULL, QUICK = Budget(), Budget(share=0.2, requests=100, episodes=50)


class Plan:
    """The parts, in the folder ``out``, of models trained from ``base``. They are trained on the trajectory files
    ``data``, or on data generated for each seed, and evaluated with the official files in the folder ``official``."""

    def __init__(
        self, out: Path, budget: Budget, base: Path = TINY, data: Sequence[str] = (), official: Path | None = None
    ) -> None:
        self.out, self.budget, self.base = out, budget, base
        self.data, self.official = data, official
        self.base_digest = digest_of_files(base)
        self.official_digest = digest_of_files(official, "**/*") if official else ""
        self.trajectories, self.prompts = cache(self._trajectories), cache(self._prompts)
        self.settings = cache(self._settings)

    def sft(self, variant: Variant, seed: int) -> Part:
        parts = [part.lower() for part in variant.parts if part != "IRM"]
        flags = ["--mae" if variant.mae else "--no-mae", "--pkt" if variant.pkt else "--no-pkt"]
        flags += ["--w_max", f"{variant.w_max:g}", "--seed", str(seed)]
        data, source = self.trajectories(seed, variant.errors), {"base": self.base_digest}
        return self._training("sft", f"{'-'.join(parts) or 'none'}-seed{seed}", self.base, data, flags, source)

    def ppo(self, variant: Variant, seed: int) -> Part:
        sft, name = self.sft(variant, seed), f"{'-'.join(variant.parts).lower()}-seed{seed}"
        flags, source = ["--seed", str(seed)], {"sft": sft.digest}
        return self._training("ppo", name, sft.model, self.prompts(seed), flags, source)

    def trained(self, variant: Variant, seed: int) -> list[Part]:
        """The trainings that make the model: fine-tuning, and PPO if the variant has IRM."""
        return [self.sft(variant, seed), *([self.ppo(variant, seed)] if variant.irm else [])]

    def evaluation(self, experiment: Experiment, variant: Variant, seed: int) -> Part:
        return self._evaluation(experiment, self.trained(variant, seed)[-1], seed)

    def _evaluation(
        self, experiment: Experiment, trained: Part, seed: int, more: Sequence[str] = (), prm: Part | None = None
    ) -> Part:
        budget = self.budget
        flags = ["--suite", *experiment.suites, "--seed", str(seed), *more]
        flags += ["--limit", str(budget.requests), "--episodes", str(budget.episodes)]
        settings, places = {"model": trained.digest, "flags": flags}, ["--model", str(trained.model)]
        if prm:
            settings["prm"] = prm.digest
            places += ["--prm", str(prm.model)]
        if self.official:
            settings["official"] = self.official_digest
            places += ["--data", str(self.official.resolve())]
        return Part("evaluation", f"{experiment.kind}-{trained.name}", [*places, *flags], settings, self.out / "parts")

    def costs(self, experiment: Experiment, variant: Variant, seed: int) -> dict[str, float]:
        """What only this variant took, not what it shares with others: head of a table column -> amount."""
        return {}

    def parts_of(self, experiment: Experiment, variant: Variant, seed: int) -> list[Part]:
        """The parts of a variant, each after the parts that it needs."""
        return [*self.trained(variant, seed), self.evaluation(experiment, variant, seed)]

    def parts(self, experiment: Experiment, seed: int) -> list[Part]:
        """All parts of a seed, each once."""
        made = [part for variant in experiment.everything for part in self.parts_of(experiment, variant, seed)]
        return list({part.digest: part for part in made}.values())

    def error(self, experiment: Experiment, variant: Variant, seed: int) -> str | None:
        """Why a variant was left out (see Experiment.leaves_out); None if it was not."""
        return next(filter(None, (part.error() for part in self.parts_of(experiment, variant, seed))), None)

    def _training(self, kind: str, name: str, model: Path, data: Path, flags: list[str], source: dict) -> Part:
        flags = [*flags, "--epochs", f"{RESOLVE[kind](['--model', str(self.base)]).epochs * self.budget.share:g}"]
        flags += [] if self.budget.max_steps is None else ["--max_steps", str(self.budget.max_steps)]
        return self._run(kind, name, model, ["--data", str(data), *flags], {**source, "data": data.name})

    def _run(self, kind: str, name: str, model: Path, flags: list[str], source: dict) -> Part:
        """A training that starts from ``model``; ``source`` holds the digests of that model and of the data."""
        settings = {**source, "settings": self.settings(kind, *flags)}
        return Part(kind, name, ["--model", str(model), *flags], settings, self.out / "parts")

    def _settings(self, kind: str, *flags: str) -> dict:
        """The settings that a training's result depends on."""
        base = ["--model", str(self.base)]  # the real model may not exist yet; it has the same shape
        resolved = asdict(RESOLVE[kind]([*base, *flags]))
        return {key: value for key, value in resolved.items() if key not in PLACES}

    def _trajectories(self, seed: int, errors: float) -> Path:
        if self.data:
            return self._written("trajectories-own", read(self.data)[0])
        plain, usual, edge = MIX
        made = synthesize(seed=seed, mix=(plain + usual - errors, errors, edge))
        return self._written(f"trajectories-seed{seed}-errors{errors:g}", made)

    def _prompts(self, seed: int) -> Path:
        made = read_questions(self.data) if self.data else prompts(seed=seed)
        name = "prompts-own" if self.data else f"prompts-seed{seed}"
        return self._written(name, [question.solved() for question in made])

    def _written(self, name: str, trajectories: Sequence[Trajectory]) -> Path:
        lines = [trajectory.to_line() for trajectory in trajectories]
        path = self.out / "data" / f"{name}-{digest(lines)}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, "".join(lines))
        return path


def carry_out(experiment: Experiment, plan: Plan, seeds: Sequence[int]) -> Iterator[Sequence[int]]:
    """Runs all parts that are not finished, seed by seed; after each seed, yields the seeds that are complete.

    Raises tl.experiments.parts.Stopped if a signal stopped a part, and PartError if one failed, unless the experiment
    leaves such a variant out. The same call resumes.
    """
    everything = [part for seed in seeds for part in plan.parts(experiment, seed)]
    with tqdm(total=len(everything), desc=experiment.kind, bar_format=BAR) as bar:
        for complete, seed in enumerate(seeds, 1):
            for variant in experiment.everything:
                try:
                    for part in plan.parts_of(experiment, variant, seed):
                        if part.seconds() is None:
                            left = seconds_left(everything)
                            bar.set_postfix_str(
                                f"{part.kind} {part.name}{left and f', about {duration(left)} left' or ''}"
                            )
                            part.make()
                            bar.write(f"{part.kind} {part.name}: {duration(part.seconds() or 0)}", file=sys.stderr)
                        bar.n = sum(part.seconds() is not None for part in everything)
                        bar.refresh()
                except PartError as error:
                    if not experiment.leaves_out or variant is experiment.variants[0]:
                        raise
                    bar.write(f"{variant.name} is left out: {error}", file=sys.stderr)
            yield seeds[:complete]
