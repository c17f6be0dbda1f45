"""Dynamic sampling (DAPO, arXiv 2503.14476, section 3.2): without a critic, a prompt whose samples all earn the same
has advantages of 0. It is dropped, and another one drawn in its place."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from math import ceil
from typing import TypeVar

from tl.rl.steps import Experience

REDRAWS = 4  # times in a step that others are drawn for the prompts that are missing

P = TypeVar("P")


def draw_with_signal(
    draw: Callable[[Sequence[P], int], list[Experience | None]],
    prompts: Sequence[P],
    spare: Iterable[P],
    samples: int,
) -> tuple[list[Experience | None], list[Experience | None]]:
    """(all rollouts that were made, those of prompts with a signal), the latter at least as many as there are
    ``prompts`` unless REDRAWS draws from ``spare`` do not suffice or it runs out.

    A prompt stands ``samples`` times, side by side, in ``prompts``, and once in ``spare``. ``draw`` makes the rollouts
    of prompts; its number is that of the draw, 0 for ``prompts``.
    """
    made = draw(prompts, 0)
    chosen, further = with_signal(made, samples), iter(spare)
    for number in range(1, REDRAWS + 1):
        missing = ceil((len(prompts) - len(chosen)) / samples)
        more = [prompt for prompt in islice(further, missing) for _ in range(samples)]
        if not more:
            break
        drawn = draw(more, number)
        made, chosen = made + drawn, chosen + with_signal(drawn, samples)
    return made, chosen


def with_signal(rollouts: Sequence[Experience | None], samples: int) -> list[Experience | None]:
    """The rollouts of the prompts, ``samples`` each, that do not all earn the same R; None stands for one that failed,
    which earns nothing."""
    groups = (rollouts[first : first + samples] for first in range(0, len(rollouts), samples))
    return [rollout for group in groups if len({_earned(e) for e in group if e}) > 1 for rollout in group]


def _earned(experience: Experience) -> float:
    return round(sum(experience.rewards), 6)  # the same calls in another order may differ by rounding
