"""The report: sections of tables and charts, and a browser, in one self-contained page."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tl.experiments.comparison import Column, columns_of
from tl.irm import RewardCase
from tl.report import browser, tables
from tl.report.datasets import DataColumn
from tl.report.figures import cell
from tl.report.runs import EVALUATION_FILE, ROLLOUTS_FILE, Run, is_number
from tl.report.samples import choices, fill, resource, sample, text
from tl.rl.log import case_key

if TYPE_CHECKING:
    from tl.report.charts import Bar

P = ParamSpec("P")
T = TypeVar("T")

NESTED = ("errors by category", "families of tool names", "key tokens in a trained call")  # not single figures
NO_PICTURES = "Charts need matplotlib: pip install matplotlib, then write the report again. All tables are here."
CURVES = {
    "loss": "Loss",
    "eval_loss": "Loss on held-out calls",
    "reward": "Mean reward of a rollout",
    "eval_reward": "Mean reward of greedy held-out calls",
    "ts": "TS, held-out, %",
    "pi": "PI, held-out, %",
    "cf": "CF, held-out, %",
    "right_answers": "Share of episodes with the correct answer",
    "margin": "Margin of the chosen answers",
    "accuracy": "Share of pairs whose chosen answer has the larger reward",
    "auc": "AUC of held-out steps",
    "calibration_error": "Calibration error of held-out steps",
    "kl": "KL to the SFT model, nats per rollout or answer",
    "entropy": "Entropy, nats per token",
    "approx_kl": "Approximate KL of the updates",
    "clip_fraction": "Share of clipped tokens",
    "ratio": "Mean ratio π / π_old",
    "value_loss": "Value loss",
    "explained_variance": "Explained variance of the critic",
    "response_length": "Tokens per rollout",
    "tokens_per_second": "Throughput, tokens per second",
    "grad_norm": "Gradient norm",
}


def report(runs: Sequence[Run], data: Sequence[DataColumn], title: str, items: int) -> str:
    """The page, with up to `items` rollouts of each run and answers of each suite."""
    kind = "training sample"
    articles = [sample(view, runs={column.name}, kinds={kind}) for column in data for view in column.views]
    for run in runs:
        articles += readable(run, ROLLOUTS_FILE, browser.rollouts, run, items) or []
        articles += readable(run, EVALUATION_FILE, browser.answers, run, items) or []
        if readable(run, EVALUATION_FILE, tables.evaluations, [run]) is None:
            run.suites = {}
    experiments = [readable(run, file, _experiment, found) for run in runs for file, found in run.experiments.items()]
    sections = {
        "Runs": _overview(runs),  # includes the notes that the code above has added
        "Training": _curves(runs),
        "Evaluation": _evaluation(runs),
        "Experiments": "".join(filter(None, experiments)),
        "Data": _data(data),
    }
    parts = {
        "title": text(title),
        "style": resource("page.css") + resource("report.css"),
        "script": resource("page.js"),
        "nav": "".join(f'<a href="#{name}">{name}</a>' for name, html in sections.items() if html),
        "sections": "".join(
            f'<section id="{n}"><h2>{n}</h2>\n{html}</section>\n' for n, html in sections.items() if html
        ),
        "count": str(len(articles)),
        "articles": "\n".join(made.html for made in articles),
        **{name: choices(articles, name) for name in ("runs", "kinds", "categories", "tools")},
    }
    return fill(resource("report.html"), parts)


def readable(run: Run, file: str, make: Callable[P, T], *args: P.args, **more: P.kwargs) -> T | None:
    """The result of `make` for a file of the run; None, with a note, if the file is damaged."""
    try:
        return make(*args, **more)
    except (KeyError, TypeError, ValueError, AttributeError):
        run.notes.append(f"{file} is damaged and was left out")
        return None


def has_charts() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def _charts(draw: Callable[[], Iterable[str]]) -> str:
    """Charts side by side. Without matplotlib, `draw` is not called and the result is empty."""
    if not has_charts():
        return ""
    drawn = list(draw())
    return f"<div class=charts>{''.join(f'<figure>{chart}</figure>' for chart in drawn)}</div>\n" if drawn else ""


def _overview(runs: Sequence[Run]) -> str:
    keys = "".join(
        f"<li>{tables.swatch(i)}<b>{text(run.name)}</b> {run.kind}"
        + "".join(f"<p class=facts>{text(note)}</p>" for note in run.notes)
        for i, run in enumerate(runs)
    )
    hint = "" if has_charts() else f"<p class=note>{NO_PICTURES}</p>"
    settings = tables.settings(runs)
    fold = f"<details><summary>Settings</summary>{settings}</details>" if settings else ""
    return f"{hint}<ul class=key>{keys}</ul>\n{tables.overview(runs)}{fold}"


def _curves(runs: Sequence[Run]) -> str:
    def draw() -> Iterable[str]:
        from tl.report.charts import Line, line_chart, share_chart

        for key, title in CURVES.items():
            lines = [Line(*run.curve(key), colour=i) for i, run in enumerate(runs) if run.curve(key)[1]]
            if lines:
                yield line_chart(title, lines)
        for run in runs:
            if shares := _case_shares(run):
                yield share_chart(f"Calls by case of the reward: {run.name}", run.curve("reward")[0], shares)

    if not (drawn := _charts(draw)):
        return ""
    key = tables.key((i, run.name) for i, run in enumerate(runs) if run.metrics)
    told = "The last scores of a training run are on all held-out requests, earlier ones on --eval_items of them."
    return f"{key}<p class=facts>{told}</p>{drawn}"


def _case_shares(run: Run) -> dict[str, list[float]]:
    """Case of the reward -> its share at each step with a reward. Has all cases, so that each has the same colour in
    all runs, or is empty if no step has any."""
    steps = [line for line in run.metrics if is_number(line.get("reward")) and is_number(line.get("step"))]
    shares = {
        case.value: [line[case_key(case)] if is_number(line.get(case_key(case))) else 0.0 for line in steps]
        for case in reversed(RewardCase)
    }
    return shares if any(map(any, shares.values())) else {}


def _evaluation(runs: Sequence[Run]) -> str:
    ours = tables.evaluations(runs)
    if not ours:
        return ""
    fold = "<details><summary>The paper's Tables 3 and 4: other models, on other requests"
    head = "<p class=facts>percent, with 95 % intervals</p>"
    return f"{head}{ours}{fold}</summary>{tables.paper_tables()}</details>"


def _experiment(results: dict[str, Any]) -> str:
    n = len(results["seeds"])
    seeds = f"seeds: {n}" + ("; one seed gives no interval" if n < 2 else "")
    told = text(f"{results['command']} · {results['machine']} · {seeds}")
    head = f"<h3>{text(results['title'])}</h3><p class=facts>{told}</p>"
    columns = columns_of(results)
    body = tables.experiment(columns, results["rows"])
    drawn = _charts(lambda: (_environments if results["kind"] == "robustness" else _bars)(results, columns))
    notes = "<p class=facts>percent: mean over the seeds (difference from the first row, with its 95 % interval)</p>"
    return f"{head}{drawn}<details><summary>Table</summary>{notes}{body}</details>\n"


def _bars(results: dict[str, Any], columns: Sequence[Column]) -> Iterable[str]:
    from tl.report.charts import bar_chart, group_chart

    for column in columns:
        bars = [bar for row in results["rows"] if (bar := _bar(row, column.key))]
        if bars:
            yield bar_chart(f"{column.table}: {column.head}", bars)
    for sweep in results["sweeps"].values():  # CF over the values of a setting
        for column in columns:
            if column.title == "CF":
                lines = {c["name"]: [_bar(point, column.key) for point in c["points"]] for c in sweep["curves"]}
                yield group_chart(f"{sweep['title']}: {column.table}, CF", [f"{x:g}" for x in sweep["x"]], lines)


def _environments(results: dict[str, Any], columns: Sequence[Column]) -> Iterable[str]:
    from tl.report.charts import group_chart

    for metric in dict.fromkeys(column.title for column in columns):
        own = [column for column in columns if column.title == metric]
        lines = {row["name"]: [_bar(row, column.key) for column in own] for row in results["rows"]}
        yield group_chart(f"{metric}, %", [column.table.removeprefix("Environment: ") for column in own], lines)


def _bar(row: dict[str, Any], key: str) -> Bar | None:
    from tl.report.charts import Bar

    mean = row["mean"][key]
    return None if mean is None else Bar(row["name"], mean, row["interval"][key])


def _data(data: Sequence[DataColumn]) -> str:
    def draw() -> Iterable[str]:
        from tl.report.charts import Bar, bar_chart

        for i, column in enumerate(data):
            figures = column.figures
            n = sum(figures["errors by category"].values())
            share = 100 * figures["trajectories with errors"]["share"]
            bars = [Bar(name, 100 * count / n, None) for name, count in figures["errors by category"].items() if n]
            if bars:
                yield bar_chart(f"Errors by category, %; {share:.0f} % of {column.name} have any", bars, colour=i)

    if not data:
        return ""
    flat = [name for name in data[0].figures if name not in NESTED]
    rows = [[name, *(cell(column.figures[name]) for column in data)] for name in flat]
    told = "spreads are median / 95th percentile / maximum; in the paper's set 17 % of the trajectories have errors. "
    told += "A generated set is made again here from its seed: code that has changed since may make another one."
    return _charts(draw) + f"<p class=facts>{told}</p>" + tables.table(["", *(c.name for c in data)], rows)
