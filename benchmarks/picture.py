"""Draws the scores of a run of train_sft.py over the minutes of its training, as an SVG file.

    python train_sft.py --eval_every 50 --out runs/picture
    python -m benchmarks.picture --run runs/picture --out docs/default_run.svg

The run's own log is all that is read. Needs the optional package matplotlib.
"""

import argparse
import json
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

SCORES = {"ts": "right tool (TS)", "pi": "and right parameters (PI)", "cf": "whole call right (CF)"}
LABEL_HEIGHT = {"ts": 1, "pi": -9, "cf": -4}  # points above the end of the line
STYLE = {"svg.hashsalt": "picture", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
COLOURS = {"ts": "#2a78b8", "pi": "#c77f1a", "cf": "#3a9a5b"}


def scores_over_time(log: str) -> list[dict[str, float]]:
    """The evaluations in a metrics.jsonl, each with the ``minutes`` of training before it."""
    minutes, evaluations = 0.0, []
    for row in map(json.loads, log.splitlines()):
        if "tokens_per_second" in row:  # the mean since the start
            minutes = row["tokens"] / row["tokens_per_second"] / 60
        elif "ts" in row:
            evaluations.append({"minutes": minutes} | {name: row[name] for name in SCORES})
    return evaluations


def draw(evaluations: list[dict[str, float]]) -> Figure:
    figure = Figure((7.2, 2.9), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd")
    minutes = [row["minutes"] for row in evaluations]
    for name, label in SCORES.items():
        values = [row[name] for row in evaluations]
        axes.plot(minutes, values, color=COLOURS[name], marker="o", markersize=3.5)
        axes.annotate(
            label, (minutes[-1], values[-1]), (8, LABEL_HEIGHT[name]), textcoords="offset points", color=COLOURS[name]
        )
    axes.set_xlabel("minutes of training on two CPU cores")
    axes.set_ylabel("held-out calls, %")
    axes.set_ylim(0, 100)
    axes.set_xlim(left=0)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--run", type=Path, default=Path("runs/picture"), help="folder of the run (default: %(default)s)"
    )
    parser.add_argument("--out", default="docs/default_run.svg", help="SVG file to write (default: %(default)s)")
    arguments = parser.parse_args()
    evaluations = scores_over_time((arguments.run / "metrics.jsonl").read_text(encoding="utf-8"))
    with matplotlib.rc_context(STYLE):
        draw(evaluations).savefig(arguments.out, metadata={"Date": None})
    for row in evaluations:
        print("  ".join(f"{name} {value:.1f}" for name, value in row.items()))


if __name__ == "__main__":
    main()
