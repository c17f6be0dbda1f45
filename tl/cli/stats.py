"""Prints statistics of data sets, as in the paper's Figure 1 and Table 2: calls, errors, lengths, trained tokens.

    python -m tl stats trajectories.jsonl            one column per file
    python -m tl stats a.jsonl.gz b.json --json      the same as JSON
    python -m tl stats                               the default training set

Lengths are tokens per trajectory. Feedback longer than --max_feedback_tokens is cut, as in training.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tqdm import tqdm

from tl.assets import TINY
from tl.config import option, parse_config, require
from tl.datasets import AUTO, DATA_FORMAT, ON_BAD_DATA, DataError, OnBadData, ReadReport, stream
from tl.datasets.mix import split_share
from tl.files import visible
from tl.llama.tokenizer import Tokenizer
from tl.prompt import EncodingOptions
from tl.report.figures import WHOLE, cell, dataset_statistics, summary
from tl.report.runs import names
from tl.synthesis import synthesize
from tl.templates import TEMPLATE_HELP, TemplateName
from tl.trajectory import Trajectory


@dataclass
class StatsConfig:
    files: list[str] = option([], "trajectory files (default: the default training set)", positional=True)
    tokenizer: str | None = option(
        None, "tokenizer.model, tokenizer.json or checkpoint folder used to count tokens (default: the embedded one)"
    )
    template: TemplateName = option("auto", TEMPLATE_HELP)
    max_feedback_tokens: int = option(
        EncodingOptions().max_feedback_tokens,
        "maximum tokens in one tool feedback; longer feedback is cut in the middle",
        at_least=2,
    )
    on_bad_data: OnBadData = option("skip", ON_BAD_DATA)
    data_format: str = option(AUTO, DATA_FORMAT)
    json: bool = option(False, "print JSON instead of a table")


def table(columns: dict[str, dict[str, Any]]) -> str:
    """Summaries by data set name -> aligned text, one row per statistic."""
    rows = [["", *columns]]
    for name in next(iter(columns.values())):
        values = [column[name] for column in columns.values()]
        if name == "families of tool names":
            rows += family_rows(name, values)
        elif name in ("errors by category", "key tokens in a trained call", "while reading"):
            rows.append([name, *("" for _ in values)])
            for key in dict.fromkeys(key for value in values for key in value):
                rows.append([f"  {key}", *(f"{value[key]:,}" if key in value else "–" for value in values)])
        else:
            rows.append([name, *map(cell, values)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(v.rjust(w) for v, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    )


def family_rows(name: str, columns: list[dict[str, int]]) -> list[list[str]]:
    """One row per rank, because each data set has different families."""
    ranked = [[f"{prefix}… ({n})" for prefix, n in families.items()] for families in columns]
    return [[name if i == 0 else "", *row] for i, row in enumerate(zip_longest(*ranked, fillvalue=""))]


def main(argv: Sequence[str]) -> int:
    config = parse_config(StatsConfig, argv, __doc__, prog="python -m tl stats")
    require(config, "files", "on_bad_data", "data_format")
    options = EncodingOptions(max_length=WHOLE, max_feedback_tokens=config.max_feedback_tokens)
    if mixed := [name for name in config.files if split_share(name)[1] is not None]:
        raise DataError(f"{mixed[0]}: statistics are of whole files: leave out the share, or mix with `convert` first")
    columns = {}
    tokenizer = Tokenizer(config.tokenizer or TINY, config.template)
    titles = names(config.files) or ["default training set"]
    for title, name in zip(titles, config.files or [""], strict=True):
        report = ReadReport()
        data = dataset_statistics(trajectories(name, report, config), tokenizer, options)
        done = {note.value: count for note, count in report.notes.items()}
        columns[title] = {**summary(data, tokenizer), "records skipped": len(report.bad), "while reading": done}
    if config.json:
        print(json.dumps(columns, ensure_ascii=False, indent=2))
    else:
        print(visible(table(columns)))
        print("\nspreads are median / 95th percentile / maximum")
    return 0


def trajectories(name: str, report: ReadReport, config: StatsConfig) -> Iterator[Trajectory]:
    """Yields the trajectories of a file, or of the default training set if the name is empty, and reports skipped
    records at the end. Raises DataError if there is no trajectory.
    """
    if not name:
        yield from synthesize()
        return
    found = stream([name], report, config.on_bad_data, config.data_format)
    yield from tqdm(found, "count", unit=" trajectories", disable=None, leave=False)
    for line in report.skipped_lines():
        print(line, file=sys.stderr)
    if not report.read:
        raise DataError(f"{name}: no record can be read")
