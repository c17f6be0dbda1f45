"""The tool library: one module per toolkit, offline and deterministic.

A toolkit is a module of this package without a leading underscore. Its docstring says what it is, and its class
`Toolkit(seed: int = 0)` holds the state of one episode; the public methods of that class are the tools, described by
their type hints and docstrings and by nothing else, and its `example` is a call to show: a name and arguments.
One whose class says `needs_isolation = True` runs only where the executor can isolate it. Dropping such a file in
makes its tools callable; requests for them are scenarios (`tl/synthesis/scenarios/`). A file anywhere else is a toolkit
as well, see docs/tools.md.
"""
