"""`python -m tools` lists the toolkits; `python -m tools NAME` describes the tools of one and runs its example.

NAME may also be the name of a tool: then its toolkit is shown.
"""

from __future__ import annotations

import argparse
import inspect
import json

from tl.schema import ToolSpec
from tools import ToolkitError, load_toolkit, tool_functions, toolkit_names


def table() -> str:
    """One line per toolkit: name, number of tools, what it is; or why it cannot be used. Then how many there are."""
    lines, counts = [f"{'toolkit':12} tools  what it is"], []
    for name in toolkit_names():
        try:
            toolkit = load_toolkit(name)
        except ToolkitError as error:
            lines.append(f"{name:12}     -  {error}")
        else:
            counts.append(len(tool_functions(toolkit)))
            lines.append(f"{name:12} {counts[-1]:5}  {_summary(toolkit)}")
    lines.append(f"{len(counts)} toolkits with {sum(counts)} tools; `python -m tools NAME` shows one")
    return "\n".join(lines)


def toolkit_of(name: str) -> str:
    """The toolkit that has a tool of this name; the name itself where none has."""
    for toolkit in toolkit_names():
        try:
            if name in tool_functions(load_toolkit(toolkit)):
                return toolkit
        except ToolkitError:
            continue
    return name


def description(name: str) -> str:
    """The tools of a toolkit as a model sees them, and what its example returns."""
    toolkit = load_toolkit(name)
    instance = toolkit(seed=0)
    blocks = [ToolSpec.from_function(getattr(instance, tool)).to_prompt() for tool in tool_functions(toolkit)]
    tool, arguments = toolkit.example
    call = f"{tool}({', '.join(f'{key}={json.dumps(value)}' for key, value in arguments.items())})"
    if getattr(toolkit, "needs_isolation", False):
        result = "(run by the executor only, in isolation)"
    else:
        result = json.dumps(getattr(instance, tool)(**arguments), ensure_ascii=False)
    heading, about = f"{name}: {_summary(toolkit)}", inspect.getdoc(toolkit) or ""
    return "\n\n".join([heading, about, *blocks, f">>> {call}\n{result}"])


def _summary(toolkit: type) -> str:
    return (inspect.getdoc(inspect.getmodule(toolkit)) or "").partition("\n")[0]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    parser.add_argument("name", nargs="?", help="a toolkit")
    name = parser.parse_args(arguments).name
    try:
        print(description(name if name in toolkit_names() else toolkit_of(name)) if name else table())
    except ToolkitError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
