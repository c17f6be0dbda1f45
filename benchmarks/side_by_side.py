"""What all comparisons share: an environment for the peers, and two ways of doing the same work timed in turns."""

import importlib.util
import os
import statistics
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = Path(__file__).parent / ".venv"


def with_peers(module: str, **packages: str) -> None:
    """Runs ``python -m module`` again in an environment that has ``packages`` (name=version), if this one lacks them.

    The environment sees this interpreter's packages and adds its own, so that both sides run on the same torch, and
    nothing is installed where the product lives.
    """
    if all(importlib.util.find_spec(name) for name in packages):
        return
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        own = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        )
        (Path(own.strip()) / "product.pth").write_text(sysconfig.get_path("purelib"))
    wanted = [f"{name}=={version}" for name, version in packages.items()]
    subprocess.check_call([python, "-m", "pip", "install", "--quiet", *wanted])
    if Path(sys.prefix) == ENVIRONMENT:
        raise SystemExit(f"{', '.join(wanted)} cannot be imported even in {ENVIRONMENT}; remove it and try again")
    os.execv(python, [str(python), "-m", module, *sys.argv[1:]])


@dataclass
class Comparison:
    """Seconds of each round of two sides that do the same work."""

    ours: list[float]
    theirs: list[float]

    def __str__(self) -> str:
        ratios = [b / a for a, b in zip(self.ours, self.theirs, strict=True)]
        return (
            f"ours {statistics.median(self.ours):.2f} s, other {statistics.median(self.theirs):.2f} s, "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} rounds)"
        )


def compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Comparison:
    """Times A B A B ..., so that what else the machine does falls on both; the first round of each is not counted."""
    result = Comparison([], [])
    for counted in [False] + [True] * rounds:
        for side, seconds in ((ours, result.ours), (theirs, result.theirs)):
            start = time.perf_counter()
            side()
            if counted:
                seconds.append(time.perf_counter() - start)
    return result
