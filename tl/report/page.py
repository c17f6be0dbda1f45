"""The report: sections of tables and charts, and a browser, in one page that needs nothing from elsewhere."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tl.irm import RewardCase
from tl.report import browser, tables
from tl.report.runs import Run, as_list, is_number
from tl.report.samples import fill, resource, text
from tl.report.views import SampleView

NO_PICTURES = "Charts need matplotlib: pip install matplotlib, then write the report again. All tables are here."
CURVES = {
    "loss": "Loss",
    "eval_loss": "Loss on held-out calls",
    "reward": "Mean reward of a rollout",
    "eval_reward": "Mean reward of greedy held-out calls",
    "ts": "TS, held-out, %",
    "pi": "PI, held-out, %",
    "cf": "CF, held-out, %",
    "right_answers": "Episodes with the right answer, share",
    "kl": "KL to the SFT model, nats a rollout",
    "entropy": "Entropy, nats a token",
    "approx_kl": "Approximate KL of the updates",
    "clip_fraction": "Share of clipped tokens",
    "ratio": "Mean ratio π / π_old",
    "value_loss": "Value loss",
    "explained_variance": "Explained variance of the critic",
    "response_length": "Tokens of a rollout",
    "tokens_per_second": "Throughput, tokens a second",
    "grad_norm": "Gradient norm",
}
SHARE = "share of "  # in front of a reward case in metrics.jsonl


@dataclass
class DataColumn:
    """A training set: figures as `python -m tl stats` gives them, and samples to look at."""

    name: str
    figures: dict[str, Any]
    views: list[SampleView] = field(default_factory=list)


def report(runs: Sequence[Run], data: Sequence[DataColumn], title: str, items: int) -> str:
    """The page; `items` is how many rollouts of a run, and answers of a suite, it holds."""
    articles = [a for column in data for a in browser.samples(column.views, column.name)]
    articles += [a for run in runs for a in (*browser.rollouts(run, items), *browser.answers(run, items))]
    sections = {
        "Runs": _overview(runs),
        "Training": _curves(runs),
        "Evaluation": _evaluation(runs),
        "Experiments": "".join(_experiment(e) for run in runs for e in run.experiments),
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
        "articles": "\n".join(html for _, html in articles),
        **{name: browser.choices(articles, name) for name in ("runs", "kinds", "categories", "tools")},
    }
    return fill(resource("report.html"), parts)


def has_charts() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def _charts(draw: Callable[[], Iterable[str]]) -> str:
    """Charts side by side, or a line that says what they need. `draw` is called only where it is there."""
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


def _legend(runs: Sequence[Run]) -> str:
    key = tables.key((i, run.name) for i, run in enumerate(runs) if run.metrics)
    told = "The last scores of a training are on all held-out requests, those before on --eval_items of them."
    return f"{key}<p class=facts>{told}</p>"


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

    drawn = _charts(draw)
    return _legend(runs) + drawn if drawn else ""


def _case_shares(run: Run) -> dict[str, list[float]]:
    """Case of the reward -> its share at each step that has a reward; all cases, so that each has the same colour in
    all runs, or nothing where no step has any."""
    steps = [line for line in run.metrics if is_number(line.get("reward")) and is_number(line.get("step"))]
    shares = {
        case.value: [line[SHARE + case.value] if is_number(line.get(SHARE + case.value)) else 0.0 for line in steps]
        for case in reversed(RewardCase)
    }
    return shares if any(map(any, shares.values())) else {}


def _evaluation(runs: Sequence[Run]) -> str:
    ours = tables.evaluations(runs)
    if not ours:
        return ""
    fold = "<details><summary>The paper's Tables 3 and 4: other models, on other requests than our own sets"
    head = "<p class=facts>percent, with Wilson's 95 % interval</p>"
    return f"{head}{ours}{fold}</summary>{tables.paper_tables()}</details>"


def _experiment(results: dict[str, Any]) -> str:
    n = len(as_list(results.get("seeds")))
    told = f"{results.get('command', '')} · {results.get('machine', '')} · seeds: {n}"
    if n < 2:
        told += "; one seed gives no interval"
    head = f"<h3>{text(str(results.get('title', 'Experiment')))}</h3><p class=facts>{text(told)}</p>"
    rows = [row for row in results["rows"] if isinstance(row, dict)]
    drawn = _charts(lambda: (_environments if results.get("kind") == "robustness" else _bars)(results | {"rows": rows}))
    notes = "<p class=facts>percent: mean over the seeds (difference from the first row, with its 95 % interval)</p>"
    body = tables.experiment(results | {"rows": rows})
    return f"{head}{drawn}<details><summary>Table</summary>{notes}{body}</details>\n"


def _bars(results: dict[str, Any]) -> Iterable[str]:
    from tl.report.charts import bar_chart

    for group, columns in tables.grouped(results).items():
        for column in columns:
            bars = [bar for row in results["rows"] if (bar := _bar(row, column["key"]))]
            if bars:
                yield bar_chart(f"{group}: {tables.column_title(column)}", bars)
    sweeps = results.get("sweeps")
    for sweep in sweeps.values() if isinstance(sweeps, dict) else ():
        yield from _sweep(sweep, tables.grouped(results))


def _sweep(sweep: dict[str, Any], groups: dict[str, list[dict]]) -> Iterable[str]:
    """CF over the values of a setting."""
    from tl.report.charts import group_chart

    for group, columns in groups.items():
        for column in columns:
            if column.get("title") == "CF":
                lines = {c["name"]: [_bar(point, column["key"]) for point in c["points"]] for c in sweep["curves"]}
                yield group_chart(f"{sweep['title']}: {group}, CF", [f"{x:g}" for x in sweep["x"]], lines)


def _environments(results: dict[str, Any]) -> Iterable[str]:
    from tl.report.charts import group_chart

    groups = tables.grouped(results)
    metrics = dict.fromkeys(str(c.get("title")) for columns in groups.values() for c in columns)
    for metric in metrics:
        keys = [next((c["key"] for c in columns if c.get("title") == metric), "") for columns in groups.values()]
        lines = {str(row.get("name")): [_bar(row, key) for key in keys] for row in results["rows"]}
        yield group_chart(f"{metric}, %", [name.removeprefix("Environment: ") for name in groups], lines)


def _bar(row: dict[str, Any], key: str) -> Any:
    from tl.report.charts import Bar

    mean = tables.value_of(row, key, "mean")
    bounds = tables.interval(tables.value_of(row, key, "interval"))
    return Bar(str(row.get("name", "")), mean, bounds) if is_number(mean) else None


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
    names = {name for column in data for name in column.figures}
    flat = [name for name in data[0].figures if name in names and name not in NESTED]
    rows = [[name, *(_figure(column.figures.get(name)) for column in data)] for name in flat]
    told = "spreads are median / 95th percentile / maximum; in the paper's set 17 % of the trajectories have errors. "
    told += "A generated set is made again here from its seed: code that has changed since may make another one."
    return _charts(draw) + f"<p class=facts>{told}</p>" + tables.table(["", *(c.name for c in data)], rows)


NESTED = ("errors by category", "families of tool names", "key tokens in a trained call")


def _figure(value: Any) -> str:
    from tl.report.figures import cell

    return "–" if value is None else cell(value)
