"""Command lines from dataclasses: every field is a flag, its metadata the help, its type the check."""

import argparse
import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

T = TypeVar("T")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and the description as it was written."""


def option(default: Any, help: str, positional: bool = False) -> Any:
    """A dataclass field with a default and the text that ``--help`` shows; a ``positional`` list needs no flag."""
    metadata = {"help": help, "positional": positional}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: default.copy(), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def parse_config(
    config: type[T],
    argv: Sequence[str] | None = None,
    description: str | None = None,
    *,
    prog: str | None = None,
    **defaults: Any,
) -> T:
    """Reads the command line into the dataclass; ``defaults`` replace those of its fields.

    bool fields become ``--name / --no-name``, lists take several values, Literals are checked against their choices,
    ``X | None`` reads an X. Exits with a usage message on an unknown flag or a wrong type.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=_HelpFormatter, allow_abbrev=False
    )
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        positional = field.metadata["positional"]
        parser.add_argument(
            field.name if positional else f"--{field.name}",
            default=defaults.get(field.name, default),
            help=field.metadata["help"].replace("%", "%%"),
            **_flag(hints[field.name]) | ({"nargs": "*"} if positional else {}),
        )
    return config(**vars(parser.parse_args(argv)))


def _flag(hint: Any) -> dict[str, Any]:
    """argparse's keyword arguments for a field of this type."""
    if isinstance(hint, types.UnionType):
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not type(None))
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if typing.get_origin(hint) is Literal:
        return {"choices": typing.get_args(hint)}
    if typing.get_origin(hint) is list:
        return {"nargs": "+", "type": typing.get_args(hint)[0]}
    return {"type": hint}
