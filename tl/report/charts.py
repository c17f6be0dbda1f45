"""Charts as inline SVG in the colours of the page, drawn by matplotlib, an optional package imported only here."""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import count
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tl.report import tables
from tl.report.tables import N_COLOURS

INK, GRID = "#fe0100", "#fe0200"  # placeholders, which `svg` replaces by the page's colour variables
COLOURS = [f"#fe03{i:02}" for i in range(N_COLOURS)]
STYLE = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **{"axes.edgecolor": GRID, "grid.color": GRID, "axes.grid": True, "grid.linewidth": 0.6, "axes.axisbelow": True},
    **{"axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none", "font.size": 9},
    **{"font.family": "sans-serif", "svg.hashsalt": "report"},
    "figure.constrained_layout.use": True,
}
SMOOTHED_FROM = 60  # curves of at least this many points get a running mean
_numbers = count()


class Line(NamedTuple):
    """A curve in the colour of its run."""

    x: Sequence[float]
    y: Sequence[float]
    colour: int


class Bar(NamedTuple):
    """A value with its 95 % interval, if that is known."""

    label: str
    value: float
    interval: tuple[float, float] | None


def line_chart(title: str, lines: Sequence[Line]) -> str:
    """Curves over steps. Long ones are faint, with a running mean over a fiftieth of their points."""
    figure, axes = _axes(2.4)
    for line in lines:
        colour = COLOURS[line.colour % N_COLOURS]
        long = len(line.x) >= SMOOTHED_FROM
        marker = "o" if len(line.x) < 20 else None
        axes.plot(line.x, line.y, color=colour, alpha=0.25 if long else 1, linewidth=1.4, marker=marker, markersize=3)
        if long:
            axes.plot(line.x, running_mean(line.y, len(line.y) // 50 + 1), color=colour, linewidth=1.6)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return captioned(figure, title)


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and up to `window` - 1 before it."""
    return [sum(part) / len(part) for part in (values[max(0, i + 1 - window) : i + 1] for i in range(len(values)))]


def share_chart(title: str, steps: Sequence[float], shares: Mapping[str, Sequence[float]]) -> str:
    """Shares of a whole over steps, stacked."""
    figure, axes = _axes(2.4)
    colours = [COLOURS[i % N_COLOURS] for i in range(len(shares))]
    axes.stackplot(steps, *shares.values(), colors=colours, linewidth=0)
    axes.set_ylim(0, 1)
    if len(set(steps)) > 1:
        axes.set_xlim(min(steps), max(steps))
    axes.set_xlabel("step")
    return captioned(figure, title, key=list(shares))


def bar_chart(title: str, bars: Sequence[Bar], colour: int = 0) -> str:
    """Horizontal bars in percent with their intervals, the first at the top."""
    figure, axes = _axes(0.75 + 0.24 * len(bars))
    places = range(len(bars))
    axes.barh(places, [bar.value for bar in bars], color=COLOURS[colour % N_COLOURS], alpha=0.75, height=0.62)
    ends = [max(bar.value, bar.interval[1] if bar.interval else 0) for bar in bars]
    for place, bar, end in zip(places, bars, ends, strict=True):
        if bar.interval:
            axes.plot(bar.interval, (place, place), color=INK, linewidth=1.3, marker="|", markersize=6)
        axes.annotate(f"{bar.value:.1f}", (end, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(places, [bar.label for bar in bars])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlim(0, max(1, 1.14 * max(ends)))
    return captioned(figure, title)


def group_chart(title: str, groups: Sequence[str], lines: Mapping[str, Sequence[Bar | None]]) -> str:
    """A line for each name through its values in the groups, with their intervals."""
    figure, axes = _axes(2.7)
    for i, bars in enumerate(lines.values()):
        colour, shift = COLOURS[i % N_COLOURS], 0.06 * (i - (len(lines) - 1) / 2)
        known = [(place + shift, bar) for place, bar in enumerate(bars) if bar]
        axes.plot([x for x, _ in known], [b.value for _, b in known], color=colour, marker="o")
        for x, bar in known:
            if bar.interval:
                axes.plot((x, x), bar.interval, color=colour, linewidth=1.2, marker="_")
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylim(bottom=0)
    return captioned(figure, title, key=list(lines))


def _axes(height: float) -> tuple[Figure, Axes]:
    with matplotlib.rc_context(STYLE):
        figure = Figure((3.9, height))
        axes = figure.add_subplot()
    return figure, axes


def captioned(figure: Figure, title: str, key: Sequence[str] = ()) -> str:
    """The content of a figure element of the page: the caption, the chart, and a key that maps the names to the
    colours, in order."""
    explained = tables.key(enumerate(key)) if key else ""
    return f"<figcaption>{escape(title)}</figcaption>{svg(figure, title)}{explained}"


def svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element that takes colours, fonts and size from the page."""
    out = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(out, format="svg", transparent=True)
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", out.getvalue(), flags=re.DOTALL)
    box = re.findall(r'viewBox="[\d. ]+"', text)[0]
    start = f'<svg class="chart" role="img" aria-label="{escape(title)}" {box}>'
    text = start + text.partition("<svg")[2].partition(">")[2]
    number = next(_numbers)  # ids must be unique in a page
    text = re.sub(r'(?<=\bid=")|(?<=url\(#)|(?<=href="#)', f"g{number}-", text).replace("xlink:href", "href")
    text = text.replace(INK, "var(--ink)").replace(GRID, "var(--line)")
    return re.sub(r"#fe030(\d)", r"var(--c\1)", text)
