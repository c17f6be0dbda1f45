"""Writes one self-contained web page about runs: curves, evaluations, experiments, data, samples and rollouts.

    python -m tl report runs/sft                         writes report.html
    python -m tl report runs/sft runs/ppo runs/evaluation runs/ablation --out all.html

A folder may contain a training run (SFT, PPO, DPO or a process reward model), the report.json of evaluate.py, or the
results of `python -m tl experiments`. The page says what is missing or damaged. Only charts need matplotlib.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tl.config import option, parse_config
from tl.files import check_output, write_whole
from tl.report.datasets import data_columns
from tl.report.page import NO_PICTURES, has_charts, report
from tl.report.runs import READ, NoRunError, read_runs


@dataclass
class ReportConfig:
    runs: list[str] = option([], "run folders", positional=True)
    out: str = option("report.html", "output file")
    overwrite: bool = option(False, "replace an existing output file")
    samples: int = option(20, "number of training samples per data set, half of them with masked calls", at_least=0)
    items: int = option(100, "number of rollouts per PPO run, and of answers per evaluated suite", at_least=0)


def main(argv: Sequence[str]) -> int:
    config = parse_config(ReportConfig, argv, __doc__, prog="python -m tl report")
    out = Path(config.out)
    if not config.runs:
        raise NoRunError("name at least one run folder, such as runs/sft")
    check_output(config.out, config.overwrite, (Path(run) / file for run in config.runs for file in READ))
    runs = read_runs(config.runs)
    data = data_columns(runs, config.samples)
    write_whole(out, report(runs, data, ", ".join(run.name for run in runs), config.items))
    for run in runs:
        print("\n".join(f"{run.name}: {note}" for note in run.notes), end="\n" if run.notes else "")
    print(f"{out} ({out.stat().st_size / 2**20:.1f} MiB)" + ("" if has_charts() else f"\n{NO_PICTURES}"))
    return 0
