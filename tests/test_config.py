"""Flags from dataclasses."""

from dataclasses import dataclass
from typing import Literal

import pytest

from tl.config import option, parse_config, preset, require
from tl.errors import UserError


@dataclass
class Config:
    path: str | None = option(None, "a path")
    files: list[str] = option([], "some files")
    steps: int = option(10, "how many, 100 % of them", at_least=1)
    rate: float = option(1e-6, "how fast", embedded=1e-3, positive=True)
    share: float = option(0.5, "of all", embedded=0.0, at_least=0, at_most=1)
    on: bool = option(True, "a switch")
    quick: bool = option(False, "another switch")
    norm: Literal["call", "sum"] = option("call", "one of two")
    sizes: list[int] = option([8, 64], "some numbers", at_least=1)


def test_defaults_without_flags():
    assert parse_config(Config, []) == Config(None, [], 10, 1e-6, 0.5, True, False, "call", [8, 64])


def test_every_kind_of_flag():
    argv = [
        "--path",
        "x",
        "--files",
        "a",
        "b",
        "--steps",
        "3",
        "--rate",
        "2e-5",
        "--share",
        "1",
        "--no-on",
        "--quick",
        "--norm",
        "sum",
    ]
    assert parse_config(Config, argv) == Config("x", ["a", "b"], 3, 2e-5, 1.0, False, True, "sum", [8, 64])


def test_preset_replaces_defaults_and_flags_replace_the_preset():
    assert preset(Config) == {"rate": 1e-3, "share": 0.0}
    assert parse_config(Config, [], **preset(Config)) == Config(rate=1e-3, share=0.0)
    assert parse_config(Config, ["--rate", "7"], **preset(Config)).rate == 7


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--steps", "0"], "--steps is 0; it must be at least 1"),
        (["--rate", "0"], "--rate is 0.0; it must be greater than 0"),
        (["--rate", "nan"], "--rate is nan; it must be a finite number"),
        (["--share", "1.1"], "--share is 1.1; it must be from 0 to 1"),
        (["--sizes", "3", "0"], "--sizes is 0; it must be at least 1"),
        (["--sizes", "3", "--sizes", "4"], "--sizes is given twice: write all its values behind one"),
        (["--stepz", "1"], "unrecognized arguments: --stepz"),
        (["--step", "1"], "unrecognized arguments: --step"),
        (["--steps", "many"], "invalid int value"),
        (["--norm", "mean"], "invalid choice"),
        (["--no-quick"], "unrecognized arguments: --no-quick"),
    ],
)
def test_bad_flags_end_with_a_usage_message(argv, message, capsys):
    with pytest.raises(SystemExit):
        parse_config(Config, argv)
    usage, error = capsys.readouterr().err.splitlines()
    assert usage.endswith("[--FLAG …]") and message in error


def test_a_whole_number_of_any_length_is_read():
    assert parse_config(Config, ["--steps", "1" + "0" * 400]).steps == 10**400


def test_help_shows_every_field_with_its_default(capsys):
    with pytest.raises(SystemExit):
        parse_config(Config, ["--help"])
    out = capsys.readouterr().out
    assert "how many, 100 % of them (default: 10)" in out and "--on, --no-on" in out and "--no-quick" not in out
    assert "how fast (default: 1e-06; embedded model: 0.001)" in " ".join(out.split())


def test_a_positional_list_takes_what_stands_without_a_flag():
    @dataclass
    class Files:
        files: list[str] = option([], "some files", positional=True)
        on: bool = option(True, "a switch")

    assert parse_config(Files, ["a", "b", "--no-on"]) == Files(["a", "b"], False)
    assert parse_config(Files, []) == Files()


def test_a_flag_without_effect_is_refused():
    @dataclass
    class Pages:
        files: list[str] = option([], "some files", positional=True)
        html: str | None = option(None, "a page")
        samples: int = option(50, "how many")

    for config in (Pages(), Pages(samples=3, html="page"), Pages(["a"], samples=3, html="page")):
        require(config, "html", "samples")
    with pytest.raises(UserError, match="^--samples needs --html$"):
        require(Pages(["a"], samples=3), "html", "samples")
    with pytest.raises(UserError, match="^--samples needs files$"):
        require(Pages(samples=3), "files", "html", "samples")
