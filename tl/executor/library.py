"""The available tools, and the states that they work on: new ones for each episode."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, NamedTuple

from tl.calls import JSON
from tl.executor.toolkits import Toolkit, ToolkitError, files_of, folder_name, is_folder, library_names, load_file
from tl.schema import BUILT_INS, ToolSpec


class Tool(NamedTuple):
    """A tool's spec, which a call is checked against, and the function that runs it."""

    spec: ToolSpec
    run: Callable[..., object]


Tools = Mapping[str, Tool]


class RefusedError(ToolkitError):
    """A toolkit needs isolation that is not available on this machine."""


@dataclass
class Catalogue:
    """Which tools there are.

    `specs` maps tool names to specs and `toolkit_of` tool names to toolkits. If several tools share a name, their keys
    here are longer than the specs' own names, and an episode may have one of them. `checks` maps the names of functions
    that judge answers to toolkits. `broken` and `refused` map toolkits that cannot be used to the reason;
    `refused_tools` are the tools of the refused ones.
    """

    specs: dict[str, ToolSpec] = field(default_factory=dict)
    toolkit_of: dict[str, str] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    refused_tools: list[str] = field(default_factory=list)

    def chosen(self, names: Collection[str] | None) -> list[str]:
        """The names of the tools to use (None: all), in order of definition. A refused one raises `RefusedError`."""
        if refused := set(self.refused_tools).intersection(names or ()):
            raise RefusedError(f"{', '.join(sorted(refused))}: {', '.join(self.refused.values())}")
        return [name for name in self.specs if names is None or name in names]

    def add(self, toolkit: str, specs: Mapping[str, ToolSpec], checks: Collection[str] = ()) -> None:
        """Add the tools of a toolkit. Raises `ToolkitError` if one of its names is taken."""
        taken = {*self.specs, *(tool.name for tool in BUILT_INS)} & specs.keys()
        if clash := [*taken, *self.checks.keys() & set(checks)]:
            raise ToolkitError(
                f"toolkit {toolkit!r} has tools whose names are already taken: {', '.join(sorted(clash))}"
            )
        if toolkit in self.toolkit_of.values():
            raise ToolkitError(f"two toolkits have the name {toolkit!r}: rename a file")
        self.specs |= specs
        self.toolkit_of |= dict.fromkeys(specs, toolkit)
        self.checks |= dict.fromkeys(checks, toolkit)

    def add_all(self, other: Catalogue) -> None:
        """Add the toolkits of another catalogue, as `add` does."""
        for toolkit in dict.fromkeys(other.toolkit_of.values()):
            names = [name for name, owner in other.toolkit_of.items() if owner == toolkit]
            self.add(toolkit, {name: other.specs[name] for name in names})

    def to_json(self) -> dict:
        parts = {part.name: getattr(self, part.name) for part in fields(Catalogue)}
        return parts | {"specs": {name: spec.to_openai() for name, spec in self.specs.items()}}

    @classmethod
    def from_json(cls, record: dict) -> Catalogue:
        specs = {name: ToolSpec.from_openai(spec) for name, spec in record["specs"].items()}
        return Catalogue(**record | {"specs": specs})


class Library(Catalogue):
    """The tools of some toolkits, by name or path (default: all of `tools/`), loaded in this process.

    A toolkit that cannot be used raises `ToolkitError`. One of a folder or of the default is left out instead and
    named in `broken` or `refused`. Unless `isolated`, toolkits that need isolation are refused. `loading` is called
    with each file's path before the file is loaded.
    """

    def __init__(
        self,
        toolkits: Sequence[str] | None = None,
        isolated: bool = False,
        loading: Callable[[str], object] = lambda path: None,
    ) -> None:
        super().__init__()
        self._toolkits: dict[str, Toolkit] = {}
        for given in library_names() if toolkits is None else toolkits:
            is_one_of_many = toolkits is None or is_folder(given)
            for path in files_of(given):
                loading(str(path))
                try:
                    self._load(load_file(path), isolated)
                except ToolkitError as error:
                    if not is_one_of_many:
                        raise
                    left_out = self.refused if isinstance(error, RefusedError) else self.broken
                    left_out[given if toolkits is None else folder_name(path)] = str(error)
        if toolkits and not self.specs and self.broken:
            raise ToolkitError(f"no tool in {' '.join(toolkits)} can be used; {next(iter(self.broken.values()))}")

    def _load(self, toolkit: Toolkit, isolated: bool) -> None:
        name = toolkit.name
        if toolkit.needs_isolation and not isolated:
            self.refused_tools += toolkit.specs
            raise RefusedError(f"toolkit {name!r} is refused: it runs only where network and files are isolated")
        self.add(name, toolkit.specs, toolkit.checks)
        self._toolkits[name] = toolkit

    def open(self, seed: int, names: Collection[str] | None = None) -> OpenTools:
        """A new episode with the `chosen` tools."""
        return OpenTools(self, self._toolkits, seed, names)


class OpenTools:
    """The tools of one episode. A toolkit's tools share a state, which is made when one of them first runs."""

    def __init__(
        self, catalogue: Catalogue, toolkits: Mapping[str, Toolkit], seed: int, names: Collection[str] | None
    ) -> None:
        self._catalogue, self._toolkits, self._seed = catalogue, toolkits, seed
        self._states: dict[str, Any] = {}
        chosen = [(name, catalogue.specs[name]) for name in catalogue.chosen(names)]
        self.tools = {spec.name: Tool(spec, partial(self._run, name)) for name, spec in chosen}

    def _run(self, tool: str, /, **arguments: JSON) -> object:
        state = self._state(self._catalogue.toolkit_of[tool])
        return getattr(state, self._catalogue.specs[tool].name)(**arguments)

    def _state(self, toolkit: str) -> Any:
        if toolkit not in self._states:
            self._states[toolkit] = self._toolkits[toolkit].make(self._seed)
        return self._states[toolkit]

    def check(self, name: str, answer: str) -> bool:
        """Whether the function of this name finds the answer right. Raises TypeError if it says neither True nor False:
        `(False, "why")` would count as True."""
        toolkit = self._catalogue.checks[name]
        right = self._toolkits[toolkit].checks[name](self._state(toolkit), answer)
        if type(right).__name__ not in ("bool", "bool_"):  # numpy's has either name
            raise TypeError(f"it must return True or False, not {right!r:.80}")
        return bool(right)
