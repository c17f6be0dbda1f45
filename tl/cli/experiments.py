"""Trains a model in several configurations and seeds, and compares their scores.

    python -m tl experiments ablation --quick      a rough Table 5 (MAE, PKT and IRM alone and together) with one seed
    python -m tl experiments ablation --sweeps     three seeds, plus curves over w_max and the share of errors
    python -m tl experiments ablation --model X --data train.jsonl OFFICIAL --suite rotbench toolalpaca bfcl
                                                   Table 5 for your model on the benchmarks
    python -m tl experiments robustness            no part against all parts under noisy tool names (Figure 4)
    python -m tl experiments craft --quick         continuations of a short fine-tuning, each with as many calls:
                                                   more SFT, rejection, DPO, PPO in six ways, best of 8

Each training and evaluation runs in its own process and logs to log.txt in its folder under --out. To resume an
interrupted experiment, run the same command again; finished parts are reused, and robustness reuses the ablation's
models. The tables are printed and written to --out; `python -m tl report` turns them into a web page.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tl.assets import TINY
from tl.config import option, parse_config
from tl.errors import UserError
from tl.evaluation.suites.catalogue import FROM_FILES, read_suites
from tl.experiments.ablation import ABLATION, ROBUSTNESS, SWEEPS, Experiment, ablation_of
from tl.experiments.craft import CRAFT, FULL_CRAFT, QUICK_CRAFT, CraftPlan
from tl.experiments.parts import PartError, Stopped
from tl.experiments.plan import FULL, QUICK, Plan, carry_out
from tl.experiments.results import markdown, results_json, write
from tl.files import visible
from tl.llama.weights import read_config

FOLDER = "runs/ablation"  # also of robustness, which shares models with the ablation
CRAFT_FOLDER = "runs/craft"


@dataclass
class ExperimentsConfig:
    kinds: list[str] = option([], "experiments to run: ablation, robustness, craft, or several", positional=True)
    model: str | None = option(None, "checkpoint folder of the model to train (default: the embedded model)")
    data: list[str] = option(
        [], "training files (default: generated data), and the folder with the benchmarks' published files"
    )
    suite: list[str] = option(
        [], "ablation: suites of evaluate.py to evaluate on (default: the generated held-out sets)"
    )
    quick: bool = option(
        False,
        "run a rough version: one seed, a fifth of the training (craft: an eighth of the calls), at most 100 requests "
        "per suite and 50 episodes",
    )
    sweeps: bool = option(False, "ablation: also vary w_max and the share of requests with erroneous calls")
    seeds: int | None = option(
        None, "number of seeds for each configuration (default: 3, or 1 with --quick)", at_least=1
    )
    out: str | None = option(
        None, f"output folder (default: {FOLDER} or {CRAFT_FOLDER}, plus the model's name and -quick if used)"
    )

    @property
    def folders(self) -> list[str]:
        """The folders in --data; all else in it are training files."""
        return [path for path in self.data if Path(path).is_dir()]


def chosen(config: ExperimentsConfig) -> list[Experiment]:
    """The experiments to run. Raises UserError for flags that do not go together and for missing or bad files of
    benchmarks, which the scripts would tell only after hours of training."""
    experiments = {
        "ablation": replace(ABLATION, sweeps=SWEEPS if config.sweeps else ()),
        "robustness": ROBUSTNESS,
        "craft": CRAFT,
    }
    if not config.kinds or not {*config.kinds} <= experiments.keys():
        raise UserError(f"name at least one experiment: {', '.join(experiments)}")
    for flag in ("sweeps", "suite"):
        if getattr(config, flag) and "ablation" not in config.kinds:
            raise UserError(f"--{flag} only applies to ablation")
    if "craft" in config.kinds and (config.model or config.data):
        raise UserError("craft goes on from the embedded model, on the library's tasks: leave --model and --data out")
    folders = config.folders
    if len(folders) > 1 or (config.sweeps and len(folders) < len(config.data)):
        raise UserError(
            "--data takes at most one folder" if folders[1:] else "--sweeps generates its data: leave --data out"
        )
    if config.suite:
        experiments["ablation"] = ablation_of(config.model or "the embedded model", config.suite)
    published = []
    for kind in config.kinds:
        read = [suite for suite in experiments[kind].suites if suite.partition(":")[0] in FROM_FILES]
        if read and not folders:
            raise UserError(f"{kind}: --suite {' '.join(read)} needs the folder with the published files in --data")
        if folders and not read:
            raise UserError(f"{kind} evaluates on generated requests: leave the folder {folders[0]} out of --data")
        published += read
    if published:
        read_suites(published, Path(folders[0]), seed=0)
    return [experiments[kind] for kind in config.kinds]


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or 1 if a part was stopped or failed, even if the others are in the table. Raises `UserError` for
    invalid flags and for data that cannot be read."""
    config = parse_config(ExperimentsConfig, argv, __doc__, prog="python -m tl experiments")
    experiments = chosen(config)
    folders = config.folders
    files = [path for path in config.data if path not in folders]
    base, official = Path(config.model or TINY), next(map(Path, folders), None)
    read_config(base)  # before data is generated for it
    suffix = (f"-{base.resolve().name}" if config.model else "") + ("-quick" if config.quick else "")
    seeds = range(config.seeds or (1 if config.quick else 3))
    left_out = False
    about = {"command": shlex.join(["python", "-m", "tl", "experiments", *argv]), "quick": config.quick}
    try:
        for experiment in experiments:
            kind, folder, *budgets = (
                (CraftPlan, CRAFT_FOLDER, FULL_CRAFT, QUICK_CRAFT)
                if experiment is CRAFT
                else (Plan, FOLDER, FULL, QUICK)
            )
            out = Path(config.out or folder + suffix)
            plan = kind(out, budgets[config.quick], base, files, official)
            for complete in carry_out(experiment, plan, seeds):
                results = results_json(experiment, plan, complete, **about)
                write(results, experiment, out)
            print(markdown(results, experiment))
            print(f"tables: {out / experiment.kind}.md; every value: {out / experiment.kind}.json")
            left_out |= any(any(row["errors"]) for row in results["rows"])
    except (Stopped, PartError, OSError) as error:
        print(f"{visible(str(error))}\nrun the same command again to resume", file=sys.stderr)
        return 1
    return int(left_out)
