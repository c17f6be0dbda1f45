"""Flags from dataclasses."""

from dataclasses import dataclass
from typing import Literal

import pytest

from tl.config import option, parse_config


@dataclass
class Config:
    path: str | None = option(None, "a path")
    files: list[str] = option([], "some files")
    steps: int = option(10, "how many, 100 % of them")
    rate: float = option(1e-6, "how fast")
    on: bool = option(True, "a switch")
    norm: Literal["call", "sum"] = option("call", "one of two")


def test_defaults_without_flags():
    assert parse_config(Config, []) == Config(None, [], 10, 1e-6, True, "call")


def test_every_kind_of_flag():
    argv = ["--path", "x", "--files", "a", "b", "--steps", "3", "--rate", "2e-5", "--no-on", "--norm", "sum"]
    assert parse_config(Config, argv) == Config("x", ["a", "b"], 3, 2e-5, False, "sum")


def test_preset_replaces_defaults_and_flags_replace_the_preset():
    assert parse_config(Config, [], steps=5, rate=1.0) == Config(steps=5, rate=1.0)
    assert parse_config(Config, ["--steps", "7"], steps=5).steps == 7


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--stepz", "1"], "unrecognized arguments: --stepz"),
        (["--step", "1"], "unrecognized arguments: --step"),
        (["--steps", "many"], "invalid int value"),
        (["--norm", "mean"], "invalid choice"),
    ],
)
def test_bad_flags_end_with_a_usage_message(argv, message, capsys):
    with pytest.raises(SystemExit):
        parse_config(Config, argv)
    assert message in capsys.readouterr().err


def test_help_shows_every_field_with_its_default(capsys):
    with pytest.raises(SystemExit):
        parse_config(Config, ["--help"])
    out = capsys.readouterr().out
    assert "how many, 100 % of them (default: 10)" in out and "--on, --no-on" in out


def test_a_positional_list_takes_what_stands_without_a_flag():
    @dataclass
    class Files:
        files: list[str] = option([], "some files", positional=True)
        on: bool = option(True, "a switch")

    assert parse_config(Files, ["a", "b", "--no-on"]) == Files(["a", "b"], False)
    assert parse_config(Files, []) == Files()
