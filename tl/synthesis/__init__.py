"""Data construction (paper, Appendix B): synthetic episodes and held-out questions.

The same arguments give the same data. `tl.synthesis.episodes` makes a single episode.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal, TypeVar

from tl.calls import format_call
from tl.datasets import DataError
from tl.executor.toolkits import is_library_name
from tl.mae import ErrorCategory
from tl.metrics import Question, questions_of
from tl.synthesis.episodes import Episode, EpisodeSpec, Kind, Repertoire, draw_conversation, join
from tl.synthesis.mistakes import ERROR_SHARES
from tl.trajectory import Trajectory

T = TypeVar("T")
Unseen = bool | Literal["values", "phrasings"]  # what a request takes from the held-out side; True: both

LIBRARY = (  # the toolkits that may be trained on
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
MIX = (53, 17, 30)  # of requests: plain successes, those with erroneous calls, those to ask about or refuse
REQUESTS = (1, 2, 3, 4)  # in a training trajectory
MAX_TRIES = 1000  # for one episode or conversation
TRIES_OF_A_KIND = 200  # before concluding that no scenario offers it


def synthesize(
    size: int = 1217, seed: int = 0, mix: Sequence[float] = MIX, toolkits: Sequence[str] = LIBRARY
) -> list[Trajectory]:
    """Training trajectories: conversations of one to four requests that share their tools.

    `mix` gives the weights of plain successes, erroneous calls, and refusals and edge cases among the requests. The
    tools of a conversation are read once for all of its requests, which also show how requests for similar tools
    differ.
    """
    rng = random.Random(f"conversations {seed}")
    lengths = [rng.choice(REQUESTS) for _ in range(size)]
    return [join(episodes) for episodes in conversations(lengths, seed, mix, toolkits)]


def held_out(
    size: int = 400,
    seed: int = 0,
    mix: Sequence[float] = MIX,
    toolkits: Sequence[str] = LIBRARY,
    *,
    unseen: Unseen = True,
) -> list[Question]:
    """Single turns, one per episode, of requests with phrasings or values, or both, that training never uses.

    At least half of the questions ask for the first call of their episode, the others for one after real feedback. With
    `toolkits=UNSEEN_TOOLKITS` the tools are new as well.
    """
    rng = random.Random(f"items {seed}")
    questions = map(_questions, make_episodes(size, seed, mix, toolkits, unseen=unseen))
    return [each[0] if rng.random() < 0.5 else rng.choice(each) for each in questions]


def prompts(
    size: int = 1194, seed: int = 0, mix: Sequence[float] = MIX, toolkits: Sequence[str] = LIBRARY
) -> list[Question]:
    """Prompts for PPO: histories of the training side with the golden next call, for all correct calls of one episode
    after the other. PPO reads the history of an episode once for all of its calls."""
    questions = (question for episode in make_episodes(size, seed, mix, toolkits) for question in _questions(episode))
    return list(islice(questions, size))


def _questions(episode: Episode) -> list[Question]:
    """The questions of an episode. They have its id, which seeds the noise of environments and the tools' session."""
    return [replace(question, id=episode.trajectory.id) for question in questions_of(episode.trajectory)]


def make_episodes(
    size: int,
    seed: int = 0,
    mix: Sequence[float] = MIX,
    toolkits: Sequence[str] = LIBRARY,
    *,
    unseen: Unseen = False,
) -> list[Episode]:
    """`size` different episodes of the training side or, as far as `unseen` says, of the held-out side.

    Raises `DataError` if the toolkits have no scenario for a kind of episode, or no more different episodes.
    """
    return [episode for (episode,) in conversations([1] * size, seed, mix, toolkits, unseen=unseen)]


def conversations(
    lengths: Sequence[int],
    seed: int = 0,
    mix: Sequence[float] = MIX,
    toolkits: Sequence[str] = LIBRARY,
    *,
    unseen: Unseen = False,
) -> list[list[Episode]]:
    """Conversations of these `lengths`: lists of different episodes with the same tools. See also `make_episodes`."""
    own = [toolkit for toolkit in toolkits if not is_library_name(toolkit)]  # the user's files, which are not run here
    repertoire = None if own else Repertoire.of(tuple(sorted(toolkits)))
    if repertoire is None or not repertoire.scenarios:
        raise DataError(
            f"no generated requests exist for {', '.join(own or toolkits)}: give tasks for these tools with --tasks"
        )
    rng = random.Random(f"episodes {seed} {unseen}")
    specs = _episode_specs(sum(lengths), mix, unseen)
    rng.shuffle(specs)
    due = iter(specs)
    seen: set[tuple[str, ...]] = set()
    made = []
    for number, length in enumerate(lengths):
        wanted = list(islice(due, length))
        for _ in range(MAX_TRIES):
            drawn = draw_conversation(repertoire, wanted, number, rng)
            keys = {(e.task.request, *map(format_call, e.task.solution)) for e in drawn}
            if len(keys) == length and not keys & seen:
                made.append(drawn)
                seen |= keys
                break
        else:
            raise DataError(
                f"made {number} of {len(lengths)} conversations, then found no new one in {MAX_TRIES} tries: "
                + (_lacking(repertoire, specs, mix, rng) or "ask for fewer, or name more toolkits")
            )
    return made


def _lacking(repertoire: Repertoire, specs: Sequence[EpisodeSpec], mix: Sequence[float], rng: random.Random) -> str:
    """Which of the specs no scenario offers, and what to do; empty if each of them is possible by itself."""
    lacking = [
        spec
        for spec in {spec.error or spec.kind: spec for spec in specs}.values()
        if not any(draw_conversation(repertoire, [spec], 0, rng) for _ in range(TRIES_OF_A_KIND))
    ]
    if not lacking:
        return ""
    plain, error, edge = mix
    left = (plain, 0 if any(spec.error for spec in lacking) else error, edge if all(s.error for s in lacking) else 0)
    names = ", ".join(sorted(set(repertoire.executor.toolkit_of.values())))
    offers = " or ".join(_OFFERS[spec.error or spec.kind] for spec in lacking)
    return f"no scenario of {names} {offers}: use --mix {','.join(f'{share:g}' for share in left)}, or add one"


_OFFERS: dict[Kind | ErrorCategory, str] = {
    "plain": "can be solved",
    "ask": "leaves something for the user to say",
    "refusal": "can be refused",
    ErrorCategory.TOOL_INSTABILITY: "can fail by outage",
    **{category: f"can fail by {category.value}" for category in ERROR_SHARES if category.value != "tool instability"},
}


def _episode_specs(size: int, mix: Sequence[float], unseen: Unseen) -> list[EpisodeSpec]:
    plain, error, edge = mix
    weights: dict[Kind, float] = {"plain": plain, "error": error, "ask": edge * 0.6, "refusal": edge * 0.4}
    kinds = _shares(size, weights)
    categories = iter(_shares(kinds.count("error"), ERROR_SHARES))
    values, phrasing = unseen in (True, "values"), unseen in (True, "phrasings")
    return [EpisodeSpec(kind, next(categories) if kind == "error" else None, values, phrasing) for kind in kinds]


def _shares(size: int, weights: dict[T, float]) -> list[T]:
    """`size` keys in proportion to their weights, each count within one of its exact share."""
    keys: list[T] = []
    due = 0.0
    for key, weight in weights.items():
        due += size * weight / sum(weights.values())
        keys += [key] * (round(due) - len(keys))
    return keys
