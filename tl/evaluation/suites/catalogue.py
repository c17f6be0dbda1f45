"""The suites by name, with their readers and settings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from tl.datasets import DataError
from tl.evaluation.suites import EpisodeSuite, Suite, bfcl, own, rotbench, toolalpaca, tooleyes
from tl.synthesis.environments import ENVIRONMENTS, Environment

OWN = ("held-out-values", "held-out-phrasings", "held-out", "unseen-tools", "episodes")
FROM_FILES = ("toolalpaca", "bfcl", "bfcl-ast", "tooleyes", "rotbench", "rotbench-third")
NOISY = ("held-out", "rotbench", "rotbench-third")  # exist in each of ENVIRONMENTS; the bare name means "clean"
EVERY_HELD_OUT = "every-held-out"
NAMES = (*OWN, *FROM_FILES, EVERY_HELD_OUT)
LEVELS = f"{', '.join(NOISY)} also with the noise of an environment, as in held-out:{'|'.join((*ENVIRONMENTS, 'all'))}"
DEFAULT = ("held-out", "episodes")


def read_suites(
    names: Sequence[str], data: Path | None, seed: int, n_episodes: int = 40, require_isolation: bool = False
) -> list[Suite | EpisodeSuite]:
    """The suites of these names, from the official files under `data` or from the tool library.

    Raises DataError for an unknown name, for `data` that is missing or that no suite reads, and for bad files;
    tl.executor.IsolationError if isolation is required and not available.
    """
    names = list(dict.fromkeys(single for name in names for single in expanded(name)))
    from_files = [name for name in names if name.partition(":")[0] in FROM_FILES]
    if data is None and from_files:
        raise DataError(f"--suite {' '.join(from_files)} needs --data DIR, the folder with the published files")
    if data is not None and not from_files:
        raise DataError(
            f"--suite {' '.join(names)} is generated and takes no --data; for trajectory files, leave --suite out"
        )
    return [_read(name, data or Path(), seed, n_episodes, require_isolation) for name in names]


def expanded(name: str) -> list[str]:
    """The suites that a name stands for. Raises DataError for an unknown name."""
    if name == EVERY_HELD_OUT:
        return ["held-out-values", "held-out-phrasings", "held-out", "unseen-tools", *expanded("held-out:all")[1:]]
    suite, _, level = name.partition(":")
    if suite not in NAMES or (level and (suite not in NOISY or level not in (*ENVIRONMENTS, "all"))):
        raise DataError(f"unknown suite {name}; choose from {', '.join(NAMES)}; {LEVELS}")
    levels = ENVIRONMENTS if level == "all" else [level or "clean"]
    return [suite if level == "clean" else f"{suite}:{level}" for level in levels]


def _read(name: str, data: Path, seed: int, n_episodes: int, require_isolation: bool) -> Suite | EpisodeSuite:
    suite, _, level = name.partition(":")
    environment = cast(Environment, level or "clean")
    readers: dict[str, Callable[[], Suite | EpisodeSuite]] = {
        "held-out": lambda: own.read_held_out(seed, name, environment),
        "held-out-values": lambda: own.read_held_out(seed, name, unseen="values"),
        "held-out-phrasings": lambda: own.read_held_out(seed, name, unseen="phrasings"),
        "unseen-tools": lambda: own.read_unseen_tools(seed),
        "episodes": lambda: own.read_episodes(seed, n_episodes, require_isolation),
        "rotbench": lambda: rotbench.read(data, name, "first", environment),
        "rotbench-third": lambda: rotbench.read(data, name, "third", environment),
        "toolalpaca": lambda: toolalpaca.read(data),
        "bfcl": lambda: bfcl.read(data, require_isolation),
        "bfcl-ast": lambda: bfcl.read_ast(data),
        "tooleyes": lambda: tooleyes.read(data),
    }
    return readers[suite]()
