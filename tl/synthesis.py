"""Data construction (paper, Appendix B): sets of synthetic episodes, and the held-out items that go with them.

The same arguments give the same data. `tl.episodes` makes a single episode.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, TypeVar

from tl.calls import format_call, parse_call
from tl.episodes import Episode, Repertoire, Wish, draw_episode
from tl.mae import erroneous_calls
from tl.metrics import Item
from tl.mistakes import ERROR_SHARES
from tl.trajectory import Trajectory

T = TypeVar("T")
Unseen = bool | Literal["values", "phrasings"]  # which of both a request has from the held-out side: both where True

LIBRARY = (  # all that may be trained on
    "bank",
    "calendar",
    "database",
    "files",
    "flights",
    "mail",
    "music",
    "papers",
    "shop",
    "statistics",
    "tasks",
    "weather",
)
UNSEEN_TOOLKITS = ("contacts", "maps", "recipes")  # never trained on
MIX = (53, 17, 30)  # plain successes, trajectories with erroneous calls, requests to ask about or to refuse
MAX_TRIES = 1000  # for one episode


def synthesize(
    size: int = 1217, seed: int = 0, mix: Sequence[float] = MIX, toolkits: Sequence[str] = LIBRARY
) -> list[Trajectory]:
    """Training trajectories; `mix` weighs plain successes, erroneous calls, and refusals and edge cases."""
    return [episode.trajectory for episode in episodes(size, seed, mix, toolkits)]


def held_out(
    size: int = 400,
    seed: int = 0,
    mix: Sequence[float] = MIX,
    toolkits: Sequence[str] = LIBRARY,
    *,
    unseen: Unseen = True,
) -> list[Item]:
    """Single turns, one per episode, of requests whose phrasings and values, or one of both, training never uses.

    At least half of the items are the first call of their episode, the others lie behind real feedback. With
    `toolkits=UNSEEN_TOOLKITS` the tools have never been seen either.
    """
    rng = random.Random(f"items {seed}")
    made = episodes(size, seed, mix, toolkits, unseen=unseen)
    return [_item(episode, rng, first=rng.random() < 0.5) for episode in made]


def prompts(
    size: int = 1194, seed: int = 0, mix: Sequence[float] = MIX, toolkits: Sequence[str] = LIBRARY
) -> list[Item]:
    """Prompts for PPO, one per episode: a history of the training side and the golden next call, any of its calls."""
    rng = random.Random(f"prompts {seed}")
    return [_item(episode, rng, first=False) for episode in episodes(size, seed, mix, toolkits)]


def _item(episode: Episode, rng: random.Random, first: bool) -> Item:
    """The first call of an episode, or any that is right."""
    trajectory = episode.trajectory
    calls = [index for index, message in enumerate(trajectory.messages) if message.is_call]
    wrong = erroneous_calls(trajectory)
    due = [index for index, is_wrong in zip(calls, wrong, strict=True) if not is_wrong]
    chosen = due[0] if first else rng.choice(due)
    answer = parse_call(trajectory.messages[chosen].content)
    return Item(trajectory.id, trajectory.tools, trajectory.messages[:chosen], [answer])


def episodes(
    size: int,
    seed: int = 0,
    mix: Sequence[float] = MIX,
    toolkits: Sequence[str] = LIBRARY,
    *,
    unseen: Unseen = False,
) -> list[Episode]:
    """`size` different episodes, of the training side or as far as `unseen` says of the held-out one.

    Raises `RuntimeError` when the toolkits have no scenario for what is wished for, or no more different episodes.
    """
    repertoire = Repertoire.of(tuple(sorted(toolkits)))
    rng = random.Random(f"episodes {seed} {unseen}")
    wishes = _wishes(size, mix, unseen)
    rng.shuffle(wishes)
    made: dict[tuple[str, ...], Episode] = {}
    for number, wish in enumerate(wishes):
        for _ in range(MAX_TRIES):
            episode = draw_episode(repertoire, wish, number, rng)
            key = (episode.task.request, *map(format_call, episode.task.solution)) if episode else None
            if key and key not in made:
                made[key] = episode
                break
        else:
            raise RuntimeError(f"no new episode after {MAX_TRIES} tries: {wish}, toolkits {', '.join(toolkits)}")
    return list(made.values())


def _wishes(size: int, mix: Sequence[float], unseen: Unseen) -> list[Wish]:
    plain, error, edge = mix
    kinds = _shares(size, {"plain": plain, "error": error, "ask": edge * 0.6, "refusal": edge * 0.4})
    categories = iter(_shares(kinds.count("error"), ERROR_SHARES))
    values, phrasing = unseen in (True, "values"), unseen in (True, "phrasings")
    return [Wish(kind, next(categories) if kind == "error" else None, values, phrasing) for kind in kinds]


def _shares(size: int, weights: dict[T, float]) -> list[T]:
    """`size` keys in proportion to their weights, none off by more than one."""
    keys: list[T] = []
    due = 0.0
    for key, weight in weights.items():
        due += size * weight / sum(weights.values())
        keys += [key] * (round(due) - len(keys))
    return keys
