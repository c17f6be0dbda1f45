"""Command-line flags from dataclasses: each field is a flag, with help and range in its metadata."""

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from tl.errors import UserError

T = TypeVar("T")


def option(
    default: Any,
    help: str,
    *,
    embedded: Any = None,
    lora: Any = None,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    positive: bool = False,
    positional: bool = False,
) -> Any:
    """A dataclass field with a default and its ``--help`` text.

    ``embedded`` and ``lora`` replace the default for the embedded model and for training with adapters (see
    ``preset``). ``at_least``, ``at_most`` and ``positive`` (greater than 0) restrict numbers. A ``positional`` list
    needs no flag.
    """
    metadata = {
        "help": help,
        "embedded": embedded,
        "lora": lora,
        "at_least": at_least,
        "at_most": at_most,
        "positive": positive,
        "positional": positional,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def preset(config: type, case: Literal["embedded", "lora"] = "embedded") -> dict[str, Any]:
    """Values of a dataclass's fields that differ from the defaults for the embedded model, or with LoRA."""
    values = {field.name: field.metadata[case] for field in dataclasses.fields(config) if field.init}
    return {name: value for name, value in values.items() if value is not None}


def parse_config(
    config: type[T],
    argv: Sequence[str] | None = None,
    description: str | None = None,
    *,
    prog: str | None = None,
    **defaults: Any,
) -> T:
    """Parses the command line into the dataclass; ``defaults`` replace the defaults of its fields.

    A bool field becomes ``--name``, or ``--name / --no-name`` if its default is True. ``from_`` becomes ``--from``,
    lists take several values, Literals are checked against their choices, ``X | None`` parses an X. A field with
    ``init=False`` has no flag. Exits with a usage message on an unknown flag, a value of the wrong type, and a number
    that is not finite or out of range.
    """
    hints = typing.get_type_hints(config)
    fields = [field for field in dataclasses.fields(config) if field.init]  # type: ignore[arg-type]
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=prog, description=description, formatter_class=formatter, allow_abbrev=False)
    # Not all flags: an error would stand below dozens of lines.
    parser.usage = "".join(["%(prog)s", *(f" [{f.name} …]" for f in fields if f.metadata["positional"]), " [--FLAG …]"])
    for field in fields:
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        positional = field.metadata["positional"]
        parser.add_argument(
            field.name if positional else f"--{field.name.rstrip('_')}",
            default=defaults.get(field.name, default),
            help=_help(field.metadata, default).replace("%", "%%"),
            **_flag(hints[field.name], default) | ({"nargs": "*"} if positional else {"dest": field.name}),
        )
    values = vars(parser.parse_args(argv))
    for field in fields:
        value = values[field.name]
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, (int, float)) and (wrong := _out_of_range(number, field.metadata)):
                parser.error(f"--{field.name} is {number}; it must be {wrong}")
    return config(**values)


def require(config: Any, needed: str, *flags: str) -> None:
    """Raises UserError if one of these flags is given, but not the one without which they have no effect."""
    if getattr(config, needed):
        return
    default, fields = type(config)(), {field.name: field for field in dataclasses.fields(config)}
    for flag in flags:
        if getattr(config, flag) != getattr(default, flag):
            raise UserError(f"--{flag} needs {'' if fields[needed].metadata['positional'] else '--'}{needed}")


def _out_of_range(number: float, allowed: typing.Mapping[str, Any]) -> str | None:
    """What the number must be, if it is out of range; else None."""
    lowest, highest = allowed["at_least"], allowed["at_most"]
    if isinstance(number, float) and not math.isfinite(number):
        return "a finite number"
    if allowed["positive"] and number <= 0:
        return "greater than 0"
    if not lowest <= number <= highest:
        return f"at least {lowest}" if highest == math.inf else f"from {lowest} to {highest}"
    return None


def _help(metadata: typing.Mapping[str, Any], default: Any) -> str:
    unsaid = default in (None, "", []) or default is False  # the help text describes this default
    default = " ".join(map(str, default)) if isinstance(default, list) else default
    values = {"default": None if unsaid else default, "embedded model": metadata["embedded"], "LoRA": metadata["lora"]}
    stated = "; ".join(f"{case}: {value}" for case, value in values.items() if value is not None)
    return f"{metadata['help']} ({stated})" if stated else metadata["help"]


def _flag(hint: Any, default: Any) -> dict[str, Any]:
    """Keyword arguments of ``add_argument`` for a field of this type and default."""
    if isinstance(hint, types.UnionType):
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not type(None))
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction if default else "store_true"}
    if typing.get_origin(hint) is Literal:
        return {"choices": typing.get_args(hint)}
    if typing.get_origin(hint) is list:
        return _flag(typing.get_args(hint)[0], None) | {"nargs": "+", "action": _Once}
    return {"type": hint}


class _Once(argparse.Action):
    """Stores the values of a list; refuses the flag a second time, which argparse would let replace the first."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        if getattr(namespace, self.dest) is not self.default:
            parser.error(f"{self.option_strings[0]} is given twice: write all its values behind one")
        setattr(namespace, self.dest, values)
