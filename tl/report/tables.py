"""The tables of the report. Everything that comes from files is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tl.evaluation import paper
from tl.evaluation.compare import by_key
from tl.experiments import comparison
from tl.experiments.comparison import Column
from tl.report.runs import Run, is_number
from tl.report.samples import text

# Name of a suite in evaluate.py's report -> its name in the paper's Table 3.
PAPER_SUITES = {"toolalpaca": "ToolAlpaca", "rotbench": "RoTBench", "bfcl": "BFCL-v3"}
PAPER_EPISODES = "tooleyes"
EPISODE_SHARES = {
    "DE ↓": ("de", "n_calls"),
    "CE ↓": ("ce", "n_calls"),
    "VA ↑": ("va", "n_servable"),
    "real ↑": ("real", "n_servable"),
    "answers ↑": ("answer_accuracy", "n_answerable"),
    "refusals ↑": ("refusal_accuracy", "n_refusals"),
}
LAST = {
    "steps": ("step", ",.0f"),
    "tokens": ("tokens", ",.0f"),
    "tokens/s": ("tokens_per_second", ",.0f"),
    "loss": ("loss", ".3f"),
    "held-out loss": ("eval_loss", ".3f"),
    "TS %": ("ts", ".1f"),
    "PI %": ("pi", ".1f"),
    "CF %": ("cf", ".1f"),
    "reward": ("reward", "+.2f"),
    "held-out reward": ("eval_reward", "+.2f"),
    "margin": ("margin", ".3f"),
    "accuracy": ("accuracy", ".3f"),
    "AUC": ("auc", ".3f"),
    "calibration error": ("calibration_error", ".3f"),
    "KL": ("kl", ".3f"),
    "entropy": ("entropy", ".3f"),
}
N_COLOURS = 10  # --c0 … --c9 of the page's style
PLACES = ("out", "overwrite", "resume", "allow_changes", "dry_run", "models")  # settings without effect on learning


def swatch(colour: int) -> str:
    return f"<i style='background: var(--c{colour % N_COLOURS})'></i>"


def key(names: Iterable[tuple[int, str]]) -> str:
    """A key that explains the colours."""
    spans = "".join(f"<span>{swatch(colour)}{text(name)}</span>" for colour, name in names)
    return f"<p class='key facts'>{spans}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], quiet: Iterable[Sequence[str]] = ()) -> str:
    """An HTML table of texts; the first of each row is its name. `quiet` rows follow in another colour."""
    cells = "".join(f"<th>{text(cell)}" for cell in head)
    body = "".join(f"<tr>{_cells(row)}" for row in rows) + "".join(f"<tr class=quiet>{_cells(row)}" for row in quiet)
    return f"<div class=wide><table><thead><tr>{cells}</thead><tbody>{body}</tbody></table></div>\n"


def _cells(row: Sequence[str]) -> str:
    return f"<th>{text(row[0])}" + "".join(f"<td>{text(cell)}" for cell in row[1:])


def overview(runs: Sequence[Run]) -> str:
    """One row per run: the last values of its log."""
    used = {name: spec for name, spec in LAST.items() if any(run.curve(spec[0])[1] for run in runs)}
    rows = [
        [run.name, run.kind, *(number(run.last(key), form) for key, form in used.values())]
        for run in runs
        if run.metrics
    ]
    return table(["run", "kind", *used], rows) if rows else ""


def settings(runs: Sequence[Run]) -> str:
    """The settings of the runs; with several runs, those that differ come first and are highlighted."""
    runs = [run for run in runs if run.settings]
    if not runs:
        return ""
    keys = dict.fromkeys(key for run in runs for key in run.settings if key not in PLACES)
    rows = [[key, *(shown(run.settings.get(key, "–")) for run in runs)] for key in keys]
    differ = [row for row in rows if len(set(row[1:])) > 1]
    head = ["setting", *(run.name for run in runs)]
    return table(head, differ or rows, [row for row in rows if row not in differ] if differ else ())


def shown(value: Any) -> str:
    if value is None or value == []:
        return "default"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def evaluations(runs: Sequence[Run]) -> str:
    """A table for each suite: the runs, and the paper's rows if the suite is one of its benchmarks."""
    html = ""
    for name in dict.fromkeys(name for run in runs for name in run.suites):
        found = [(run.name, run.suites[name]) for run in runs if name in run.suites]
        title = str(found[0][1].get("title", name))
        html += f"<h3>{text(title)}</h3>\n" + (_episodes if "de" in found[0][1] else _single_turn)(name, found)
        notes = found[0][1].get("notes")
        told = [*_other_items([suite for _, suite in found]), *(notes if isinstance(notes, list) else ())]
        html += "".join(f"<p class=facts>{text(str(note))}</p>" for note in told)
    return html


def _other_items(suites: Sequence[Mapping]) -> list[str]:
    """A line if the suites are not of the same items."""
    first, *others = (by_key(suite).keys() for suite in suites)
    if all(items == first for items in others):
        return []
    shared = len(set(first).intersection(*others))
    return [f"the rows are not of the same items, of which they share {shared}: evaluate.py --compare pairs these"]


def _single_turn(name: str, found: Sequence[tuple[str, Mapping]]) -> str:
    rows = []
    for run, suite in found:
        for scoring in suite["scorings"]:
            scores, between = suite[scoring], suite["intervals"][scoring]
            n = scores["n"]
            of = {"ts": n, "pi": n, "cf": scores.get("n_cf", n)}
            if n:
                shares = (with_interval(scores[key], of[key], between[key]) for key in of)
                rows.append([f"{run}, {scoring}", number(n, ".0f"), *shares])
    theirs = paper.single_turn_rows(PAPER_SUITES[name]) if name in PAPER_SUITES else {}
    quiet = [[f"paper: {model}", "", *(f"{value:.2f}" for value in row)] for model, row in theirs.items()]
    return table(["", "n", "TS ↑", "PI ↑", "CF ↑"], rows, quiet)


def _episodes(name: str, found: Sequence[tuple[str, Mapping]]) -> str:
    rows = [
        [
            run,
            number(suite["n"], ".0f"),
            *(with_interval(suite[k], suite[n], suite["intervals"][k]) for k, n in EPISODE_SHARES.values()),
        ]
        for run, suite in found
    ]
    theirs = paper.TABLE_4 if name == PAPER_EPISODES else {}
    quiet = [[f"paper: {model}", "", *(f"{value:.2f}" for value in row), *[""] * 3] for model, row in theirs.items()]
    return table(["", "n", *EPISODE_SHARES], rows, quiet)


def with_interval(share: Any, n: Any, between: Sequence[float]) -> str:
    """A percentage of n with its 95 % interval."""
    if not (is_number(share) and n):
        return "–"
    low, high = between
    return f"{share:.1f} [{low:.0f}, {high:.0f}]"


def paper_tables() -> str:
    """The paper's Tables 3 and 4, about other models and requests than ours."""
    three = ["", *(f"{suite} {metric}" for suite in paper.SUITES for metric in ("TS", "PI", "CF"))]
    rows = [[model, *(f"{value:.2f}" for value in row)] for model, row in paper.TABLE_3.items()]
    four = [[model, *(f"{value:.2f}" for value in row)] for model, row in paper.TABLE_4.items()]
    return table(three, rows) + table(["ToolEyes", "DE ↓", "CE ↓", "VA ↑"], four)


def experiment(columns: Sequence[Column], rows: Sequence[dict]) -> str:
    """A table for each group of columns: means, and differences from the first row with their intervals."""
    found = comparison.tables(columns, rows).items()
    return "".join(f"<h3>{text(title)}</h3>\n" + table(head, lines) for title, (head, *lines) in found)


def number(value: Any, form: str) -> str:
    return format(value, form) if is_number(value) else "–"
