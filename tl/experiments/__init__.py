"""Experiments: models trained in different ways from one base, over several seeds, and what they score.

ablation.py says which; here they are carried out. Of a variant and a seed come two or three parts (parts.py): fine-
tuning, PPO where the variant has IRM, evaluation. Data, order, prompts and evaluated items depend on the seed alone, so
that variants are compared seed by seed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from tl.calls import format_call
from tl.config import option
from tl.evaluation.suites import Suite
from tl.experiments.comparison import Column
from tl.experiments.parts import Part, Stopped, Store, digest, digest_of_files, duration
from tl.rollout import EpisodeSuite
from tl.synthesis import MIX, prompts, synthesize
from tl.training.run import RunConfig, is_finished
from tl.trajectory import Trajectory

PLAIN, ERRORS, EDGE = MIX
REPORT = "report.json"
FOLDER = "runs/ablation"
BAR = "{desc}: {n_fmt}/{total_fmt} parts |{bar}| {elapsed}{postfix}"  # its own estimate would count all parts alike
PLACES = {"model", "data", "eval_data", *RunConfig.__dataclass_fields__}  # settings that say nothing about the result


class Trainer(NamedTuple):
    """A training script: ``main(flags)`` gives its exit status, ``settings(flags)`` what flags come to for the base."""

    script: str
    main: Callable[[list[str]], int]
    settings: Callable[[list[str]], dict]


@dataclass(frozen=True)
class Lab:
    """What experiments are done with. ``evaluate(model, suites, report)`` writes the report on a checkpoint."""

    base: Path
    sft: Trainer
    ppo: Trainer
    evaluate: Callable[[Path, Sequence[Suite | EpisodeSuite], Path], None]


@dataclass(frozen=True)
class Budget:
    """How much is trained, as a share of the default epochs, and how many items of each suite are evaluated."""

    share: float = 1.0
    requests: int = 400
    episodes: int = 100
    max_steps: int | None = None  # of each training, for trials

    def flags(self, epochs: float) -> list[str]:
        steps = [] if self.max_steps is None else ["--max_steps", str(self.max_steps)]
        return ["--epochs", f"{epochs * self.share:g}", *steps]


FULL, QUICK = Budget(), Budget(share=0.2, requests=100, episodes=50)


@dataclass
class ExperimentConfig:
    """The flags of experiments."""

    ablation: bool = option(False, "train the embedded model with MAE, PKT and IRM alone and together (Table 5)")
    robustness: bool = option(False, "train it with none and with all of them, for noisy names of tools (Figure 4)")
    quick: bool = option(False, "one seed, a fifth of the training, 100 requests a suite, 50 episodes")
    sweeps: bool = option(False, "--ablation goes over w_max and over the share of erroneous requests as well")
    seeds: int | None = option(None, "so many trainings of each kind; none: 3, with --quick 1")
    out: str | None = option(None, f"folder of the experiments; none: {FOLDER}, with --quick {FOLDER}-quick")

    @property
    def budget(self) -> Budget:
        return QUICK if self.quick else FULL

    @property
    def n_seeds(self) -> int:
        return self.seeds or (1 if self.quick else 3)

    @property
    def folder(self) -> Path:
        return Path(self.out or (f"{FOLDER}-quick" if self.quick else FOLDER))

    @property
    def command(self) -> str:
        """What the results say how they were made."""
        flags = ["--ablation"] * self.ablation + ["--robustness"] * self.robustness
        flags += ["--quick"] * self.quick + ["--sweeps"] * self.sweeps
        return " ".join(["python evaluate.py", *flags, *(["--seeds", str(self.seeds)] if self.seeds else [])])

    def check_experiments(self) -> None:
        """Raises ValueError for flags that do not go together."""
        if self.sweeps and not self.ablation:
            raise ValueError("--sweeps goes with --ablation")
        if not (self.ablation or self.robustness) and (self.quick or self.seeds is not None or self.out):
            raise ValueError("--quick, --seeds and --out go with --ablation or --robustness")
        if self.seeds is not None and self.seeds < 1:
            raise ValueError(f"--seeds is {self.seeds}; it must be at least 1")
        if (self.ablation or self.robustness) and int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise ValueError("--ablation and --robustness run in one process: start them without torchrun")


@dataclass(frozen=True)
class Variant:
    """How a model is trained. ``errors`` is the share of the requests with erroneous calls, in percent."""

    name: str
    mae: bool = False
    pkt: bool = False
    irm: bool = False
    w_max: float = 9.0
    errors: float = ERRORS

    @property
    def parts(self) -> list[str]:
        return [name for name in ("MAE", "PKT", "IRM") if getattr(self, name.lower())]

    def flags(self) -> list[str]:
        """Those of train_sft.py."""
        return ["--mae" if self.mae else "--no-mae", "--pkt" if self.pkt else "--no-pkt", "--w_max", f"{self.w_max:g}"]


@dataclass(frozen=True)
class Sweep:
    """Curves over the values ``x`` of one setting, each a variant per value."""

    key: str
    title: str
    x: tuple[float, ...]
    curves: dict[str, tuple[Variant, ...]]


@dataclass(frozen=True)
class Experiment:
    """Recipes, the first of which is the reference, and what they are evaluated on."""

    kind: str
    title: str
    variants: tuple[Variant, ...]
    columns: tuple[Column, ...]
    suites: Callable[[int], Sequence[Suite | EpisodeSuite]]  # of a seed
    sweeps: tuple[Sweep, ...] = ()
    notes: tuple[str, ...] = ()
    paper: Mapping[str, list[list[str]]] = field(default_factory=dict)  # tables of the paper to stand beside ours

    @property
    def everything(self) -> list[Variant]:
        """The variants of rows and curves."""
        points = (variant for sweep in self.sweeps for curve in sweep.curves.values() for variant in curve)
        return [*self.variants, *points]


Evaluations = Mapping[int, Mapping[Variant, Part]]  # of each seed and variant


# ---- parts


class Workshop:
    """Turns variants and seeds into parts under ``out``."""

    def __init__(self, lab: Lab, budget: Budget, out: Path) -> None:
        self.lab, self.budget, self.out = lab, budget, out
        self.store = Store(out / "parts")
        self.base = digest_of_files(lab.base)
        self.trajectories, self.prompts = cache(self._trajectories), cache(self._prompts)

    def sft(self, variant: Variant, seed: int) -> Part:
        name = "-".join([p.lower() for p in variant.parts if p != "IRM"] or ["none"])
        flags = [*variant.flags(), "--data", str(self.trajectories(seed, variant.errors))]
        return self._training("sft", f"{name}-seed{seed}", self.lab.sft, flags, seed, {"base": self.base})

    def ppo(self, variant: Variant, seed: int) -> Part:
        name = "-".join(variant.parts).lower()
        sft = self.sft(variant, seed)
        flags = ["--model", str(self.model(sft)), "--data", str(self.prompts(seed))]
        return self._training("ppo", f"{name}-seed{seed}", self.lab.ppo, flags, seed, {"sft": sft.digest})

    def trained(self, variant: Variant, seed: int) -> list[Part]:
        """What makes the model: fine-tuning, and PPO if it is in the variant."""
        return [self.sft(variant, seed), *([self.ppo(variant, seed)] if variant.irm else [])]

    def evaluation(self, variant: Variant, seed: int, kind: str, suites: Sequence[Suite | EpisodeSuite]) -> Part:
        trained = self.trained(variant, seed)[-1]
        settings = {"model": trained.digest, "suites": {suite.name: fingerprint(suite) for suite in suites}}

        def work(folder: Path) -> None:
            self.lab.evaluate(self.model(trained), suites, folder / REPORT)

        return Part("evaluation", f"{kind}-{trained.name}", settings, work)

    def all_parts(self, evaluations: Evaluations) -> list[Part]:
        """The evaluations and what they are of, each part once."""
        pairs = [(seed, variant, part) for seed, made in evaluations.items() for variant, part in made.items()]
        parts = [part for seed, variant, last in pairs for part in (*self.trained(variant, seed), last)]
        return list({part.digest: part for part in parts}.values())

    def report(self, evaluation: Part) -> dict:
        return json.loads((self.store.folder(evaluation) / REPORT).read_text(encoding="utf-8"))

    def model(self, training: Part) -> Path:
        return self.store.folder(training) / "model"

    def _training(self, kind: str, name: str, trainer: Trainer, flags: list[str], seed: int, source: dict) -> Part:
        flags = [*flags, "--seed", str(seed), *self.budget.flags(trainer.settings([])["epochs"])]
        settings = trainer.settings(flags)
        data = [Path(path).name for path in settings["data"]]  # has a digest in it
        kept = {key: value for key, value in settings.items() if key not in PLACES}
        return Part(kind, name, {**source, "data": data, "settings": kept}, partial(train, trainer, flags))

    def _trajectories(self, seed: int, errors: float) -> Path:
        made = synthesize(seed=seed, mix=(PLAIN + ERRORS - errors, errors, EDGE))
        return self._written(f"trajectories-seed{seed}-errors{errors:g}", made)

    def _prompts(self, seed: int) -> Path:
        return self._written(f"prompts-seed{seed}", [question.solved() for question in prompts(seed=seed)])

    def _written(self, name: str, trajectories: Sequence[Trajectory]) -> Path:
        lines = [json.dumps(trajectory.to_openai(), ensure_ascii=False) + "\n" for trajectory in trajectories]
        path = self.out / "data" / f"{name}-{digest(lines)}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
        return path


def train(trainer: Trainer, flags: list[str], folder: Path) -> None:
    """Trains a model into ``folder``/model, or goes on; what is printed goes to log.txt. Raises Stopped."""
    model = folder / "model"
    if is_finished(model):
        return
    flags = [*flags, "--out", str(model), *(["--resume"] if model.exists() else [])]
    with (
        (folder / "log.txt").open("a", encoding="utf-8") as log,
        redirect_stdout(log),
        called_as(trainer.script, flags),
    ):
        status = trainer.main(flags)
    if status != 0:
        raise Stopped(f"stopped while training {folder.name}")


@contextmanager
def called_as(script: str, flags: list[str]) -> Iterator[None]:
    """Meanwhile ``sys.argv`` is that of the script, which tells with it how a stopped run goes on."""
    before, sys.argv = sys.argv, [script, *flags]
    try:
        yield
    finally:
        sys.argv = before


def fingerprint(suite: Suite | EpisodeSuite) -> str:
    """Of all that a model sees of a suite, and of what is right."""
    if isinstance(suite, Suite):
        golden = [
            (q, [[format_call(call) for call in answer] for answer in q.answers], q.group) for q in suite.questions
        ]
    else:
        golden = [(request, [request.truth, *request.facts], request.servable) for request in suite.requests]
    return digest(
        [
            [one.id, [tool.to_openai() for tool in one.tools], [[m.role, m.content] for m in one.messages], *more]
            for one, *more in golden
        ]
    )


# ---- carrying out


def carry_out(experiment: Experiment, workshop: Workshop, seeds: Sequence[int]) -> Iterator[Evaluations]:
    """Does what is not done yet, seed by seed; after each, gives the evaluations of the seeds that are complete.

    Raises tl.experiments.parts.Stopped when a signal stopped a training; the same call goes on.
    """
    evaluations = {seed: evaluations_of(experiment, workshop, seed) for seed in seeds}
    batches = [workshop.all_parts({seed: made}) for seed, made in evaluations.items()]
    everything = [part for batch in batches for part in batch]
    with tqdm(total=len(everything), desc=experiment.kind, bar_format=BAR) as bar:
        for done, batch in enumerate(batches, 1):
            for part in batch:
                make(part, workshop.store, everything, bar)
            yield {seed: evaluations[seed] for seed in seeds[:done]}


def evaluations_of(experiment: Experiment, workshop: Workshop, seed: int) -> dict[Variant, Part]:
    suites = experiment.suites(seed)
    return {r: workshop.evaluation(r, seed, experiment.kind, suites) for r in experiment.everything}


def make(part: Part, store: Store, everything: Sequence[Part], bar: tqdm) -> None:
    """Does a part unless it is done; ``bar`` shows which it is, and an estimate of the time that all need."""
    if store.seconds(part) is None:
        left = store.seconds_left(everything)
        bar.set_postfix_str(f"{part.kind} {part.name}" + ("" if left is None else f", about {duration(left)} left"))
        store.make(part)
        bar.write(f"{part.kind} {part.name}: {duration(store.seconds(part))}", file=sys.stderr)
    bar.update()
