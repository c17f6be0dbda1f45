"""The paper's ablation (section 5.3, Table 5) on the embedded model: each of MAE, PKT and IRM alone and all together.

Eight variants need four fine-tunings per seed, since IRM is PPO from the checkpoint of a fine-tuning. Requests whose
golden tool shares the beginning of its name with another tool of the prompt are also reported separately, since PKT
aims at them. The sweeps, which the paper does not have, vary PKT's maximum weight and, with and without MAE, the share
of trajectories with errors. `tl.experiments.results` documents the results file, ablation.json.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

from tl.evaluation.paper import TABLE_5
from tl.evaluation.results import summary
from tl.evaluation.suites import Suite
from tl.evaluation.suites.catalogue import expanded, read_suites
from tl.experiments.comparison import Column, episode_columns, single_turn_columns
from tl.llama.tokenizer import Tokenizer
from tl.metrics import CallScore, Question
from tl.pkt import key_positions
from tl.prompt import name_ids
from tl.synthesis import MIX

SHARED = "shared prefix"  # group of requests whose golden tool's name begins with the same token as another tool's
APART = "other names"
ERRORS = MIX[1]


@dataclass(frozen=True)
class Variant:
    """How a model is trained. ``errors`` is the percentage of generated requests with erroneous calls."""

    name: str
    mae: bool = False
    pkt: bool = False
    irm: bool = False
    w_max: float = 9.0
    errors: float = ERRORS

    @property
    def parts(self) -> list[str]:
        return [name for name in ("MAE", "PKT", "IRM") if getattr(self, name.lower())]


@dataclass(frozen=True)
class Sweep:
    """Curves over the values ``x`` of one setting, each a variant per value."""

    key: str
    title: str
    x: tuple[float, ...]
    curves: dict[str, tuple[Variant, ...]]


@dataclass(frozen=True)
class Experiment:
    """Variants, the first of which is the reference, and the suites that they are evaluated on."""

    kind: str
    title: str
    variants: tuple[Variant, ...]
    suites: tuple[str, ...]
    columns: tuple[Column, ...]
    sweeps: tuple[Sweep, ...] = ()
    notes: tuple[str, ...] = ()
    leaves_out: bool = False  # a variant of which a part fails, and goes on; never the reference
    paper: dict[str, list[list[str]]] = field(default_factory=dict)  # tables of the paper, to be shown with ours

    @property
    def everything(self) -> list[Variant]:
        """The variants of all rows and curves."""
        points = (variant for sweep in self.sweeps for curve in sweep.curves.values() for variant in curve)
        return [*self.variants, *points]


NONE, MAE, PKT = Variant("none"), Variant("MAE", mae=True), Variant("PKT", pkt=True)
VARIANTS = (
    NONE,
    MAE,
    PKT,
    Variant("IRM", irm=True),
    Variant("MAE + PKT", mae=True, pkt=True),
    Variant("MAE + IRM", mae=True, irm=True),
    Variant("PKT + IRM", pkt=True, irm=True),
    Variant("all", mae=True, pkt=True, irm=True),
)

COLUMNS = (
    *single_turn_columns("Seen toolkits", "held-out"),
    *single_turn_columns("Seen toolkits, names with a shared prefix", "held-out", SHARED),
    *single_turn_columns("Unseen toolkits", "unseen-tools"),
    *single_turn_columns("Unseen toolkits, names with a shared prefix", "unseen-tools", SHARED),
    *episode_columns("Episodes", "episodes"),
)

# With w_max 1, PKT has no effect, and without erroneous calls neither has MAE, so the curves share these points.
NO_ERRORS = replace(NONE, errors=0)
SWEEPS = (
    Sweep(
        "w_max", "Largest weight w_max", (1, 3, 9, 27), {"PKT": (NONE, *(replace(PKT, w_max=w) for w in (3, 9, 27)))}
    ),
    Sweep(
        "errors",
        "Trajectories with erroneous calls, percent",
        (0, ERRORS, 40),
        {"none": (NO_ERRORS, NONE, replace(NONE, errors=40)), "MAE": (NO_ERRORS, MAE, replace(MAE, errors=40))},
    ),
)

ABLATION = Experiment(
    "ablation",
    "Ablation (Table 5): what MAE, PKT and IRM do to the embedded model",
    VARIANTS,
    ("held-out", "unseen-tools", "episodes"),
    COLUMNS,
    notes=(
        "shared prefix: the golden tool's name begins with the token that another tool of the prompt begins with",
        "eight rows and many columns: of a hundred intervals about five miss 0 by chance",
    ),
    paper={
        "The paper's Table 5, CodeLLaMA-2 7B: ToolAlpaca, RoTBench, ToolEyes": [
            ["", *("TS ↑", "PI ↑", "CF ↑") * 2, "DE ↓", "CE ↓", "VA ↑"],
            *([name, *(f"{value:.2f}" for value in row)] for name, row in TABLE_5.items()),
        ]
    },
)
# Benchmark -> the scoring that its published results use; strict for all other suites.
SCORINGS = {"rotbench": "official", "toolalpaca": "arguments", "bfcl": "executed", "bfcl-ast": "accepted"}
EPISODES = ("episodes", "tooleyes")
ENVIRONMENTS = tuple(expanded("held-out:all"))
ROBUSTNESS = Experiment(
    "robustness",
    "Robustness (Figure 4): standard fine-tuning and all parts where names of tools are noisy",
    (NONE, VARIANTS[-1]),
    ENVIRONMENTS,
    tuple(
        column
        for suite in ENVIRONMENTS
        for column in single_turn_columns(f"Environment: {suite.partition(':')[2] or 'clean'}", suite)
    ),
)


def ablation_of(model: str, suites: Sequence[str]) -> Experiment:
    """The eight rows for the user's own model, on suites by name. Raises DataError for an unknown name."""
    names = tuple(dict.fromkeys(name for suite in suites for name in expanded(suite)))
    columns: list[Column] = []
    for name in names:
        scoring = SCORINGS.get(name.partition(":")[0].removesuffix("-third"), "strict")
        columns += (
            episode_columns(name, name)
            if name in EPISODES
            else single_turn_columns(f"{name}, {scoring}", name, scoring=scoring)
        )
    title = f"Ablation (Table 5): what MAE, PKT and IRM do to {model}"
    return replace(ABLATION, title=title, suites=names, columns=tuple(columns), notes=ABLATION.notes[1:])


# ---- names with a shared prefix


def add_groups(report: dict, experiment: Experiment, seed: int, vocabulary: Path) -> None:
    """Adds the scores of the groups SHARED and APART to a report of ``evaluate.py``, for columns that need them."""
    for suite in {column.suite for column in experiment.columns if column.group}:
        scores: dict[str, list[CallScore]] = {}
        for item in report["suites"][suite]["items"]:
            of_group = scores.setdefault(groups_of(suite, seed, vocabulary)[item["id"]], [])
            of_group.append(CallScore(**item["scores"]["strict"]))
        report["suites"][suite]["groups"] = {name: {"strict": summary(of)} for name, of in scores.items()}


@cache
def groups_of(name: str, seed: int, vocabulary: Path) -> dict[str, str]:
    """Id of each question of a suite -> its group."""
    [suite] = read_suites([name], None, seed)
    assert isinstance(suite, Suite)
    split = partial(name_ids, tokenizer=Tokenizer(vocabulary))
    return {question.id: group(question, split) for question in suite.questions}


def group(question: Question, split: Callable[[str], Sequence[int]]) -> str:
    golden = question.answers[0][0].name
    others = [split(tool.name) for tool in question.tools if tool.name != golden]
    return SHARED if len(key_positions(split(golden), others)) > 1 else APART
