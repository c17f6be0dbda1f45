"""Toolkits: Python files whose functions, or whose class's methods, are tools; those in `tools/` and other files.

Loading a file runs it: in the executor's processes, or, for trusted files with InProcessExecutor, in this process.
"""

import enum
import importlib.util
import inspect
import json
import sys
import traceback
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, is_typeddict

import tools
from tl.errors import UserError
from tl.schema import BUILT_INS, ToolSpec

LIBRARY = Path(tools.__file__).resolve().parent  # the toolkits that can be named without their path
DECLARATIONS = "config_gpt4.json"  # in ToolEyes' folders
_NO_TOOLKITS = (BaseException, enum.Enum, tuple)  # classes of values
CHECK_PARAMETERS = ["session", "answer"]  # a function that takes these is no tool: it judges an answer


class ToolkitError(UserError, ImportError):
    """A toolkit cannot be used; the message names it and says why."""


@dataclass(frozen=True)
class Toolkit:
    """A file's tools. `make` gives the state of a new episode, whose attributes with the specs' names they are.

    `checks` maps names to functions that judge an answer, given the state. `about` has the docstrings of file and
    class, `example` a call to show, if there is one. One that `needs_isolation` runs only where it can be isolated.
    """

    name: str
    make: Callable[[int], Any]
    specs: dict[str, ToolSpec]
    checks: Mapping[str, Callable[[Any, str], object]]
    about: str
    example: tuple[str, dict[str, Any]] | None = None
    needs_isolation: bool = False


def library_names() -> list[str]:
    """Names of the toolkits in `tools/` in alphabetical order, including broken ones."""
    return sorted(path.stem for path in LIBRARY.glob("*.py") if not path.name.startswith("_"))


def is_folder(toolkit: str) -> bool:
    """Whether a toolkit is a folder of many; a name of the library's is none, whatever lies around."""
    return Path(toolkit).is_dir() and toolkit not in library_names()


def files_of(toolkit: str) -> list[Path]:
    """The file of a toolkit, or all in a folder that is laid out as ToolEyes is."""
    if not is_folder(toolkit):
        return [locate(toolkit)]
    if paths := sorted(Path(toolkit).resolve().glob("Tool_Library/*/*/tool.py")):
        return paths
    raise ToolkitError(
        f"the folder {toolkit} has no Tool_Library/CATEGORY/TOOL/tool.py; name Python files or a ToolEyes folder"
    )


def is_library_name(toolkit: str) -> bool:
    """Whether a toolkit's name has no suffix and no folder, like those of the library."""
    return not Path(toolkit).suffix and Path(toolkit).name == toolkit


def locate(toolkit: str) -> Path:
    """The file of a toolkit: `weather` is the library's, anything with a suffix or a folder a path."""
    is_name = is_library_name(toolkit)
    path = LIBRARY / f"{toolkit}.py" if is_name else Path(toolkit).resolve()
    if not path.is_file():
        known = f"; there are {', '.join(library_names())}, and any path of a file" if is_name else ""
        raise ToolkitError(f"no {'toolkit named' if is_name else 'file'} {toolkit!r}{known}")
    return path


def load_toolkit(toolkit: str) -> Toolkit:
    """`load_file` of a toolkit, which is named as for `locate`."""
    return load_file(locate(toolkit))


@cache
def load_file(path: Path) -> Toolkit:
    """Runs the file of a toolkit and describes its tools. Raises ToolkitError where that cannot be done.

    Its tools are the public methods of its class, which may take a `seed`, or without a class its public functions. The
    class is the only public one with public methods, or of several the one that is called `Toolkit`.
    """
    is_declared = path.with_name(DECLARATIONS).is_file()
    name = folder_name(path) if is_declared else path.stem
    try:
        module = _run(path)
        return _declared(module, path, name) if is_declared else _described(module, name)
    except (Exception, SystemExit) as error:  # whatever a file does, the others go on
        reason = f"{_place(error, path)}{type(error).__name__}: {error}"
        raise ToolkitError(f"toolkit {name!r} cannot be used: {reason}") from error


def folder_name(path: Path) -> str:
    """`Category/Tool`, which ToolEyes' folders call the tools of a file, whose own names are not unique."""
    return "/".join(path.parts[-3:-1])


def _run(path: Path) -> ModuleType:
    package = f"toolkits_{zlib.crc32(str(path.parent).encode()):08x}"  # for imports such as `from .beside import *`
    sys.modules.setdefault(package, ModuleType(package)).__path__ = [str(path.parent)]
    name = f"{package}.{path.stem.replace('.', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ToolkitError(f"{path} is not a Python file")
    if not (path.parent / "__init__.py").exists() and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # for the modules beside it, which hide none of Python's
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _declared(module: ModuleType, path: Path, name: str) -> Toolkit:
    """A toolkit of ToolEyes: functions that a file beside it declares. Two toolkits may have functions of one name, so
    they are called `Category/Tool:function`. A call of a declared function that the module lacks fails."""
    declared = map(ToolSpec.from_openai, json.loads(path.with_name(DECLARATIONS).read_text(encoding="utf-8")))
    built_in = [tool.name for tool in BUILT_INS]
    specs = {f"{name}:{spec.name}": spec for spec in declared if spec.name not in built_in}
    return Toolkit(name, lambda seed: module, specs, {}, module.__doc__ or "")


def _described(module: ModuleType, name: str) -> Toolkit:
    mine = {key: value for key, value in _public(module).items() if getattr(value, "__module__", "") == module.__name__}
    classes = {key: value for key, value in mine.items() if inspect.isclass(value) and _methods(value)}
    if len(classes) > 1 and "Toolkit" not in classes:
        raise TypeError(f"which class has the tools, {', '.join(classes)}? Call it Toolkit, or the others _Something")
    toolkit = classes.get("Toolkit") or next(iter(classes.values()), None)
    functions = {key: value for key, value in mine.items() if inspect.isfunction(inspect.unwrap(value))}
    checks = {key: f for key, f in functions.items() if list(inspect.signature(f).parameters) == CHECK_PARAMETERS}
    bare_functions = [key for key in functions if key not in checks]
    if toolkit and bare_functions and "Toolkit" not in classes:
        [(helper, _)] = classes.items()
        raise TypeError(
            f"which are the tools, the methods of {helper} or {', '.join(bare_functions)}? Call the class _{helper} if "
            "it has no tools, or Toolkit if it has them all"
        )
    make = _maker(toolkit) if toolkit else lambda seed: module
    state = make(0)
    names = _methods(toolkit) if toolkit else bare_functions
    example = getattr(toolkit, "example", None)
    if not names:
        raise TypeError("it has neither a public function nor a class with a public method")
    tools = {tool: getattr(state, tool) for tool in names}
    for key, function in (tools | checks).items():
        bare = inspect.unwrap(function)
        if inspect.iscoroutinefunction(bare) or inspect.isgeneratorfunction(bare) or inspect.isasyncgenfunction(bare):
            raise TypeError(f"{key} is async or a generator: a tool has to return its result")
    return Toolkit(
        name,
        make,
        {tool: replace(ToolSpec.from_function(function), name=tool) for tool, function in tools.items()},
        checks,
        "\n\n".join(filter(None, [module.__doc__, inspect.getdoc(toolkit) if toolkit else None])),
        example if isinstance(example, tuple) else None,
        getattr(toolkit, "needs_isolation", False),
    )


def _public(thing: object) -> dict[str, Any]:
    return {name: value for name, value in vars(thing).items() if not name.startswith("_")}


def _methods(toolkit: type) -> list[str]:
    """Names of the public methods, inherited ones included, in order of definition; none for exceptions and for types
    of values, such as an enumeration. A class inside the class is no method."""
    if issubclass(toolkit, _NO_TOOLKITS) or is_typeddict(toolkit):
        return []
    bases = reversed(toolkit.__mro__[:-1])
    names = dict.fromkeys(name for base in bases for name in _public(base))
    return [name for name in names if callable(method := getattr(toolkit, name)) and not inspect.isclass(method)]


def _maker(toolkit: type) -> Callable[[int], Any]:
    parameters = inspect.signature(toolkit).parameters
    various = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [key for key, p in parameters.items() if p.default is p.empty and p.kind not in various]
    if required not in ([], ["seed"]):
        raise TypeError(
            f"{toolkit.__name__} cannot be made without {', '.join(required)}, and the state of an episode is made "
            f"without arguments or with a seed: call it _{toolkit.__name__} if it has no tools"
        )
    if "seed" in parameters:
        return lambda seed: toolkit(seed=seed)
    return lambda seed: toolkit()


def _place(error: BaseException, path: Path) -> str:
    """`file, line 3: ` of where an error came from, if that lies in the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"{path}, line {lines[-1]}: " if lines else f"{path}: "
