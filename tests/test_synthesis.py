"""Data construction: what the synthetic training data and its held-out counterpart promise."""

import random
import re
import string
from collections import Counter
from dataclasses import replace

import pytest

from tl.calls import Call, format_call, parse_call
from tl.datasets import DataError
from tl.executor import Cause, InProcessExecutor
from tl.mae import ErrorCategory, call_categories, classify_feedback, erroneous_calls
from tl.schema import BUILT_INS, ToolSpec
from tl.synthesis import LIBRARY, UNSEEN_TOOLKITS, conversations, held_out, make_episodes, prompts, synthesize
from tl.synthesis.episodes import MORE_CHARACTERS, REFUSAL, TOOL_CHARACTERS, Repertoire, join, report
from tl.synthesis.mistakes import ERROR_SHARES, mistakes
from tl.synthesis.scenarios import Draw, all_scenarios, is_held_out
from tl.synthesis.scenarios import _wording as wording
from tl.trajectory import Trajectory

SIZE = 400


@pytest.fixture(scope="module")
def training():
    return make_episodes(SIZE)


@pytest.fixture(scope="module")
def unseen():
    return make_episodes(SIZE, unseen=True)


@pytest.fixture(scope="module")
def executor():
    return InProcessExecutor()


def calls(episode):
    return [parse_call(message.content) for message, _ in episode.trajectory.calls()]


def session_seed(trajectory_id):
    """The seed of the session in which a trajectory was executed."""
    return int(trajectory_id.rpartition("/")[2])


# ---- what a trajectory is


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data():
    assert synthesize(30, seed=3) == synthesize(30, seed=3)
    assert synthesize(30, seed=3) != synthesize(30, seed=4)
    assert held_out(30, seed=3) == held_out(30, seed=3)


def test_a_smaller_set_of_the_same_kinds_has_the_size_asked_for():
    assert [len(synthesize(size)) for size in (0, 1, 7)] == [0, 1, 7]


def test_feedback_is_what_execution_gives(training, executor):
    for episode in training:
        trajectory = episode.trajectory
        names = [tool.name for tool in trajectory.tools]
        answers = iter([feedback for call, feedback in trajectory.calls() if call.content.startswith("ask_to_user(")])
        with executor.session(session_seed(trajectory.id), names, answer=lambda _, a=answers: next(a)) as session:
            for call, feedback in trajectory.calls():
                assert session.run(call.content).text == (feedback or "")
            assert session.finished


def test_trajectories_survive_the_dataset_format():
    for trajectory in synthesize(50):
        assert Trajectory.from_openai(trajectory.to_openai()) == trajectory


def test_every_trajectory_ends_with_its_only_finish(training):
    for episode in training:
        names = [call.name for call in calls(episode)]
        assert names.count("finish") == 1 and names[-1] == "finish"


def test_the_built_in_tools_come_last_and_no_tool_twice(training):
    for episode in training:
        tools = episode.trajectory.tools
        assert tools[-2:] == BUILT_INS
        assert len({tool.name for tool in tools}) == len(tools)


def test_the_tools_of_a_prompt_keep_to_their_room(training):
    for episode in training:
        needed = {call.name for call in episode.task.solution}
        spare = [tool for tool in episode.trajectory.tools[:-2] if tool.name not in needed][1:]
        length = sum(len(tool.to_prompt()) for tool in episode.trajectory.tools[:-2])
        assert length <= TOOL_CHARACTERS or not spare


def test_most_prompts_hold_a_sibling_of_the_tool_that_is_called_first(training):
    def has_sibling(episode):
        name = calls(episode)[0].name
        stem = name.split("_")[0] + "_"
        return any(tool.name.startswith(stem) and tool.name != name for tool in episode.trajectory.tools)

    plain = [episode for episode in training if episode.spec.kind == "plain"]
    assert sum(map(has_sibling, plain)) > 0.6 * len(plain)


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ({"title": "Sparse vision", "year": 2007}, "The title is Sparse vision and the year is 2007."),
        (
            {"order_id": "R1", "total": 2.5, "status": "paid"},
            "The order id is R1, the total is 2.5 and the status is paid.",
        ),
        ({"highs": [7, -2], "next_cursor": None}, "The highs are 7, -2."),
        ([{"paper_id": "p1", "year": 1999}, {"paper_id": "p2", "year": 2000}], "The paper ids are p1, p2."),
        ([{"paper_id": "p1", "year": 1999}], "The paper id is p1 and the year is 1999."),
        ([["Ada", 7], ["Bo", 8]], "The results are Ada, Bo."),
        (["storm", "fog"], "The results are storm, fog."),
        (["storm"], "The result is storm."),
        (0, "The result is 0."),
        ("some text", "The result is some text."),
        ([], "I found nothing."),
        ({"citing": [], "next_cursor": None}, "I found nothing."),
    ],
)
def test_answers_tell_what_the_tool_returned(result, answer):
    assert report(result) == answer


# ---- conversations


@pytest.fixture(scope="module")
def talks():
    return conversations([1, 2, 3, 4] * 40)


def test_a_conversation_has_the_requests_asked_for_and_their_episodes_the_same_tools(talks):
    assert list(map(len, talks)) == [1, 2, 3, 4] * 40
    for episodes_of_one in talks:
        assert all(e.trajectory.tools == episodes_of_one[0].trajectory.tools for e in episodes_of_one)
    requests = [episode.task.request for one in talks for episode in one]
    assert Counter(episode.spec.kind for one in talks for episode in one) == {
        "plain": 212,
        "error": 68,
        "ask": 72,
        "refusal": 48,
    }
    assert len(set(requests)) > 0.98 * len(requests)


def test_joined_episodes_are_one_trajectory_in_which_requests_follow_answers(talks):
    for episodes_of_one in talks:
        joined = join(episodes_of_one)
        assert joined.tools == episodes_of_one[0].trajectory.tools
        assert joined.messages == tuple(m for e in episodes_of_one for m in e.trajectory.messages)
        answers = [i for i, m in enumerate(joined.messages) if m.content.startswith("finish(")]
        requests = [i for i, m in enumerate(joined.messages) if m.role == "user"]
        assert [0, *(at + 1 for at in answers[:-1])] == requests and answers[-1] == len(joined.messages) - 1
        assert joined.id.count("+") == len(episodes_of_one) - 1


def test_what_a_conversation_refuses_none_of_its_tools_could_do(talks, executor):
    for episodes_of_one in talks:
        tools = {tool.name for tool in episodes_of_one[0].trajectory.tools[:-2]}
        toolkits = {executor.toolkit_of[name] for name in tools}
        for episode in episodes_of_one:
            if episode.spec.kind == "refusal":
                assert episode.task.toolkit not in toolkits
            else:
                assert {call.name for call in episode.task.solution} <= tools | {"finish", "ask_to_user"}


def test_the_further_requests_of_a_conversation_make_room_for_their_tools(talks):
    for episodes_of_one in talks[1::2]:
        room = TOOL_CHARACTERS + MORE_CHARACTERS * (len(episodes_of_one) - 1)
        needed = {call.name for e in episodes_of_one for call in e.task.solution}
        tools = episodes_of_one[0].trajectory.tools[:-2]
        spare = [tool for tool in tools if tool.name not in needed][1:]
        assert sum(len(tool.to_prompt()) for tool in tools) <= room or not spare


def test_training_trajectories_have_one_to_four_requests_and_run_again(executor):
    """Each request in a session of its own, with the seed that the trajectory's id names."""
    for trajectory in synthesize(60, seed=5):
        names = [tool.name for tool in trajectory.tools]
        starts = [i for i, message in enumerate(trajectory.messages) if message.role == "user"]
        parts = trajectory.id.split("+")
        assert 1 <= len(parts) == len(starts) <= 4
        for part, start, end in zip(parts, starts, [*starts[1:], None], strict=True):
            episode = replace(trajectory, messages=trajectory.messages[start:end])
            answers = iter([reply for call, reply in episode.calls() if call.content.startswith("ask_to_user(")])
            with executor.session(session_seed(part), names, answer=lambda _, a=answers: next(a)) as session:
                for call, feedback in episode.calls():
                    assert session.run(call.content).text == (feedback or "")


# ---- the mix


def test_the_kinds_come_in_the_shares_of_the_mix(training):
    shares = Counter(episode.spec.kind for episode in training)
    assert shares == {"plain": 212, "error": 68, "ask": 72, "refusal": 48}


def test_the_shares_can_be_chosen():
    kinds = Counter(episode.spec.kind for episode in make_episodes(50, mix=(40, 30, 30)))
    assert (kinds["plain"], kinds["error"], kinds["ask"] + kinds["refusal"]) == (20, 15, 15)


def test_erroneous_calls_are_where_they_should_be_and_are_recovered_from(training):
    for episode in training:
        wrong = erroneous_calls(episode.trajectory)
        assert any(wrong) == (episode.spec.kind == "error")
        assert not wrong[-1]
        good = [call for call, is_wrong in zip(calls(episode), wrong, strict=True) if not is_wrong]
        repeated_once = list(episode.task.solution)
        for index in range(len(repeated_once) - 1, 0, -1):
            if episode.task.retried and repeated_once[index] == repeated_once[index - 1]:
                del repeated_once[index]
        assert good == repeated_once


def test_errors_are_spread_over_all_categories(training):
    found = Counter(
        category
        for episode in training
        for category in call_categories(episode.trajectory)
        if category is not ErrorCategory.ALL_RIGHT
    )
    assert set(found) == set(ERROR_SHARES)
    assert min(found.values()) >= 0.05 * found.total()


def test_an_error_of_the_user_is_asked_about_before_anything_else(training):
    for episode in training:
        if episode.spec.kind == "ask":
            assert calls(episode)[0].name == "ask_to_user"
            assert episode.trajectory.messages[2].content == episode.task.user_answer


def test_refusals_call_nothing_and_lack_the_tools_for_the_task(training, executor):
    for episode in training:
        if episode.spec.kind == "refusal":
            assert [format_call(call) for call in calls(episode)] == [f'finish(answer="{REFUSAL}")']
            toolkits = {executor.toolkit_of[tool.name] for tool in episode.trajectory.tools[:-2]}
            assert episode.task.source.partition(".")[0] not in toolkits


# ---- candidates for mistakes

CLASS = {"type": "string", "enum": ["first", "second"]}
SEARCH = ToolSpec("search_trains", "", dict.fromkeys(("city", "train_id", "page"), {}) | {"class": CLASS}, ("city",))
OSLO = {"city": "Oslo", "train_id": 7, "class": "first"}


def wrong(category: ErrorCategory, spec: ToolSpec, arguments: dict, library=()) -> list[Call]:
    """The mistakes of a call, which come in an order that the seed decides."""
    call = Call(spec.name, arguments)
    one, same, other = (mistakes(category, call, spec, library, random.Random(seed)) for seed in (0, 0, 1))
    assert one == same and sorted(map(format_call, one)) == sorted(map(format_call, other))
    assert one != other or len(one) < 3
    return one


def test_a_wrong_tool_has_a_similar_name_that_no_tool_has_and_the_same_arguments():
    found = wrong(ErrorCategory.TOOL_HALLUCINATION, SEARCH, OSLO, library={"search_trains", "query_trains"})
    assert {call.name for call in found} == {
        "find_trains", "lookup_trains", "search", "SearchTrains", "search_trainss", "search_trains_info",
        "search_trains_data", "search_trains_by_id", "search_trains_by_name", "search_trains_list", "search_trains_v2",
    }  # fmt: skip
    assert all(call.arguments == OSLO for call in found)
    short = wrong(ErrorCategory.TOOL_HALLUCINATION, ToolSpec("get", "", {}, ()), {})
    assert {call.name for call in short if "_" not in call.name} == {"Get", "gets"}


def test_a_wrong_parameter_is_one_more_or_another_name_for_one():
    found = wrong(ErrorCategory.PARAMETER_HALLUCINATION, SEARCH, OSLO)
    more = [call.arguments for call in found if call.arguments.keys() > OSLO.keys()]
    assert {name for arguments in more for name in arguments.keys() - OSLO.keys()} == {
        "language", "format", "sort_by", "verbose", "details", "source", "timeout",
    }  # fmt: skip
    assert all({name: arguments[name] for name in OSLO} == OSLO for arguments in more)
    renamed = [list(call.arguments.items()) for call in found if call.arguments not in more]
    assert len(renamed) == 3 and [("location", "Oslo"), ("train_id", 7), ("class", "first")] in renamed
    assert [("city", "Oslo"), ("id", 7), ("class", "first")] in renamed
    assert [("city", "Oslo"), ("train_id", 7), ("class_name", "first")] in renamed


def test_a_missing_parameter_is_a_required_one():
    assert wrong(ErrorCategory.PARAMETER_MISSING, SEARCH, OSLO) == [
        Call("search_trains", {"train_id": 7, "class": "first"})
    ]


@pytest.mark.parametrize(
    ("right", "schema", "spoiled"),
    [
        (True, {}, ["True"]),
        (10, {}, ["10", "ten", -10]),
        (11, {}, ["11", "11 units", -11]),
        (["a", 1], {}, ["a, 1", {"values": ["a", 1]}]),
        ({"a": 1}, {}, ["{'a': 1}", [{"a": 1}]]),
        ("first", CLASS, ["FIRST", "First", "any"]),
        ("2024-05-17", {}, ["17/05/2024", "2024-05-17:00 o'clock", 20240517, "#20240517"]),
    ],
)
def test_a_wrong_value_has_another_type_or_format_or_is_none_of_the_choices(right, schema, spoiled):
    spec = ToolSpec("set", "", {"to": schema, "at": {}}, ())
    found = wrong(ErrorCategory.TOOL_CALL_FAILURE, spec, {"to": right, "at": None})
    assert all(call.arguments.keys() == {"to", "at"} for call in found)
    assert {repr(call.arguments["to"]) for call in found} == {repr(value) for value in (right, *spoiled)}
    assert [call.arguments["at"] for call in found if call.arguments["to"] == right] == ["None"]


def test_a_misspelled_value_has_two_letters_swapped_within_a_free_text():
    found = wrong(ErrorCategory.OTHER, SEARCH, OSLO | {"page": "book"})
    assert sorted((call.arguments["city"], call.arguments["page"]) for call in found) == [
        ("Olso", "book"), ("Oslo", "boko"), ("Osol", "book"),
    ]  # fmt: skip


# ---- held out


def test_no_request_is_in_both_sets(training, unseen):
    assert not {e.task.request for e in training} & {e.task.request for e in unseen}


def test_no_value_is_asked_for_in_both_sets(training, unseen):
    assert not {v for e in training for v in e.task.values} & {v for e in unseen for v in e.task.values}


def test_no_phrasing_is_in_both_sets():
    """Not even with other articles, punctuation or politeness."""

    def words(phrasings):
        idle = {"a", "an", "the", "please"}
        return {tuple(w for w in re.findall(r"[\w{}]+", text.lower()) if w not in idle) for text in phrasings}

    seen, kept = set(wording.OUT_OF_SCOPE), set(wording.UNSEEN_OUT_OF_SCOPE)
    for scenario in all_scenarios():
        if scenario.toolkit in LIBRARY:
            seen |= {*scenario.phrasings, *(scenario.ask.phrasings if scenario.ask else ())}
            kept |= {*scenario.unseen, *(scenario.ask.unseen if scenario.ask else ())}
    assert not words(seen) & words(kept)


def test_phrasings_are_used_on_their_own_side_only(training, unseen):
    assert not {e.task.template for e in training} & {e.task.template for e in unseen}


@pytest.mark.parametrize("side", ["values", "phrasings"])
def test_values_and_phrasings_can_be_held_out_apart(training, unseen, side):
    """What is held out lies on the held-out side, the other on that of training."""
    made = make_episodes(100, unseen=side)
    values, templates = {v for e in made for v in e.task.values}, {e.task.template for e in made}
    new_values, new_templates = side == "values", side == "phrasings"
    assert all(is_held_out(value) == new_values for value in values)
    held_out_templates = {e.task.template for e in unseen}
    assert not templates & (held_out_templates if not new_templates else {e.task.template for e in training})
    assert not {e.task.request for e in made} & {e.task.request for e in training}


def test_no_episode_is_twice_in_a_set(training, unseen):
    for side in (training, unseen):
        keys = [(e.task.request, *map(format_call, e.task.solution)) for e in side]
        assert len(set(keys)) == len(keys)


def test_a_set_has_its_size_even_where_draws_repeat_themselves():
    made = make_episodes(150, mix=(1, 0, 0), toolkits=["database"])
    assert len({(e.task.request, *map(format_call, e.task.solution)) for e in made}) == len(made) == 150


def test_an_item_ends_where_its_answer_is_due():
    items = held_out(200)
    assert all(item.messages[-1].role in ("user", "tool") for item in items)
    first = sum(len(item.messages) == 1 for item in items)
    assert 0.5 * len(items) <= first < len(items)


def test_golden_calls_of_held_out_items_run_without_an_error(executor):
    for item in held_out(200):
        names = [tool.name for tool in item.tools]
        with executor.session(session_seed(item.id), names) as session:
            for message in item.messages:
                if message.is_call:
                    session.run(message.content)
            for answer in item.golden:
                feedback = session.run(format_call(answer))
                assert feedback.cause is Cause.OK, feedback
                assert classify_feedback(feedback.text) is ErrorCategory.ALL_RIGHT


def test_prompts_are_the_right_calls_of_training_episodes_one_after_the_other():
    items = prompts(150)
    expected = []
    for episode in make_episodes(150):
        messages = episode.trajectory.messages
        calls = [i for i, message in enumerate(messages) if message.is_call]
        right = [i for i, wrong in zip(calls, erroneous_calls(episode.trajectory), strict=True) if not wrong]
        expected += [(messages[:i], [parse_call(messages[i].content)]) for i in right]
    assert [(item.messages, item.golden) for item in items] == expected[:150]
    depths = Counter(sum(message.is_call for message in item.messages) for item in items)
    assert depths[0] and depths[1] and depths[2]


def test_unseen_toolkits_are_not_those_of_training():
    assert not set(UNSEEN_TOOLKITS) & set(LIBRARY)
    assert {scenario.toolkit for scenario in all_scenarios()} == set(UNSEEN_TOOLKITS) | set(LIBRARY)


def test_a_set_can_be_made_from_every_toolkit():
    made = make_episodes(300, toolkits=LIBRARY)
    assert {e.task.source.partition(".")[0] for e in made} == {*LIBRARY, "none"}


def test_toolkits_without_a_service_have_no_outages_to_offer():
    with pytest.raises(DataError, match="made 0 of 20 conversations, then found no new one"):
        make_episodes(20, mix=(0, 1, 0), toolkits=["calendar"])


# ---- the scenarios


@pytest.mark.parametrize("scenario", all_scenarios(), ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("is_unseen", [False, True])
def test_every_scenario_can_be_solved_on_both_sides(scenario, is_unseen, monkeypatch):
    repertoire = replace(Repertoire.of((scenario.toolkit,)), scenarios=(scenario,))
    monkeypatch.setattr(Repertoire, "of", lambda toolkits: repertoire)
    made = make_episodes(3, mix=(1, 0, 0), unseen=is_unseen)
    assert {episode.task.source for episode in made} == {scenario.name}


@pytest.mark.parametrize("scenario", all_scenarios(), ids=lambda scenario: scenario.name)
def test_every_phrasing_of_a_scenario_says_the_same_facts(scenario):
    def fields(template):
        return {field for _, field, _, _ in string.Formatter().parse(template) if field}

    facts = None
    for seed in range(0, 800, 8):
        try:
            facts = set(next(scenario.plan(Draw(random.Random(seed), seed, False))))
            break
        except LookupError:
            continue
    assert all(fields(template) == facts for template in (*scenario.phrasings, *scenario.unseen))
    if scenario.ask:
        asked = (*scenario.ask.phrasings, *scenario.ask.unseen)
        assert all(fields(template) == facts - {scenario.ask.fact} for template in asked)
