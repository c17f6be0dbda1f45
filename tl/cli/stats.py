"""Figures of a dataset, as in the paper's Figure 1 and Table 2: its calls, errors, lengths, and what is trained.

    python -m tl stats trajectories.jsonl            one column a file
    python -m tl stats a.jsonl.gz b.json --json      the same as JSON
    python -m tl stats                               the default training set

Lengths are in tokens and of whole trajectories; feedback longer than `--max_feedback_tokens` is cut, as in training.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from tqdm import tqdm

from tl.assets import TINY
from tl.config import option, parse_config
from tl.datasets import AUTO, DATA_FORMAT, DataError, ReadReport, stream
from tl.files import visible
from tl.llama.tokenizer import Tokenizer, TokenizerError
from tl.prompt import EncodingOptions
from tl.report.figures import WHOLE, cell, dataset_statistics, summary
from tl.report.runs import names
from tl.synthesis import synthesize
from tl.templates import TEMPLATE_HELP, TemplateName
from tl.trajectory import Trajectory


@dataclass
class StatsConfig:
    """Flags of `python -m tl stats`."""

    files: list[str] = option([], "trajectory files (default: the default training set)", positional=True)
    tokenizer: str = option(str(TINY), "tokenizer.model or .json, or a checkpoint folder that contains one")
    template: TemplateName = option("auto", TEMPLATE_HELP)
    max_feedback_tokens: int = option(
        EncodingOptions().max_feedback_tokens,
        "tokens of one tool feedback; longer ones are cut in the middle",
        at_least=2,
    )
    on_bad_data: Literal["error", "skip"] = option("skip", "bad records: list them and stop, or skip them")
    data_format: str = option(AUTO, DATA_FORMAT)
    json: bool = option(False, "print JSON instead of a table")


def table(columns: dict[str, dict[str, Any]]) -> str:
    """Summaries by dataset name -> aligned text, a row a figure."""
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
    """One row a rank: every dataset has families of its own."""
    ranked = [[f"{prefix}… ({n})" for prefix, n in families.items()] for families in columns]
    return [[name if i == 0 else "", *row] for i, row in enumerate(zip_longest(*ranked, fillvalue=""))]


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or 2 when a file, none of its records, or the tokenizer can be read."""
    config = parse_config(StatsConfig, argv, __doc__, prog="python -m tl stats")
    options = EncodingOptions(max_length=WHOLE, max_feedback_tokens=config.max_feedback_tokens)
    columns = {}
    try:
        tokenizer = Tokenizer(config.tokenizer, config.template)
        titles = names(config.files) or ["default training set"]
        for title, name in zip(titles, config.files or [""], strict=True):
            report = ReadReport()
            data = dataset_statistics(trajectories(name, report, config), tokenizer, options)
            done = {note.value: count for note, count in report.notes.items()}
            columns[title] = {**summary(data, tokenizer), "records skipped": len(report.bad), "while reading": done}
    except (DataError, TokenizerError) as error:
        print(visible(str(error)), file=sys.stderr)
        return 2
    if config.json:
        print(json.dumps(columns, ensure_ascii=False, indent=2))
    else:
        print(table(columns))
        print("\nspreads are median / 95th percentile / maximum")
    return 0


def trajectories(name: str, report: ReadReport, config: StatsConfig) -> Iterator[Trajectory]:
    """The trajectories of a file, one at a time, or those of the default training set for "". What became of the
    file's records is told at the end.

    Raises DataError where there is no trajectory.
    """
    if not name:
        yield from synthesize()
        return
    found = stream([name], report, config.on_bad_data, config.data_format)
    yield from tqdm(found, "count", unit=" trajectories", disable=None, leave=False)
    for line in report.bad_lines() if report.bad else []:
        print(f"skipped {line}", file=sys.stderr)
    if not report.read:
        raise DataError(f"{name}: no record can be read")
