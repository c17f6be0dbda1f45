"""Toolkits for tests, and executors of them."""

import warnings
from pathlib import Path
from typing import Any

from tl.executor import Executor

HOSTILE = str(Path(__file__).parent / "hostile.py")
INVENTORY = str(Path(__file__).parents[2] / "examples" / "inventory.py")


def quiet_executor(*toolkits: str, **options: Any) -> Executor:
    """An executor that does not warn of layers that this machine does not permit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Executor(toolkits, **options)
