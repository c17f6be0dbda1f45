"""Quality of probabilities: ranking (AUC) and calibration.

A step has a ``score``, its predicted probability of ending right, and ``right`` of its ``trials`` ended right. All
figures count trials, so a step with more trials counts more.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

BINS = 10  # of equal width


class Scored(NamedTuple):
    """A step with its predicted probability and its outcomes."""

    score: float
    right: int
    trials: int


class Bin(NamedTuple):
    """The steps whose scores lie in one bin: number of trials, their mean score, the share that ended right."""

    trials: int
    score: float
    share: float


def auc(steps: Sequence[Scored]) -> float | None:
    """The probability that a trial that ended right has a higher score than one that did not; ties count half. None if
    all trials ended alike."""
    below = pairs = 0.0
    for _, group in groupby(sorted(steps), key=lambda step: step.score):
        rights, trials = (sum(column) for column in list(zip(*group, strict=True))[1:])
        wrong = trials - rights
        pairs += rights * (below + wrong / 2)
        below += wrong
    right = sum(step.right for step in steps)
    return pairs / (right * below) if right * below else None


def bins(steps: Sequence[Scored]) -> list[Bin | None]:
    """BINS bins over [0, 1]; None for an empty bin."""
    made: list[Bin | None] = []
    for number in range(BINS):
        inside = [step for step in steps if min(int(step.score * BINS), BINS - 1) == number]
        trials = sum(step.trials for step in inside)
        score, right = sum(s.score * s.trials for s in inside), sum(s.right for s in inside)
        made.append(Bin(trials, score / trials, right / trials) if trials else None)
    return made


def calibration_error(steps: Sequence[Scored]) -> float:
    """Expected calibration error: the mean over trials of |mean score − share that ended right| of their bin."""
    filled = [of for of in bins(steps) if of]
    return sum(of.trials * abs(of.score - of.share) for of in filled) / max(sum(of.trials for of in filled), 1)


def lines(steps: Sequence[Scored]) -> list[str]:
    """A table of the bins. A bar shows the share that ended right, a mark the mean score."""
    shown = ["score        trials   score   right"]
    for number, of in enumerate(bins(steps)):
        if of:
            bar = list(f"{'█' * round(40 * of.share):<41}")
            bar[round(40 * of.score)] = "|"
            low, high = number / BINS, (number + 1) / BINS
            shown.append(f"{low:.1f} to {high:.1f}  {of.trials:>7,}   {of.score:.3f}   {of.share:.3f}  {''.join(bar)}")
    return shown
