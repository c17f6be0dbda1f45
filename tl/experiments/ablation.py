"""The paper's ablation (section 5.3, Table 5) on the embedded model: each of MAE, PKT and IRM alone and all together.

Eight variants from four fine-tunings a seed, as IRM is PPO from the checkpoint of its fine-tuning. Requests whose
golden tool shares the beginning of its name with another tool of the prompt are reported apart, since PKT is about
them. The sweeps, which the paper does not have, go over PKT's largest weight and over the share of trajectories with
errors, with MAE and without. `tl.experiments` documents the results' file, ablation.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tl.evaluation.paper import TABLE_5
from tl.evaluation.suites import Suite
from tl.evaluation.suites.own import read_episodes, read_held_out, read_unseen_tools
from tl.experiments import ERRORS, Budget, Experiment, Sweep, Variant
from tl.experiments.comparison import Column, single_turn_columns
from tl.metrics import Question
from tl.pkt import key_positions
from tl.rollout import EpisodeSuite
from tl.synthesis.environments import ENVIRONMENTS, Environment

SHARED = "shared prefix"  # group of the requests whose tool's name parts from another one after its first token
APART = "other names"

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
    Column("Episodes", "DE", "episodes", "de", higher_is_better=False),
    Column("Episodes", "CE", "episodes", "ce", higher_is_better=False),
    Column("Episodes", "VA", "episodes", "va"),
    Column("Episodes", "answers", "episodes", "answer_accuracy"),
    Column("Episodes", "refusals", "episodes", "refusal_accuracy"),
)

# A weight of 1 is none, and without erroneous calls there is nothing to mask: these points are shared.
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

NOTES = (
    "shared prefix: the golden tool's name begins with the token that another tool of the prompt begins with",
    "eight rows and many columns: of a hundred intervals about five miss 0 by chance",
)

PAPER_HEADS = ["", *("TS ↑", "PI ↑", "CF ↑") * 2, "DE ↓", "CE ↓", "VA ↑"]
PAPER = {
    "The paper's Table 5, CodeLLaMA-2 7B: ToolAlpaca, RoTBench, ToolEyes": [
        PAPER_HEADS,
        *([name, *(f"{value:.2f}" for value in row)] for name, row in TABLE_5.items()),
    ]
}


def ablation(budget: Budget, name_ids: Callable[[str], list[int]], sweeps: bool = False) -> Experiment:
    """The experiment. ``name_ids`` gives the tokens of a tool's name in the base model's vocabulary."""

    def suites(seed: int) -> list[Suite | EpisodeSuite]:
        single = [read_held_out(seed), read_unseen_tools(seed)]
        episodes = read_episodes(seed, budget.episodes)
        return [*(by_prefix(first(suite, budget.requests), name_ids) for suite in single), episodes]

    title = "Ablation (Table 5): what MAE, PKT and IRM do to the embedded model"
    return Experiment("ablation", title, VARIANTS, COLUMNS, suites, SWEEPS if sweeps else (), NOTES, PAPER)


def first(suite: Suite, most: int) -> Suite:
    return replace(suite, questions=suite.questions[:most])


def by_prefix(suite: Suite, name_ids: Callable[[str], list[int]]) -> Suite:
    """The suite with its questions in the groups SHARED and APART."""
    return replace(suite, questions=tuple(replace(q, group=group(q, name_ids)) for q in suite.questions))


def group(question: Question, name_ids: Callable[[str], Sequence[int]]) -> str:
    golden = question.answers[0][0].name
    others = [name_ids(tool.name) for tool in question.tools if tool.name != golden]
    return SHARED if len(key_positions(name_ids(golden), others)) > 1 else APART


def robustness(budget: Budget) -> Experiment:
    """The experiment."""

    def suites(seed: int) -> list[Suite]:
        return [first(read_held_out(seed, name(e), e), budget.requests) for e in ENVIRONMENTS]

    columns = [column for e in ENVIRONMENTS for column in single_turn_columns(f"Environment: {e}", name(e))]
    title = "Robustness (Figure 4): standard fine-tuning and all parts where names of tools are noisy"
    return Experiment("robustness", title, (NONE, VARIANTS[-1]), tuple(columns), suites)


def name(environment: Environment) -> str:
    """Name of the suite, as in `tl.evaluation.suites.catalogue`."""
    return "held-out" if environment == "clean" else f"held-out-{environment}"
