"""Dynamic sampling (DAPO, arXiv 2503.14476, section 3.2): without a critic, a prompt whose samples all earn the same
has advantages of 0. It is dropped, and another prompt is drawn in its place."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from math import ceil
from typing import TypeVar

from tl.rl.calls import Experience

REDRAWS = 4  # draws per step that replace dropped prompts

P = TypeVar("P")


def draw_with_signal(
    draw: Callable[[Sequence[P], int], list[Experience | None]],
    prompts: Sequence[P],
    spare: Iterable[P],
    samples: int,
) -> tuple[list[Experience | None], list[Experience | None]]:
    """Returns (all rollouts, those of prompts with a signal). The latter are at least as many as ``prompts``, unless
    REDRAWS draws from ``spare`` do not suffice or ``spare`` runs out.

    ``prompts`` has each prompt ``samples`` times, side by side, and ``spare`` has each once. ``draw(prompts, number)``
    makes the rollouts of a draw; number 0 is that of ``prompts``.
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
    """The rollouts of those prompts, with ``samples`` rollouts each, whose returns are not all equal. None stands for a
    failed rollout, which has no return."""
    chosen: list[Experience | None] = []
    for first in range(0, len(rollouts), samples):
        group = rollouts[first : first + samples]
        if len({round(sum(e.rewards), 6) for e in group if e}) > 1:  # equal rewards in another order may round apart
            chosen += group
    return chosen
