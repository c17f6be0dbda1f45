"""How the pages of the corpus show functions: signatures and documentation in many styles."""

import json
from collections.abc import Callable
from functools import partial

from tl.assets.tiny.functions import Function

TypeNames = dict[str, str]
Signature = Callable[[Function, TypeNames], str]

JSON_TYPES = {name: name for name in ("string", "integer", "number", "boolean", "array", "object")}
PYTHON_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}


def _arguments(function: Function, types: TypeNames) -> str:
    needed = [f"{p.name}: {types[p.type]}" for p in function.required]
    return ", ".join(needed + [f"{p.name}: {types[p.type]} = None" for p in function.optional])


def google_style(function: Function, types: TypeNames, indent: str = "    ", heading: str = "Args:") -> str:
    lines = [f"def {function.name}({_arguments(function, types)}):", '    """', f"    {function.description}"]
    lines += ["", f"    {heading}"]
    lines += [f"{indent}{p.name} ({types[p.type]}): {p.description}" for p in function.parameters]
    return "\n".join([*lines, '    """'])


def sphinx_style(function: Function, types: TypeNames) -> str:
    lines = [f"def {function.name}({_arguments(function, types)}):", f'    """{function.description}']
    lines += [f"    :param {p.name}: {p.description}" for p in function.parameters]
    return "\n".join([*lines, '    """'])


def short_style(function: Function, types: TypeNames) -> str:
    return f'def {function.name}({_arguments(function, types)}):\n    """{function.description}"""'


def comment_style(function: Function, types: TypeNames) -> str:
    lines = [f"# {function.description}"] + [f"#   {p.name}: {p.description}" for p in function.parameters]
    return "\n".join([*lines, f"{function.name}({_arguments(function, types)})"])


def markdown_style(function: Function, types: TypeNames) -> str:
    lines = [f"- `{function.name}({_arguments(function, types)})`: {function.description}"]
    return "\n".join(lines + [f"  - {p.name}: {p.description}" for p in function.parameters])


def table_style(function: Function, types: TypeNames) -> str:
    lines = [f"{function.name} | {function.description}"]
    needed = {p.name for p in function.required}
    return "\n".join(
        lines
        + [
            f"{p.name} | {types[p.type]} | {'needed' if p.name in needed else 'optional'} | {p.description}"
            for p in function.parameters
        ]
    )


def json_style(function: Function, types: TypeNames) -> str:
    properties = {p.name: {"type": types[p.type], "description": p.description} for p in function.parameters}
    schema = {"type": "object", "properties": properties, "required": [p.name for p in function.required]}
    return json.dumps({"name": function.name, "description": function.description, "parameters": schema})


SIGNATURES: list[Signature] = [google_style, google_style, google_style, google_style]
SIGNATURES += [partial(google_style, indent=" " * 8), partial(google_style, indent=" " * 8, heading="Parameters:")]
SIGNATURES += [partial(google_style, heading="Takes:"), sphinx_style, short_style, comment_style, markdown_style]
SIGNATURES += [table_style, json_style]
