"""Every command line in README and docs: read by the program's own flag parser."""

import argparse
import importlib
import json
import re
import runpy
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from runs import TOOLS, record
from torch.distributed.run import get_args_parser

import evaluate  # noqa: F401
import tl.config
from tl.__main__ import VERBS
from tl.assets import TINY
from tl.training.scaling import CODE_LLAMA

REPO = Path(__file__).resolve().parent.parent
PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
SCRIPTS = ("train_sft.py", "train_ppo.py", "evaluate.py")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """One command of this project: its program (a script, or a module), its arguments, and where it stands."""

    program: str
    arguments: list[str]
    text: str
    in_block: bool


def lines_of(page: Path) -> Iterator[tuple[str, bool]]:
    """What may be a command: the lines of blocks, those that go on joined (True), and what is set as code within the
    text (False)."""
    text = page.read_text(encoding="utf-8")
    prose = BLOCK.sub("", text)
    shown = [block for language, block in BLOCK.findall(text) if language in ("", "bash", "sh")]
    for block in shown:
        yield from ((line, True) for line in block.replace("\\\n", " ").splitlines())
    for piece in re.findall(r"`([^`]+)`", prose):
        yield " ".join(piece.split()), False


def commands(page: Path) -> list[Command]:
    """The commands of this project that a page shows. What stands for "and so on" (…) is left out of them."""
    found, variables = [], {}
    for line, in_block in lines_of(page):
        if assigned := re.fullmatch(r'(\w+)="(.*)"', line):
            variables[f"${assigned[1]}"] = assigned[2]
            continue
        for name, value in variables.items():
            line = line.replace(name, value)
        for text in re.split(r"(?:;| &&) (?=python|torchrun)", line.partition(" #")[0]):
            if re.match(r"(\w+=\S+ )*(python|torchrun) ", text) and (command := command_of(text.strip(), in_block)):
                found.append(command)
    return found


def command_of(text: str, in_block: bool) -> Command | None:
    """`torchrun … train_sft.py --out X` -> the script and its arguments; None for programs of others."""
    words = [word for word in shlex.split(text) if word != "…"]
    while re.match(r"\w+=", words[0]):
        words = words[1:]
    if words[0] == "torchrun":
        launch = get_args_parser().parse_args(words[1:])
        words = [launch.training_script, *launch.training_script_args]
    elif words[1] == "-m":
        words = words[2:]
    else:
        words = words[1:]
    program, *arguments = words
    ours = program in SCRIPTS or (REPO / program.split(".")[0]).is_dir()
    return Command(program, arguments, text, in_block) if ours else None


COMMANDS = {page.name: commands(page) for page in PAGES}


class Parsed(Exception):
    """The flags have been read; the program does not go on."""


@pytest.fixture
def stops_once_parsed(monkeypatch) -> None:
    """Lets every program end, with Parsed, as soon as it has its flags."""
    for verb in VERBS:
        importlib.import_module(f"tl.cli.{verb}")

    def stopping(function):
        def parse(*args, **kwargs):
            result = function(*args, **kwargs)
            if sys._getframe(1).f_globals["__name__"] in ("argparse", "tl.config"):
                return result  # to the caller that checks further
            raise Parsed

        return parse

    original = tl.config.parse_config
    parse_config = stopping(original)
    for module in list(sys.modules.values()):
        if getattr(module, "parse_config", None) is original:
            monkeypatch.setattr(module, "parse_config", parse_config)
    for name in ("parse_args", "parse_known_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, stopping(getattr(argparse.ArgumentParser, name)))


def run(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a command in this process."""
    monkeypatch.setattr(sys, "argv", [command.program, *command.arguments])
    if command.program.endswith(".py"):
        runpy.run_path(str(REPO / command.program), run_name="__main__")
    else:
        runpy.run_module(command.program, run_name="__main__", alter_sys=True)


@pytest.mark.parametrize("page", COMMANDS)
def test_each_command_is_read_by_its_program(page, stops_once_parsed, monkeypatch, capsys):
    for command in COMMANDS[page]:
        if command.program.startswith("docs."):
            assert not command.arguments  # they take none; test_walkthrough.py and test_one_file.py run them
            continue
        try:
            run(command, monkeypatch)
        except Parsed:
            continue
        except SystemExit as error:
            pytest.fail(f"{command.text}\n{error} {capsys.readouterr().err}")
        pytest.fail(f"{command.text}: has no flags to read")


# Appended to the commands of a program, so that they take a second or two: of flags given twice the last counts.
TOY = {
    "train_sft.py": "--dry_run",  # all but the training, which test_train_sft.py and test_train_ppo.py have at toy size
    "train_ppo.py": "--dry_run",
    "tl dpo": "--dry_run",
    "evaluate.py": "--limit 1 --episodes 1 --max_new_tokens 8",
    "tl synthesis": "--size 4",
}
# What commands without data get, for which a program would first generate a set for many seconds.
GENERATED = {
    "train_sft.py": ["--data", "trajectories.jsonl"],
    "train_ppo.py": ["--data", "prompts.jsonl"],
    "tl show": ["trajectories.jsonl"],
}
RECORDS = ["my.jsonl", "my_held_out.jsonl", "trajectories.jsonl", "kept.jsonl", "FILE"]
RECORDS += ["a.jsonl", "b.json", "b.traj", "c.json", "c.traj"]
# Commands that are not run, by how they begin, and why; their flags are read by the test above.
NOT_RUN = {
    "benchmarks.": "measures for minutes",
    "tl experiments": "trains for hours; test_experiments.py has it at toy size",
    "tl rejection": "keeps nothing that an untrained model does; test_rejection.py",
    "tl prm": "plays episodes for a minute; test_prm.py",
    "train_ppo.py --model runs/sft --rollout episode --reward prm": "needs a process reward model; test_prm.py",
    "evaluate.py --model runs/sft --best_of 8 --select prm": "needs a process reward model; test_best_of.py",
    "tl ability": "needs the published files; test_ability.py has stand-ins",
    "tl intercode": "needs the published files; test_intercode.py has stand-ins",
    "evaluate.py --suite tooleyes": "needs the published files; test_suites.py has stand-ins",
    "evaluate.py --mcp": "needs an MCP server; test_mcp.py has one",
    "evaluate.py --endpoint": "needs a server; test_endpoint.py has one",
    "tl synthesis --teacher": "needs a server; test_teacher.py has one",
    "evaluate.py --model DIR --suite every-held-out": "generates eight sets; test_evaluate.py has them smaller",
    "evaluate.py --model MODEL --tools examples/bash_tasks.py": "needs user namespaces; test_bash_tasks.py",
    "tl synthesis --tools examples/bash_tasks.py": "needs user namespaces; test_bash_tasks.py",
    "train_ppo.py --model MODEL --rollout episode --tools examples/bash_tasks.py": "as those two",
    "train_sft.py --data bash.jsonl": "reads what the second one writes",
}


def begins(command: Command, start: str) -> bool:
    return " ".join([command.program, *command.arguments]).startswith(start)


def is_run(command: Command) -> bool:
    return command.in_block and not any(begins(command, start) for start in NOT_RUN)


def toy(command: Command) -> list[str]:
    """The arguments of a command at toy size, with files of these names in the working folder."""
    verb = " ".join([command.program, *command.arguments[:1]]) if command.program == "tl" else command.program
    arguments = [word.removeprefix("/") for word in command.arguments]
    if "--model" in arguments and not Path(model := arguments[arguments.index("--model") + 1]).exists():
        shutil.copytree("runs/sft", model)
    if verb in GENERATED and not {"--data", "--tasks", *RECORDS} & set(arguments):
        arguments += GENERATED[verb]
    if not (verb == "tl synthesis" and "--tasks" in arguments):
        arguments += TOY.get(verb, "").split()
    return arguments


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The working folder of a user: the examples, a finished run, the shape of a model of 7B, some records."""
    shutil.copytree(REPO / "examples", tmp_path / "examples")
    shutil.copytree(TINY, tmp_path / "runs/sft", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (tmp_path / "runs/sft/run_config.json").write_text('{"script": "train_sft.py"}')
    shutil.copytree(
        tmp_path / "runs/sft", tmp_path / "ckpt/CodeLlama-7b-hf", ignore=shutil.ignore_patterns("*.safetensors")
    )
    (tmp_path / "ckpt/CodeLlama-7b-hf/config.json").write_text(json.dumps(CODE_LLAMA["7B"].to_hf()))
    for name in RECORDS:
        (tmp_path / name).write_text("".join(json.dumps(record(number)) + "\n" for number in range(6)))
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(prompt(number)) + "\n" for number in range(6)))
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair(number)) + "\n" for number in range(6)))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # some programs replace it
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pair(number: int) -> dict:
    """A preference for the call that ends `prompt(number)` over an answer."""
    *history, chosen = prompt(number)["messages"]
    rejected = {"role": "assistant", "content": "I do not know."}
    return {"tools": TOOLS, "prompt": history, "chosen": [chosen], "rejected": [rejected]}


def prompt(number: int) -> dict:
    """A record that ends with its golden call."""
    whole = record(number)
    calls = [place for place, message in enumerate(whole["messages"]) if "tool_calls" in message]
    return whole | {"messages": whole["messages"][: calls[-1] + 1]}


@pytest.mark.parametrize("page", [page for page, found in COMMANDS.items() if any(map(is_run, found))])
def test_commands_work_at_toy_size(page, home):
    """One after the other, so that each finds what those before it have written."""
    for command in filter(is_run, COMMANDS[page]):
        if command.program == "tl":
            for name in [word for flag, word in pairwise(command.arguments) if flag == "--out"]:
                Path(name).unlink(missing_ok=True)
        module = command.program.removesuffix(".py") if command.program in SCRIPTS else f"{command.program}.__main__"
        try:
            status = importlib.import_module(module).main(toy(command))
        except SystemExit as end:
            status = end.code
        assert not status, command.text


def test_what_is_not_run_is_there():
    """No reason outlives its commands."""
    shown = [command for found in COMMANDS.values() for command in found]
    assert [start for start in NOT_RUN if not any(begins(command, start) for command in shown)] == []
