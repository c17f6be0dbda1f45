"""Trains a model in different ways, over several seeds, and compares what the models score.

    python -m tl experiments ablation --quick      MAE, PKT and IRM alone and together (Table 5), roughly: one seed
    python -m tl experiments ablation --sweeps     three seeds, and curves over w_max and the share of errors
    python -m tl experiments ablation --model X --data train.jsonl OFFICIAL --suite rotbench toolalpaca bfcl
                                                   the eight rows for a model of your own, on the benchmarks
    python -m tl experiments robustness            none against all of them where tool names are noisy (Figure 4)

Trainings and evaluations run as separate processes, whose output is in log.txt in their folders under --out. Finished
parts are reused: run an interrupted experiment again to resume it; robustness reuses the models of the ablation. The
tables are printed and written to --out; `python -m tl report` makes a page of them.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tl.assets import TINY
from tl.config import option, parse_config
from tl.datasets import DataError
from tl.experiments.ablation import ABLATION, ROBUSTNESS, SWEEPS, ablation_of
from tl.experiments.parts import PartError, Stopped
from tl.experiments.plan import FULL, QUICK, Plan, carry_out
from tl.experiments.results import markdown, results_json, write
from tl.files import visible

FOLDER = "runs/ablation"


@dataclass
class ExperimentsConfig:
    """Flags of `python -m tl experiments`."""

    kinds: list[str] = option([], "ablation, robustness, or both", positional=True)
    model: str | None = option(None, "checkpoint to train (default: the embedded model)")
    data: list[str] = option([], "trajectory files to train on (default: made here), and the folder of official files")
    suite: list[str] = option([], "ablation: the suites of evaluate.py to evaluate on (default: our own)")
    quick: bool = option(
        False, "a rough run: one seed, a fifth of the training, at most 100 requests a suite and 50 episodes"
    )
    sweeps: bool = option(False, "ablation: also vary w_max and the share of requests with erroneous calls")
    seeds: int | None = option(None, "number of trainings of each kind (default: 3, with --quick 1)", at_least=1)
    out: str | None = option(None, f"output folder (default: {FOLDER}, with the model's name and -quick)")


def main(argv: Sequence[str]) -> int:
    """Exit status 0, 1 when a part failed or was stopped, or 2 with one line when the flags are invalid."""
    config = parse_config(ExperimentsConfig, argv, __doc__, prog="python -m tl experiments")
    experiments = {"ablation": replace(ABLATION, sweeps=SWEEPS if config.sweeps else ()), "robustness": ROBUSTNESS}
    try:
        if not config.kinds or not {*config.kinds} <= experiments.keys():
            raise ValueError(f"name one or both of {', '.join(experiments)}")
        for flag in ("sweeps", "suite"):
            if getattr(config, flag) and "ablation" not in config.kinds:
                raise ValueError(f"--{flag} goes with ablation")
        files, folders = ([p for p in config.data if Path(p).is_dir() is folder] for folder in (False, True))
        if len(folders) > 1 or (config.sweeps and files):
            raise ValueError("--data has two folders" if folders[1:] else "--sweeps makes its own data")
        if config.suite:
            experiments["ablation"] = ablation_of(config.model or "the embedded model", config.suite)
    except (ValueError, DataError) as error:
        print(f"python -m tl experiments: {visible(str(error))}", file=sys.stderr)
        return 2
    own = f"-{Path(config.model).resolve().name}" if config.model else ""
    out = Path(config.out or f"{FOLDER}{own}{'-quick' if config.quick else ''}")
    seeds = range(config.seeds or (1 if config.quick else 3))
    plan, about = (
        Plan(
            out,
            QUICK if config.quick else FULL,
            Path(config.model) if config.model else TINY,
            files,
            Path(folders[0]) if folders else None,
        ),
        {"command": shlex.join(["python", "-m", "tl", "experiments", *argv]), "quick": config.quick},
    )
    try:
        for experiment in (experiments[kind] for kind in config.kinds):
            for complete in carry_out(experiment, plan, seeds):
                results = results_json(experiment, plan, complete, **about)
                write(results, experiment, out)
            print(markdown(results, experiment))
            print(f"tables: {out / experiment.kind}.md; every value: {out / experiment.kind}.json")
    except (Stopped, PartError, DataError, OSError) as error:
        print(f"{visible(str(error))}\nrun the same command again to resume", file=sys.stderr)
        return 1
    return 0
