"""What the README says is true: its examples give what they show, its files exist, its data can be read."""

import doctest
import json
import re
from pathlib import Path

from tl.trajectory import Trajectory

REPO = Path(__file__).resolve().parent.parent
README = (REPO / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_python_examples_give_what_they_show():
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks("python")), {}, "README", "README.md", 0)
    result = doctest.DocTestRunner().run(examples)
    assert result.attempted >= 3 and result.failed == 0


def test_data_example_is_a_trajectory():
    [record] = blocks("json")
    trajectory = Trajectory.from_openai(json.loads(record))
    assert [message.content for message in trajectory.messages if message.is_call] == [
        'get_weather(city="Oslo")',
        'finish(answer="It is 3 degrees in Oslo.")',
    ]


def test_files_that_it_names_exist():
    named = set(re.findall(r"`((?:tl|tools|docs|benchmarks|tests)/[\w./]*|\w+\.py)`", README))
    named |= set(re.findall(r"\]\((docs/[\w.]+)\)", README))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (REPO / name).exists()] == []


def test_continuous_integration_runs_its_test_command():
    [commands] = [block for block in blocks("") if block.startswith("pip install -r requirements.txt")]
    _, test = commands.strip().splitlines()
    assert test.split("#")[0].strip() in (REPO / ".ci" / "run").read_text().splitlines()
