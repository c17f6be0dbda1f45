"""The results of an experiment as JSON and Markdown.

The folder of an experiment gets KIND.md and KIND.json, rewritten after every seed::

    {"version": 1, "kind": "ablation" | "robustness" | "craft", "title", "command", "machine", "quick": bool,
     "seeds": [0, 1, 2],                         the complete ones
     "budget": {"share", "requests", "episodes",    of the default training; items of a suite
                "calls"},                        sampled by each way of craft
     "seconds": {"sft", "ppo", "evaluation", …},    of all parts
     "columns": [{"key": "held-out.ts", "table": "Seen toolkits", "title": "TS", "higher_is_better": bool,
                  "n": [items, or episodes, per seed], …}],
     "rows": [{"name": "none", "parts": ["MAE", …], "seconds": {"sft": [per seed], …},
               "costs": {"sampled tokens": [per seed], …},      of craft
               "errors": [per seed, why the row has no values, or null],
               "values": {KEY: [per seed, percent or null]},
               "mean": {KEY: …}, "interval": {KEY: [low, high] or null},
               "difference": {KEY: {"mean", "interval", "items": [low, high] or null}},
                             null in the first row, which is the reference}],
     "sweeps": {"w_max": {"title", "x": [1, 3, 9, 27], "curves": [{"name": "PKT", "points": [a row for each x]}]}}}

Intervals are 95 % (see `tl.experiments.comparison`). "interval" is null with one seed, "items" is not. "sweeps" is
empty without --sweeps.
"""

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import torch

from tl.experiments.ablation import Experiment, Variant, add_groups
from tl.experiments.comparison import T_975, Values, item_table, markdown_lines, over_items, row_json, tables
from tl.experiments.parts import Part, duration
from tl.experiments.plan import Plan
from tl.files import write_whole


def results_json(experiment: Experiment, plan: Plan, seeds: Sequence[int], **about: object) -> dict:
    """The results over ``seeds``, whose parts must all be finished."""
    reports = {
        variant: [report(experiment, plan, variant, seed) for seed in seeds] for variant in experiment.everything
    }
    values: dict[Variant, dict[str, Values]] = {
        variant: {c.key: [c.value(report) if report else None for report in of_seeds] for c in experiment.columns}
        for variant, of_seeds in reports.items()
    }
    reference, *others = experiment.variants
    n_items = {c: [c.items(report) for report in reports[reference] if report] for c in experiment.columns}

    def row(variant: Variant, against: dict[str, Values] | None) -> dict:
        # A fine-tuning that variants share is counted with each of them.
        each = [seconds_of(plan.parts_of(experiment, variant, seed)) for seed in seeds]
        seconds = {kind: [of_seed[kind] for of_seed in each] for kind in each[0]}
        row = row_json(variant.name, values[variant], against, parts=variant.parts, seconds=seconds)
        errors = [plan.error(experiment, variant, seed) for seed in seeds]
        costs = [
            {} if error else plan.costs(experiment, variant, seed) for seed, error in zip(seeds, errors, strict=True)
        ]
        heads = plan.costs(experiment, reference, seeds[0])
        for column in experiment.columns if against else ():
            row["difference"][column.key]["items"] = over_items(column, reports[variant], reports[reference])
        return row | {"costs": {head: [of.get(head) for of in costs] for head in heads}, "errors": errors}

    def curve(name: str, points: Sequence[Variant]) -> dict:
        return {"name": name, "points": [row(point, None) for point in points]}

    return {
        "version": 1,
        "kind": experiment.kind,
        "title": experiment.title,
        **about,
        "machine": machine(),
        "seeds": list(seeds),
        "budget": asdict(plan.budget),
        "seconds": seconds_of(part for seed in seeds for part in plan.parts(experiment, seed)),
        "columns": [column.to_json() | {"n": n} for column, n in n_items.items()],
        "rows": [row(reference, None), *(row(variant, values[reference]) for variant in others)],
        "sweeps": {
            sweep.key: {
                "title": sweep.title,
                "x": list(sweep.x),
                "curves": [curve(name, points) for name, points in sweep.curves.items()],
            }
            for sweep in experiment.sweeps
        },
    }


def report(experiment: Experiment, plan: Plan, variant: Variant, seed: int) -> dict | None:
    """The evaluation's report; None if the variant was left out."""
    if plan.error(experiment, variant, seed):
        return None
    found = plan.evaluation(experiment, variant, seed).report()
    add_groups(found, experiment, seed, plan.base)
    return found


def seconds_of(parts: Iterable[Part]) -> dict[str, float]:
    """Kind of part -> seconds of all parts of that kind."""
    taken: dict[str, float] = defaultdict(float)
    for part in parts:
        taken[part.kind] += part.seconds() or 0.0
    return taken


def machine() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return f"{os.cpu_count()} CPU cores, {device}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def write(results: dict, experiment: Experiment, out: Path) -> None:
    """Writes KIND.json and KIND.md to ``out``."""
    write_whole(out / f"{experiment.kind}.json", json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    write_whole(out / f"{experiment.kind}.md", markdown(results, experiment))


def tables_of(results: dict, experiment: Experiment) -> dict[str, list[list[str]]]:
    """The tables of the rows, of the sweeps and of the paper."""
    found = tables(experiment.columns, results["rows"])
    found |= item_table(experiment.columns, results["rows"]) if len(results["seeds"]) > 1 else {}
    found |= cost_table(results["rows"])
    for sweep in results["sweeps"].values():
        points = [
            point | {"name": f"{curve['name']}, {x:g}"}
            for curve in sweep["curves"]
            for x, point in zip(sweep["x"], curve["points"], strict=True)
        ]
        found |= {f"{sweep['title']}: {name}": table for name, table in tables(experiment.columns, points).items()}
    return found | experiment.paper


def cost_table(rows: Sequence[dict]) -> dict[str, list[list[str]]]:
    """The costs' means over the seeds; empty if the rows have no costs."""
    if not rows[0]["costs"]:
        return {}
    heads = ["", *rows[0]["costs"]]
    means = [[None if None in each else fmean(each) for each in row["costs"].values()] for row in rows]
    cells = [["–" if mean is None else f"{mean:,.0f}" for mean in of_row] for of_row in means]
    return {"Costs": [heads, *([row["name"], *of_row] for row, of_row in zip(rows, cells, strict=True))]}


def notes(results: dict, experiment: Experiment) -> list[str]:
    """What was run, on which machine, how long it took, and how to read the tables."""
    seeds, seconds, budget = results["seeds"], results["seconds"], results["budget"]
    steps = "" if budget["max_steps"] is None else f", {budget['max_steps']} steps at most"
    sampled = f"{budget['calls']} calls sampled by each way; " if budget["calls"] else ""
    taken = ", ".join(f"{duration(s)} {kind}" for kind, s in seconds.items() if s)
    over_seeds = "over the seeds, with its 95 % t-interval"
    over_items = (
        "request by request, with its 95 % interval over the requests: whether these models would differ on other "
        "requests. What another training would give is not known from one seed"
    )
    return [
        f"{results['command']}; {results['machine']}",
        f"seeds {', '.join(map(str, seeds))}; {budget['share']:.0%} of the default training{steps}; {sampled}"
        f"at most {budget['requests']} requests and {budget['episodes']} episodes a suite",
        f"took {duration(sum(seconds.values()))}: {taken}",
        f"percent; in brackets the difference from '{results['rows'][0]['name']}', paired "
        f"{over_seeds if len(seeds) > 1 else over_items}",
        *([resolution(len(seeds))] if len(seeds) > 1 else []),
        *experiment.notes,
        *(
            f"{row['name']}, seed {seed}, is left out: {error}"
            for row in results["rows"]
            for seed, error in zip(seeds, row["errors"], strict=True)
            if error
        ),
    ]


def resolution(n: int) -> str:
    """A sentence on how large a difference must be for an interval over ``n`` seeds to exclude 0."""
    least = T_975[min(n - 1, len(T_975)) - 1] / n**0.5
    return (
        f"an interval of {n} seeds leaves out 0 where the mean difference is more than {least:.1f} times the seeds' "
        "standard deviation: a smaller difference is not shown, and not shown to be none"
    )


def markdown(results: dict, experiment: Experiment) -> str:
    head = [f"# {experiment.title}", "", *(f"- {note}" for note in notes(results, experiment)), ""]
    return "\n".join([*head, *markdown_lines(tables_of(results, experiment))])
