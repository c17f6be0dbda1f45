"""Process rewards: rewards by rules for each call of an episode."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from tl.calls import Call
from tl.executor import Cause, Feedback
from tl.irm import REWARDS, RewardCase, call_reward
from tl.mae import ErrorCategory
from tl.schema import ToolSpec

OUTCOME_REWARD = 1.0  # on the last action of an episode whose final answer is right


# A call without a golden call to compare with is scored by its feedback, with the reward of the corresponding IRM case;
# None: 0. A successful call earns nothing here, so that many calls do not pay. An outage is not the call's fault.
CASE_OF_FEEDBACK: Mapping[ErrorCategory | None, RewardCase | None] = {
    ErrorCategory.TOOL_HALLUCINATION: RewardCase.TOOL_HALLUCINATION,
    ErrorCategory.PARAMETER_HALLUCINATION: RewardCase.HALLUCINATED,
    ErrorCategory.PARAMETER_MISSING: RewardCase.REDUNDANT_OR_MISSING,
    ErrorCategory.TOOL_CALL_FAILURE: RewardCase.CONTENT,
    ErrorCategory.OTHER: RewardCase.CONTENT,
    ErrorCategory.TOOL_INSTABILITY: None,
    ErrorCategory.ALL_RIGHT: None,
    None: None,  # the executor itself failed
}


class StepReward(NamedTuple):
    """The reward of a call, its IRM case, and the golden call that it was compared with; the last two may be None."""

    reward: float
    case: RewardCase | None
    golden: Call | None


def step_rewards(
    calls: Sequence[tuple[str, Feedback | None]],
    solution: Sequence[Call],
    tools: Sequence[ToolSpec],
    free_text: Collection[str] = (),
) -> Iterator[StepReward]:
    """The rewards of an episode's calls, given as (text, feedback). Feedback is None if a call was cut and did not run.

    While the calls follow the reference solution, each is compared with its next call, as in ``tl.irm.call_reward``; a
    golden call whose tool fails earns 0. A failed call does not advance the solution; a different call that succeeds
    abandons it. From then on, or if no solution is known, the feedback decides (CASE_OF_FEEDBACK). Failures in a row
    together cost as much as the worst of them: each is charged only for what it does worse than those before it.
    """
    due = list(solution)
    charged = 0.0  # cost of the failures since the last successful call
    for text, feedback in calls:
        case = _case(text, feedback, due, tools, free_text)
        reward = REWARDS[case] if case else 0.0
        if reward < 0:
            before, charged = charged, min(reward, charged)
            reward = charged - before
        yield StepReward(reward, case, due[0] if due else None)
        if feedback and feedback.category is ErrorCategory.ALL_RIGHT:
            due = due[1:] if case is RewardCase.ALL_RIGHT else []
            charged = 0.0


def _case(
    text: str,
    feedback: Feedback | None,
    due: Sequence[Call],
    tools: Sequence[ToolSpec],
    free_text: Collection[str],
) -> RewardCase | None:
    if feedback is None or feedback.cause is Cause.FORMAT_ERROR:
        return RewardCase.FORMAT_ERROR
    if not due:
        return CASE_OF_FEEDBACK[feedback.category]
    case = call_reward(text, due[0], tools, free_text).case
    fails = case is RewardCase.ALL_RIGHT and feedback.category is not ErrorCategory.ALL_RIGHT
    return None if fails else case  # the tool failed, not the call
