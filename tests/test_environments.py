"""RoTBench's environments: names change, requests stay as they are and can still be served."""

import re

import pytest

from tl.calls import Call, format_call, parse_call
from tl.metrics import Question, score_call
from tl.schema import BUILT_INS, ToolSpec
from tl.synthesis import held_out
from tl.synthesis.environments import ENVIRONMENTS, in_environment
from tl.trajectory import Message

NOISY = ENVIRONMENTS[1:]


def spec(name, *parameters):
    schemas = {key: {"type": "string", "description": f"The {key}."} for key in parameters}
    return ToolSpec(name, f"Does {name}.", schemas, parameters[:1])


@pytest.fixture(scope="module")
def items():
    return held_out(120)


@pytest.fixture
def item():
    tools = (spec("get_paper", "paper_id"), spec("get_paper_details", "paper_id", "language"), *BUILT_INS)
    messages = (
        Message("user", "Who wrote p1?"),
        Message("assistant", "get_paper_details()", is_call=True),
        Message("tool", "get_paper_details() missing 1 required positional argument: 'paper_id'"),
        Message("assistant", 'get_paper_details(paper_id="p1", colour="red")', is_call=True),
        Message("tool", "get_paper_details() got an unexpected keyword argument 'colour'"),
    )
    return Question("one", tools, messages, ((Call("get_paper_details", {"paper_id": "p1"}),),))


def by_description(tools):
    return {tool.description: tool for tool in tools}


def test_the_clean_environment_changes_nothing(items):
    assert [in_environment(item, "clean") for item in items] == items


@pytest.mark.parametrize("environment", NOISY)
def test_the_same_seed_gives_the_same_names(items, environment):
    once = [in_environment(item, environment, seed=1) for item in items]
    assert once == [in_environment(item, environment, seed=1) for item in items]
    assert once != [in_environment(item, environment, seed=2) for item in items]


@pytest.mark.parametrize("environment", NOISY)
def test_the_answer_is_a_right_call_of_the_renamed_tools(items, environment):
    for item in items:
        noisy = in_environment(item, environment)
        names = {tool.name: tool for tool in noisy.tools}
        assert len(names) == len(item.tools)
        for before, after in zip(item.golden, noisy.golden, strict=True):
            tool = names[after.name]
            assert set(tool.required) <= set(after.arguments) <= set(tool.parameters)
            assert tool.description == next(t.description for t in item.tools if t.name == before.name)
            assert list(after.arguments.values())[: len(before.arguments)] == list(before.arguments.values())
            assert score_call(format_call(after), noisy.golden, noisy.tools).cf


@pytest.mark.parametrize("environment", NOISY)
def test_descriptions_and_types_stay_with_what_they_describe(item, environment):
    noisy = by_description(in_environment(item, environment).tools)
    for tool in item.tools:
        renamed = noisy[tool.description]
        assert list(renamed.parameters.values())[: len(tool.parameters)] == list(tool.parameters.values())


@pytest.mark.parametrize("environment", NOISY)
def test_the_history_names_what_the_tools_are_called_now(item, environment):
    noisy = in_environment(item, environment)
    tool = by_description(noisy.tools)["Does get_paper_details."]
    paper_id = next(key for key, schema in tool.parameters.items() if schema["description"] == "The paper_id.")
    user, first, missing, second, unexpected = (message.content for message in noisy.messages)
    assert user == "Who wrote p1?"
    assert parse_call(first).name == parse_call(second).name == tool.name
    assert parse_call(second).arguments[paper_id] == "p1"
    assert missing == f"{tool.name}() missing 1 required positional argument: '{paper_id}'"
    assert unexpected == f"{tool.name}() got an unexpected keyword argument 'colour'"


def test_slight_noise_leaves_names_recognisable(items):
    for item in items:
        for before, after in zip(item.tools, in_environment(item, "slight").tools, strict=True):
            assert abs(len(before.name) - len(after.name)) <= 3
            kept = sum(character in after.name for character in set(before.name))
            assert kept >= len(set(before.name)) - 3


def test_medium_noise_leaves_names_alone_turns_them_round_or_loses_them(items):
    seen = set()
    for item in items:
        for before, after in zip(item.tools, in_environment(item, "medium").tools, strict=True):
            kind = {before.name: "same", before.name[::-1]: "backwards"}.get(after.name, "letters")
            assert kind != "letters" or re.fullmatch("[A-Za-z]{3,}", after.name)
            seen.add(kind)
    assert seen == {"same", "backwards", "letters"}


def test_heavy_noise_swaps_names_and_adds_a_parameter_that_says_its_value(items):
    moved = 0
    for item in items:
        noisy = in_environment(item, "heavy")
        assert sorted(tool.name for tool in item.tools) == sorted(tool.name for tool in noisy.tools)
        moved += item.tools[0].name != noisy.tools[0].name
        for before, after in zip(item.tools, noisy.tools, strict=True):
            *_, extra = after.parameters
            assert len(after.parameters) == len(before.parameters) + 1
            assert extra in after.required
        answer = noisy.golden[0]
        tool = next(tool for tool in noisy.tools if tool.name == answer.name)
        *_, extra = tool.parameters
        assert tool.parameters[extra]["description"] == f'Always "{answer.arguments[extra]}".'
    assert moved > len(items) / 2


def test_union_noise_renames_and_adds_at_once(items):
    renamed = 0
    for item in items:
        noisy = in_environment(item, "union")
        renamed += not {tool.name for tool in noisy.tools} <= {tool.name for tool in item.tools}
        assert all(len(a.parameters) == len(b.parameters) + 1 for a, b in zip(noisy.tools, item.tools, strict=True))
    assert renamed > 0.8 * len(items)
