"""Lists the toolkits of the built-in library; `python -m tools NAME` describes one and runs its example.

NAME is the name of a toolkit or of a tool, or the path of a Python file of tools, whose code is run.
"""

from __future__ import annotations

import argparse

from tl.calls import Call, format_call
from tl.executor import InProcessExecutor
from tl.executor.toolkits import ToolkitError, library_names, load_toolkit


def table() -> str:
    """One line per toolkit: name, number of tools and description, or why it cannot be used; then a total."""
    lines, counts = [f"{'toolkit':12} tools  what it is"], []
    for name in library_names():
        try:
            toolkit = load_toolkit(name)
        except ToolkitError as error:
            lines.append(f"{name:12}     -  {error}")
        else:
            counts.append(len(toolkit.specs))
            lines.append(f"{name:12} {counts[-1]:5}  {toolkit.about.partition(chr(10))[0]}")
    lines.append(f"{len(counts)} toolkits with {sum(counts)} tools; `python -m tools NAME` shows one")
    return "\n".join(lines)


def toolkit_of(name: str) -> str:
    """The toolkit with a tool of this name; the name itself if there is none."""
    for toolkit in library_names():
        try:
            if name in load_toolkit(toolkit).specs:
                return toolkit
        except ToolkitError:
            continue
    return name


def description(name: str) -> str:
    """The tools of a toolkit as a model sees them, and the result of its example."""
    toolkit = load_toolkit(name)
    heading, _, about = toolkit.about.partition("\n")
    parts = [f"{toolkit.name}: {heading}", about.strip(), *(spec.to_prompt() for spec in toolkit.specs.values())]
    if toolkit.example:
        tool, arguments = toolkit.example
        call = format_call(Call(tool, arguments))
        if toolkit.needs_isolation:
            result = "(run by the executor only, in isolation)"
        else:
            result = InProcessExecutor([name]).session().run(call).text
        parts.append(f">>> {call}\n{result}")
    return "\n\n".join(filter(None, parts))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    parser.add_argument("name", nargs="?", help="toolkit, tool or Python file to describe (default: list all toolkits)")
    name = parser.parse_args(arguments).name
    try:
        print(description(toolkit_of(name)) if name else table())
    except ToolkitError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
