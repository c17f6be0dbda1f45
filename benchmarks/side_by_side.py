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
from typing import NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

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


def descend(loss: Tensor, model: nn.Module, optimizer: Optimizer, max_grad_norm: float) -> float:
    """A peer's optimizer step as its documentation writes it; returns the loss."""
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


class Taken(NamedTuple):
    """Seconds of one piece of work: by the clock, and those that the processor worked on it, summed over threads."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> "Taken":
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> "Taken":
        """What has been taken since this was now."""
        return Taken(*(after - before for before, after in zip(self, Taken.now(), strict=True)))


@dataclass
class Comparison:
    """What each round of two sides took that do the same work.

    On a machine that others use, too, the processor's seconds say more than the clock's, as long as each side has one
    thread (``OMP_NUM_THREADS=1``).
    """

    ours: list[Taken]
    theirs: list[Taken]

    def __str__(self) -> str:
        load = f"{len(self.ours)} rounds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        return f"clock      {self._line('clock')}\n  processor  {self._line('processor')}\n  {load}"

    def _line(self, which: str) -> str:
        ours, theirs = ([getattr(taken, which) for taken in side] for side in (self.ours, self.theirs))
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        return (
            f"ours {statistics.median(ours):.2f} s, other {statistics.median(theirs):.2f} s, "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int, uncounted: int = 1) -> Comparison:
    """Times A B A B ..., so that what else the machine does falls on both; the first rounds are not counted."""
    result = Comparison([], [])
    for counted in [False] * uncounted + [True] * rounds:
        for side, taken in ((ours, result.ours), (theirs, result.theirs)):
            start = Taken.now()
            side()
            if counted:
                taken.append(start.since())
    return result
