"""One self-contained web page about runs: curves, evaluations beside the paper's, experiments, data, samples, rollouts.

    python -m tl report runs/sft                         writes report.html
    python -m tl report runs/sft runs/ppo runs/evaluation runs/ablation --out all.html

A directory may hold a training of either script, the report.json of evaluate.py, or the results of
`python -m tl experiments`. What is missing or damaged is said in the page. Charts need matplotlib, the rest does not.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tl.assets import TINY
from tl.cli.stats import read
from tl.config import option, parse_config
from tl.llama.tokenizer import Tokenizer, TokenizerError
from tl.mae import erroneous_calls
from tl.prompt import EncodingOptions
from tl.report.figures import WHOLE, dataset_statistics, summary
from tl.report.page import NO_PICTURES, DataColumn, has_charts, report
from tl.report.runs import NoRunError, Run, is_number, read_runs
from tl.report.views import view
from tl.synthesis import synthesize
from tl.trajectory import DataError, Trajectory


@dataclass
class ReportConfig:
    """Flags of `python -m tl report`."""

    runs: list[str] = option([], "run directories", positional=True)
    out: str = option("report.html", "the page")
    overwrite: bool = option(False, "replace an existing file")
    samples: int = option(20, "training samples of a data set that can be looked at, half of them with masked calls")
    items: int = option(100, "rollouts of a run, and answers of an evaluated suite, that can be looked at")


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or 2 when something is no run, or the page cannot be written."""
    config = parse_config(ReportConfig, argv, __doc__, prog="python -m tl report")
    out = Path(config.out)
    try:
        if not config.runs:
            raise NoRunError("name one run directory at least, such as runs/sft")
        if min(config.samples, config.items) < 0:
            raise NoRunError("--samples and --items are 0 at least")
        if out.exists() and not config.overwrite:
            raise NoRunError(f"{out} exists already: choose another --out, or add --overwrite")
        runs = read_runs(config.runs)
        data = data_columns(runs, config.samples)
        out.write_text(report(runs, data, ", ".join(run.name for run in runs), config.items), encoding="utf-8")
    except (NoRunError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for run in runs:
        print("\n".join(f"{run.name}: {note}" for note in run.notes), end="\n" if run.notes else "")
    print(f"{out} ({out.stat().st_size / 2**20:.1f} MiB)" + ("" if has_charts() else f"\n{NO_PICTURES}"))
    return 0


def data_columns(runs: Sequence[Run], samples: int) -> list[DataColumn]:
    """The data set of each fine-tuning, one column for those that share it; what cannot be read is noted at its run."""
    columns: dict[str, DataColumn] = {}
    for run in runs:
        if run.kind != "SFT" or not run.settings:
            continue
        key = json.dumps([run.settings.get(name) for name in ("data", "seed", "mae", "pkt", "w_max", "max_length")])
        if key in columns:
            continue
        try:
            columns[key] = data_column(run, samples)
        except (DataError, TokenizerError, OSError) as error:
            run.notes.append(f"its data cannot be looked at: {error}")
    return list(columns.values())


def data_column(run: Run, samples: int) -> DataColumn:
    """Figures and samples of a run's training set, encoded as the run did."""
    files = [str(file) for file in run.settings.get("data") or []]
    tokenizer = Tokenizer(run.path if (run.path / "tokenizer.model").is_file() else run.settings.get("model") or TINY)
    if files:
        trajectories = [trajectory for file in files for trajectory in read(file, "skip")[0]]
    else:
        trajectories = synthesize(seed=run.settings.get("seed") or 0)
    options = encoding_options(run)
    whole = EncodingOptions(max_length=WHOLE, max_feedback_tokens=options.max_feedback_tokens)
    figures = summary(dataset_statistics(trajectories, tokenizer, whole), tokenizer)
    views = [view(trajectory, tokenizer, options) for trajectory in choose(trajectories, samples)]
    return DataColumn(run.name, figures, [made for made in views if made is not None])


def encoding_options(run: Run) -> EncodingOptions:
    """Those of the run; defaults for what its settings do not say."""
    names = ("max_length", "max_feedback_tokens", "mae", "pkt", "w_max")
    known = {name: run.settings.get(name) for name in names if name in EncodingOptions.__dataclass_fields__}
    return EncodingOptions(
        **{name: value for name, value in known.items() if is_number(value) or value in (True, False)}
    )


def choose(trajectories: Sequence[Trajectory], most: int) -> list[Trajectory]:
    """Up to `most` trajectories, up to half of them with a masked call."""
    wrong = [t for t in trajectories[: 50 * most] if any(erroneous_calls(t))][: most // 2]
    return wrong + [t for t in trajectories if t not in wrong][: most - len(wrong)]
