"""The figures of a step's rollouts, by hand, and where the report looks for them."""

from dataclasses import replace

import pytest

from tl.irm import RewardCase
from tl.report.page import CURVES
from tl.rl.calls import Experience, ScoredCall
from tl.rl.log import case_key, log_rollouts, rollout_metrics
from tl.rollout.dialogue import StopReason


def episode(right: bool | None, *cases: RewardCase | None) -> Experience:
    calls = [ScoredCall("f()", 0.5, case) for case in cases]
    seconds = {"generation_seconds": 2.0, "tool_seconds": 0.25}
    return Experience("e", [1], [0, 1], [1, 2], [-1.0, -1.0], [0.5, 1.0], calls, right, **seconds)


def test_figures_by_hand():
    experiences = [
        episode(True, RewardCase.ALL_RIGHT, RewardCase.CONTENT),
        episode(False, RewardCase.ALL_RIGHT, RewardCase.ALL_RIGHT, None),  # the last has no case
    ]
    found = rollout_metrics(experiences)
    assert found["reward"] == 1.5 and found["response_length"] == 2
    assert found["case/all_right"] == 0.75 and found["case/content"] == 0.25
    assert found["right_answers"] == 0.5
    assert found["generation_seconds"] == 4 and found["tool_seconds"] == 0.5


def test_the_shares_are_those_of_the_cases_alone_and_add_up_to_one():
    found = rollout_metrics([episode(True, *RewardCase), episode(False, RewardCase.CONTENT)])
    shares = {name: value for name, value in found.items() if name.startswith("case/")}
    assert shares.keys() == {case_key(case) for case in RewardCase}
    assert sum(shares.values()) == pytest.approx(1)


def test_why_rollouts_ended_is_counted_over_all_of_them_the_failed_ones_included():
    cut = replace(episode(False, RewardCase.FORMAT_ERROR), stop=StopReason.CUT)
    found = rollout_metrics([episode(True), cut, None, None])
    stops = {name: value for name, value in found.items() if name.startswith("stop/")}
    none = dict.fromkeys(("stop/turns", "stop/context"), 0)
    assert stops == {"stop/finished": 0.25, "stop/cut": 0.25, "stop/executor": 0.5} | none
    assert found["right_answers"] == 0.5


def test_the_report_draws_what_is_logged():
    assert {"reward", "response_length", "right_answers"} <= rollout_metrics([episode(True)]).keys() & CURVES.keys()


def test_single_calls_have_no_right_answers_and_no_rollouts_no_figures():
    assert "right_answers" not in rollout_metrics([episode(None, RewardCase.CONTENT)])
    assert rollout_metrics([]) == rollout_metrics([None]) == {}


def test_rollouts_that_cannot_be_written_are_a_warning(small_tokenizer, tmp_path):
    (tmp_path / "rollouts").write_text("in the way")
    with pytest.warns(UserWarning, match="could not log rollouts"):
        log_rollouts(tmp_path, 1, [episode(None, RewardCase.CONTENT)], small_tokenizer)
