"""The tool library: one module per toolkit, offline and deterministic.

A toolkit is a module of this package without a leading underscore. Its docstring says what it is, and its class
`Toolkit(seed: int = 0)` holds the state of one episode; the public methods of that class are the tools, described by
their type hints and docstrings and by nothing else, and its `example` is a call to show: a name and arguments.
One whose class says `needs_isolation = True` runs only where the executor can isolate it. Dropping such a file in
makes its tools callable; requests for them are scenarios (`tl/synthesis/scenarios/`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol


class Toolkit(Protocol):
    """What a toolkit's class has besides its tools."""

    example: tuple[str, dict[str, Any]]

    def __init__(self, seed: int = 0) -> None: ...


class ToolkitError(ImportError):
    """A toolkit that cannot be used; the message names it and says why."""


def toolkit_names() -> list[str]:
    """The toolkits of this package in alphabetical order, broken ones included."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


@cache
def load_toolkit(name: str) -> type[Toolkit]:
    """The class of a toolkit; `ToolkitError` when there is none, or when it cannot be imported or started."""
    if name not in toolkit_names():
        raise ToolkitError(f"no toolkit named {name!r}; there are {', '.join(toolkit_names())}")
    try:
        toolkit = importlib.import_module(f"{__name__}.{name}").Toolkit
        toolkit(seed=0).example  # noqa: B018 - it has to be there
    except Exception as error:  # whatever a dropped-in file does, the other toolkits go on
        raise ToolkitError(f"toolkit {name!r} cannot be used: {type(error).__name__}: {error}") from error
    return toolkit


def tool_functions(toolkit: type) -> dict[str, Callable]:
    """The tools of a toolkit class, as plain functions (self first), in order of definition."""
    return {name: value for name, value in vars(toolkit).items() if callable(value) and not name.startswith("_")}
