"""IRM, the reward for errors in tool calls (section 3.3, Figure 2): a predicted call against the golden one.

A pure function of two calls and the tool list: it finds the case, then looks up its reward in one table.
"""

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tl.calls import Call, CallSyntaxError, parse_call, same_value
from tl.schema import ToolSpec


class RewardCase(enum.Enum):
    """What a predicted call did wrong, in the order in which the cases are tried."""

    FORMAT_ERROR = "format error"
    TOOL_HALLUCINATION = "tool hallucination"
    WRONG_TOOL = "wrong tool"
    HALLUCINATED_REDUNDANT_MISSING = "hallucinated, redundant and missing parameters"
    HALLUCINATED_AND_ANOTHER = "hallucinated and redundant or missing parameters"
    REDUNDANT_AND_MISSING = "redundant and missing parameters"
    HALLUCINATED = "hallucinated parameters"
    REDUNDANT_OR_MISSING = "redundant or missing parameters"
    CONTENT = "wrong content"
    ALL_RIGHT = "all right"


REWARDS = {
    RewardCase.FORMAT_ERROR: -2.0,
    RewardCase.TOOL_HALLUCINATION: -2.0,
    RewardCase.WRONG_TOOL: -1.5,
    RewardCase.HALLUCINATED_REDUNDANT_MISSING: -1.8,
    RewardCase.HALLUCINATED_AND_ANOTHER: -1.3,
    RewardCase.REDUNDANT_AND_MISSING: -1.0,
    RewardCase.HALLUCINATED: -0.8,
    RewardCase.REDUNDANT_OR_MISSING: -0.5,
    RewardCase.CONTENT: -0.25,
    RewardCase.ALL_RIGHT: 1.0,
}


@dataclass(frozen=True)
class Reward:
    """R of a call, and the case it comes from."""

    case: RewardCase

    @property
    def value(self) -> float:
        """R(t_s) of Figure 2, from −2 to 1."""
        return REWARDS[self.case]


def call_reward(
    prediction: str,
    golden: str | Call | Sequence[str | Call],
    tools: Sequence[ToolSpec],
    free_text: Collection[str] = (),
) -> Reward:
    """The reward of the text of a call against one or more golden calls; the best match counts.

    ``free_text`` names tools whose values are not compared, such as ``finish``, whose text hardly ever matches exactly.
    Raises CallSyntaxError for a golden call that does not parse, ValueError if there is none.
    """
    accepted = [golden] if isinstance(golden, str | Call) else golden
    calls = [parse_call(g) if isinstance(g, str) else g for g in accepted]
    if not calls:
        raise ValueError("no golden call to compare with")
    try:
        predicted = parse_call(prediction)
    except CallSyntaxError:
        return Reward(RewardCase.FORMAT_ERROR)
    if all(tool.name != predicted.name for tool in tools):
        return Reward(RewardCase.TOOL_HALLUCINATION)
    same_tool = [call for call in calls if call.name == predicted.name]
    if not same_tool:
        return Reward(RewardCase.WRONG_TOOL)
    # A keyword that a golden call uses is not hallucinated, even where the schema lacks it.
    known = {key for tool in tools if tool.name == predicted.name for key in tool.parameters}
    known |= {key for call in same_tool for key in call.arguments}
    compare = predicted.name not in free_text
    return max((Reward(_case(predicted, call, known, compare)) for call in same_tool), key=lambda reward: reward.value)


def _case(predicted: Call, golden: Call, known: set[str], compare: bool) -> RewardCase:
    """The case of a call to the right tool. ``known`` are the keywords of its schema and of all golden calls."""
    used, wanted = predicted.arguments.keys(), golden.arguments.keys()
    hallucinated = bool(used - known)
    redundant = bool((used & known) - wanted)
    missing = bool(wanted - used)
    if hallucinated and redundant and missing:
        return RewardCase.HALLUCINATED_REDUNDANT_MISSING
    if hallucinated and (redundant or missing):
        return RewardCase.HALLUCINATED_AND_ANOTHER
    if redundant and missing:
        return RewardCase.REDUNDANT_AND_MISSING
    if hallucinated:
        return RewardCase.HALLUCINATED
    if redundant or missing:
        return RewardCase.REDUNDANT_OR_MISSING
    if compare and not same_value(predicted.arguments, golden.arguments):
        return RewardCase.CONTENT
    return RewardCase.ALL_RIGHT
