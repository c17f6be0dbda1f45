"""The paper's robustness figure (section 6.1, Figure 4) for our own models: five environments of our own tools.

Standard fine-tuning against all three parts, on the same requests in the environments of `tl.environments`, which add
noise to the names of tools. The models are those of the ablation. `tl.experiments` documents the results' file,
robustness.json; a column's "suite" names the environment: held-out (clean), held-out-slight, -medium, -heavy, -union.
"""

from __future__ import annotations

from tl.ablation import NONE, RECIPES, first
from tl.comparison import single_turn_columns
from tl.environments import ENVIRONMENTS, Environment
from tl.experiments import Budget, Experiment
from tl.suites import Suite
from tl.suites.own import read_held_out


def robustness(budget: Budget) -> Experiment:
    """The experiment."""

    def suites(seed: int) -> list[Suite]:
        return [first(read_held_out(seed, name(e), e), budget.requests) for e in ENVIRONMENTS]

    columns = [column for e in ENVIRONMENTS for column in single_turn_columns(f"Environment: {e}", name(e))]
    title = "Robustness (Figure 4): standard fine-tuning and all parts where names of tools are noisy"
    return Experiment("robustness", title, (NONE, RECIPES[-1]), tuple(columns), suites)


def name(environment: Environment) -> str:
    """Name of the suite, as in `tl.suites.catalogue`."""
    return "held-out" if environment == "clean" else f"held-out-{environment}"
