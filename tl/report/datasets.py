"""The training sets of runs: statistics and samples, encoded with the runs' settings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tl.assets import TINY
from tl.datasets import AUTO, DataError, read
from tl.llama.tokenizer import Tokenizer, TokenizerError, find_vocabulary
from tl.mae import erroneous_calls
from tl.prompt import EncodingOptions
from tl.report.figures import WHOLE, dataset_statistics, summary
from tl.report.runs import Run
from tl.report.views import SampleView, view
from tl.synthesis import synthesize
from tl.training.run import SETTINGS_FILE
from tl.trajectory import Trajectory


@dataclass
class DataColumn:
    """A training set: its statistics, as in `python -m tl stats`, and samples."""

    name: str
    figures: dict[str, Any]
    views: list[SampleView] = field(default_factory=list)


def data_columns(runs: Sequence[Run], samples: int) -> list[DataColumn]:
    """The data sets of the fine-tuning runs; runs with the same data and encoding share a column. Data that cannot be
    read is noted at its run."""
    columns: dict[str, DataColumn] = {}
    for run in runs:
        if run.kind != "SFT" or not run.settings:
            continue
        seen = ("data", "data_format", "template", "seed", *EncodingOptions.__dataclass_fields__)
        key = json.dumps([run.settings.get(name) for name in seen])
        if key in columns:
            continue
        try:
            columns[key] = data_column(run, samples)
        except (DataError, TokenizerError, OSError) as error:
            run.notes.append(f"its data cannot be looked at: {error}")
        except (TypeError, ValueError):  # a setting of another type than train_sft.py's
            run.notes.append(f"{SETTINGS_FILE} is damaged: its data cannot be looked at")
    return list(columns.values())


def data_column(run: Run, samples: int) -> DataColumn:
    settings = run.settings
    template = settings.get("template", "auto")
    tokenizer = Tokenizer(run.path if find_vocabulary(run.path) else settings.get("model") or TINY, template)
    if settings.get("data"):
        how = {"data_format": settings.get("data_format", AUTO), "seed": settings.get("seed", 0)}
        trajectories, report = read(settings["data"], "skip", **how)
        report.warn()
    else:
        trajectories = synthesize(seed=settings.get("seed", 0))
    options = encoding_options(settings)
    whole = EncodingOptions(max_length=WHOLE, max_feedback_tokens=options.max_feedback_tokens)
    figures = summary(dataset_statistics(trajectories, tokenizer, whole), tokenizer)
    views = (view(trajectory, tokenizer, options) for trajectory in choose(trajectories, samples))
    return DataColumn(run.name, figures, [made for made in views if made is not None])


def encoding_options(settings: Mapping[str, Any]) -> EncodingOptions:
    """How a run of train_sft.py with these settings encodes trajectories."""
    return EncodingOptions(**{n: settings[n] for n in EncodingOptions.__dataclass_fields__ if n in settings})


def choose(trajectories: Sequence[Trajectory], most: int) -> list[Trajectory]:
    """Up to `most` trajectories, up to half of which have a masked call."""
    wrong = [t for t in trajectories[: 50 * most] if any(erroneous_calls(t))][: most // 2]
    return wrong + [t for t in trajectories if t not in wrong][: most - len(wrong)]
