"""What README and docs say is true: examples give what they show, files, modules, names and flags exist."""

import ast
import dataclasses
import doctest
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from tl.__main__ import VERBS
from tl.trajectory import Trajectory

REPO = Path(__file__).resolve().parent.parent
PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
SCRIPTS = {"train_sft.py": "tl.training.config", "train_ppo.py": "tl.rl.config", "evaluate.py": "evaluate"}
CONFIGS = {"train_sft.py": "SFTConfig", "train_ppo.py": "PPOConfig", "evaluate.py": "EvaluationConfig"}
COMMAND = re.compile(r"(?:python -m (?P<module>[\w.]+)(?: (?P<verb>[a-z]+))?|(?P<script>\b\w+\.py)) ?(?P<rest>[^`#]*)")

on_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def code(page: Path) -> list[str]:
    """All that is set as code: within backticks, and the lines of blocks, those that go on joined."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    indented = re.findall(r"^    (\S.*)", text, re.MULTILINE)
    lines = "".join(blocks(page, "")).replace("\\\n", " ").splitlines()
    return [" ".join(piece.split()) for piece in (*inline, *indented, *lines)]


def resolves(dotted: str) -> bool:
    """Whether this is a module, or a name within one."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for name in parts[n:]:
            found = getattr(found, name, None)
        return found is not None
    return False


def flags_of(config: type) -> set[str]:
    """Those that `tl.config.parse_config` makes of a dataclass."""
    fields = dataclasses.fields(config)
    on = {f"--no-{field.name}" for field in fields if field.default is True}
    return on | {f"--{field.name.rstrip('_')}" for field in fields}


def flags_of_verb(verb: str) -> set[str]:
    module = importlib.import_module(f"tl.cli.{verb}")
    [config] = [one for name, one in vars(module).items() if name.lower() == f"{verb}config"]
    return flags_of(config)


def flags_of_script(script: str) -> set[str]:
    return flags_of(getattr(importlib.import_module(SCRIPTS[script]), CONFIGS[script]))


def flags_of_module(module: str) -> set[str]:
    """Those that stand in the source of a module."""
    path = REPO / module.replace(".", "/")
    source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__main__.py"
    return {f"--{name}" for name in re.findall(r'"--([\w-]+)"', source.read_text(encoding="utf-8"))}


def commands(page: Path) -> Iterator[tuple[str, set[str], set[str]]]:
    """Each command of ours that a page shows: its text, the flags in it, and those that there are."""
    for line in code(page):
        if found := COMMAND.search(line):
            module, verb, script, rest = found.groups()
            if module == "tl" and verb:
                known = flags_of_verb(verb)
            elif script in SCRIPTS:
                known = flags_of_script(script)
            elif module and module.split(".")[0] in ("benchmarks", "docs", "tools"):
                known = flags_of_module(module)
            else:
                continue
            yield line, set(re.findall(r"(?<![\w-])--[a-z][\w-]*", rest)), known


def test_python_examples_give_what_they_show():
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks(PAGES[0], "python")), {}, "README", "README.md", 0)
    result = doctest.DocTestRunner().run(examples)
    assert result.attempted >= 3 and result.failed == 0


def test_data_example_is_a_trajectory():
    [record] = blocks(PAGES[0], "json")
    trajectory = Trajectory.from_openai(json.loads(record))
    assert [message.content for message in trajectory.messages if message.is_call] == [
        'get_weather(city="Oslo")',
        'finish(answer="It is 3 degrees in Oslo.")',
    ]


@on_every_page
def test_what_python_examples_import_is_there(page):
    for block in blocks(page, "python"):
        source = (
            re.sub(r"^(>>> |\.\.\. )", "", block, flags=re.MULTILINE)
            if ">>>" not in block
            else "".join(example.source for example in doctest.DocTestParser().get_examples(block))
        )
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom):
                assert [name.name for name in node.names if not resolves(f"{node.module}.{name.name}")] == []
            elif isinstance(node, ast.Import):
                assert [name.name for name in node.names if not resolves(name.name)] == []


@on_every_page
def test_files_that_it_names_exist(page):
    named = {
        path.partition(":")[0]
        for piece in code(page)
        for path in re.findall(r"(?<![\w/.])(?:(?:tl|tools|docs|benchmarks|tests)/[\w./]+|\w+\.py)(?![\w*…])", piece)
    }
    links = re.findall(r"\]\(([\w./-]+)\)", page.read_text(encoding="utf-8"))
    missing = [name for name in named if not (REPO / name).exists() and not re.search(r"\b[A-Z]+\b|/\.", name)]
    assert missing == []  # NAME stands for any, and what begins with a dot is not in the repository
    assert [link for link in links if not (page.parent / link).exists()] == []


@on_every_page
def test_modules_and_names_that_it_names_exist(page):
    named = {
        dotted
        for piece in code(page)
        for dotted in re.findall(r"(?<![\w/.:])(?:tl|tools|benchmarks|docs)(?:\.\w+)+", piece)
        if not dotted.endswith((".md", ".py", ".svg"))
    }
    assert [dotted for dotted in sorted(named) if not resolves(dotted)] == []


@on_every_page
def test_commands_have_the_flags_that_it_shows(page):
    unknown = {line: flags - known for line, flags, known in commands(page) if not flags <= known}
    assert unknown == {}


@on_every_page
def test_flags_that_it_names_exist(page):
    """A flag that stands alone belongs to one of our commands, or to torchrun."""
    known = set().union(*map(flags_of_verb, VERBS), *map(flags_of_script, SCRIPTS))
    known |= {flag for _, _, flags in commands(page) for flag in flags}
    known |= {flag for action in get_args_parser()._actions for flag in action.option_strings}
    named = {piece.split()[0].partition("=")[0] for piece in code(page) if piece.startswith("--")}
    assert sorted(named - known - {"--help"}) == []


def test_the_pages_name_enough_for_these_tests_to_mean_something():
    shown = [flags for page in PAGES for _, flags, _ in commands(page)]
    assert len(shown) > 40 and sum(map(len, shown)) > 60


def test_each_equation_has_a_function_that_is_there():
    rows = re.findall(r"\| `([\w/]+)\.py`: (`.*`) \|$", (REPO / "docs/equations.md").read_text(), re.MULTILINE)
    named = [(module.replace("/", "."), name) for module, names in rows for name in re.findall(r"`([\w.]+)`", names)]
    assert len(named) > 20
    assert [f"{m}.{n}" for m, n in named if not resolves(f"{m.removesuffix('.__init__')}.{n}")] == []


def test_continuous_integration_runs_its_test_command():
    [command] = [block for block in blocks(PAGES[0], "") if block.startswith("pip install -r requirements.txt")]
    _, test = command.strip().splitlines()
    assert test.split("#")[0].strip() in (REPO / ".ci" / "run").read_text().splitlines()
