"""The suites by name: which reader, with which settings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tl.evaluation.suites import Suite, bfcl, own, rotbench, toolalpaca, tooleyes
from tl.rollout import EpisodeSuite
from tl.synthesis.environments import ENVIRONMENTS

DEFAULT = ("held-out", "episodes")
N_EPISODES = 40

_OWN = {  # they take a seed; episodes also whether isolation is required
    "held-out-values": partial(own.read_held_out, name="held-out-values", unseen="values"),
    "held-out-phrasings": partial(own.read_held_out, name="held-out-phrasings", unseen="phrasings"),
    "held-out": own.read_held_out,
    "unseen-tools": own.read_unseen_tools,
    "episodes": partial(own.read_episodes, size=N_EPISODES),
    **{
        f"held-out-{environment}": partial(own.read_held_out, name=f"held-out-{environment}", environment=environment)
        for environment in ENVIRONMENTS
        if environment != "clean"
    },
}
_ROTBENCH = {
    f"rotbench{'' if turn == 'first' else '-third'}{'' if environment == 'clean' else f'-{environment}'}": (
        turn,
        environment,
    )
    for turn in rotbench.TURNS
    for environment in rotbench.ENVIRONMENTS
}
_FROM_FILES = {
    "toolalpaca": toolalpaca.read,
    "bfcl": bfcl.read,
    "tooleyes": tooleyes.read,
    **{name: partial(rotbench.read, name=name, turn=t, environment=e) for name, (t, e) in _ROTBENCH.items()},
}
_ROBUSTNESS = ["held-out", *(f"held-out-{environment}" for environment in ENVIRONMENTS if environment != "clean")]
_GROUPS = {
    "robustness": _ROBUSTNESS,
    "every-held-out": ["held-out-values", "held-out-phrasings", "held-out", "unseen-tools", *_ROBUSTNESS[1:]],
    "rotbench-robustness": [name for name, (turn, _) in _ROTBENCH.items() if turn == "first"],
}
NAMES = (*_OWN, *_FROM_FILES, *_GROUPS)


def read_suites(
    names: Sequence[str], data: Path | None, seed: int, require_isolation: bool = False
) -> list[Suite | EpisodeSuite]:
    """The suites of these names, from the official files under `data` or from the tool library.

    Raises ValueError for a name that does not exist, and for `data` that is missing or that none of them reads,
    DataError for bad files, tl.executor.IsolationError where tools would run with less isolation than is required.
    """
    names = [single for name in names for single in _GROUPS.get(name, [name])]
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"no suite {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if data is None and (needy := [name for name in names if name in _FROM_FILES]):
        raise ValueError(f"--suite {' '.join(needy)} needs --data DIR, the folder of the official files")
    if data is not None and not any(name in _FROM_FILES for name in names):
        raise ValueError(f"--suite {' '.join(names)} is made here and takes no --data; --data alone is scored as it is")
    own_suites = _OWN | {"episodes": partial(_OWN["episodes"], require_isolation=require_isolation)}
    return [own_suites[name](seed) if name in own_suites else _FROM_FILES[name](data) for name in dict.fromkeys(names)]
