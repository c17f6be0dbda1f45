"""User requests and the calls that solve them: one module for each toolkit of `tools/`, with the same name.

A scenario is a generator. It first yields the facts that fill its phrasings, then the calls, and is sent the result of
each. The final answer reports the last call's result, or the scenario's own return value:

    @scenario(phrasings=("How is the weather in {city}?",), unseen=("Is it nice in {city} today?",))
    def current_weather(draw):
        city = draw.one(CITIES)
        yield {"city": city}
        yield call("get_weather", city=city)

Training and held-out requests share neither phrasings (`unseen` ones are held out) nor the values drawn by `Draw.one`
and `Draw.some`.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import zlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tl.calls import JSON, Call
from tl.executor.toolkits import load_toolkit

HELD_OUT_PERIOD = 4  # one value in four is kept for held-out requests

T = TypeVar("T")
Plan = Generator[dict[str, Any] | Call, Any, Any]  # a scenario knows the types of what its calls return


@dataclass(frozen=True)
class Ask:
    """A fact that some requests leave out; the model has to ask the user for its parameter."""

    fact: str
    parameter: str
    phrasings: tuple[str, ...]
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """One kind of request. `name` is `toolkit.function`; the templates are filled by `str.format`."""

    name: str
    plan: Callable[[Draw], Plan]
    phrasings: tuple[str, ...]
    unseen: tuple[str, ...]
    ask: Ask | None = None

    @property
    def toolkit(self) -> str:
        return self.name.partition(".")[0]


class NoValue(LookupError):
    """This seed has no value on the wanted side of the train/held-out split: try another seed."""


@dataclass
class Draw:
    """Draws a scenario's values; `seed` is that of the session in which its calls will run."""

    random: random.Random
    seed: int
    held_out: bool
    split_values: list[str] = field(default_factory=list)

    def one(self, values: Sequence[T]) -> T:
        """A value from this side of the split; raises `NoValue` where there is none."""
        return self.some(values, 1)[0]

    def some(self, values: Sequence[T], count: int) -> list[T]:
        """Different values from this side of the split."""
        mine = [value for value in values if is_held_out(str(value)) == self.held_out]
        if len(mine) < count:
            raise NoValue
        chosen = self.random.sample(mine, count)
        self.split_values += map(str, chosen)
        return chosen

    def any(self, values: Sequence[T]) -> T:
        """A value of a set too small to be split: an enum, a small number."""
        return self.random.choice(values)

    def world(self, toolkit: str) -> Any:
        """A copy of the toolkit in the session, to look up its ids and names."""
        return load_toolkit(toolkit).make(self.seed)


def is_held_out(value: str) -> bool:
    return zlib.crc32(value.encode()) % HELD_OUT_PERIOD == 0


def call(tool: str, /, **arguments: JSON) -> Call:
    return Call(tool, arguments)


def scenario(
    phrasings: tuple[str, ...], unseen: tuple[str, ...], ask: Ask | None = None
) -> Callable[[Callable[[Draw], Plan]], Scenario]:
    """Decorator: a plan and its phrasings become a `Scenario`."""

    def decorate(plan: Callable[[Draw], Plan]) -> Scenario:
        name = f"{plan.__module__.rpartition('.')[2]}.{plan.__name__}"
        return Scenario(name, plan, phrasings, unseen, ask)

    return decorate


def all_scenarios() -> list[Scenario]:
    """Every scenario of every module of this package, in order of module and definition."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return [
        value
        for module in modules
        for value in vars(importlib.import_module(f"{__name__}.{module}")).values()
        if isinstance(value, Scenario)
    ]
