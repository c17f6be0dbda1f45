"""Rollouts of whole tasks, with tools that run: the episodes that the policy played, scored call by call."""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from functools import partial

from tl.calls import Call, format_call
from tl.executor import Cause, Executor, Feedback
from tl.irm import REWARDS, RewardCase
from tl.llama.model import Llama
from tl.llama.sampling import MAX_ROWS, Sampler, rows_at_a_time
from tl.llama.tokenizer import Tokenizer
from tl.mae import ErrorCategory
from tl.rl.config import PPOConfig
from tl.rl.data import PPOTask
from tl.rl.steps import Experience, ScoredCall, case_of, complete
from tl.rollout.dialogue import StopReason
from tl.rollout.episodes import Request, Rollout, outcome, play
from tl.rollout.policy import Drawn, SamplingPolicy
from tl.templates import template_of

OUTCOME_REWARD = 1.0  # on the last action of an episode whose final answer is right


# A call for which no golden one is known is scored by what its feedback shows, with the reward of the IRM case that
# says the same; None: 0. A right call earns nothing here, lest it pay to make many. An outage is not the call's doing.
CASE_OF_FEEDBACK: Mapping[ErrorCategory | None, RewardCase | None] = {
    ErrorCategory.TOOL_HALLUCINATION: RewardCase.TOOL_HALLUCINATION,
    ErrorCategory.PARAMETER_HALLUCINATION: RewardCase.HALLUCINATED,
    ErrorCategory.PARAMETER_MISSING: RewardCase.REDUNDANT_OR_MISSING,
    ErrorCategory.TOOL_CALL_FAILURE: RewardCase.CONTENT,
    ErrorCategory.OTHER: RewardCase.CONTENT,
    ErrorCategory.TOOL_INSTABILITY: None,
    ErrorCategory.ALL_RIGHT: None,
}


def sample_episodes(
    model: Llama,
    tokenizer: Tokenizer,
    prompts: Sequence[PPOTask],
    executor: Executor,
    config: PPOConfig,
    seeds: Sequence[int],
) -> list[Experience | None]:
    """The policy works through whole tasks with the executor; one experience an episode.

    An episode ends with ``finish``, with a call that was cut, after nine calls, or when the context has no room for the
    next. None stands for one in which the executor failed. The policy answers in half of the episodes while the tools
    of the other half run.
    """
    first_prompts = [task.prompt_ids for task in prompts]
    longest = max(map(len, first_prompts), default=0) + config.max_new_tokens
    rows = rows_at_a_time(min(len(prompts), MAX_ROWS), longest)
    draw = partial(complete, Sampler(model, rows, eos_id=template_of(tokenizer).end_id), config)
    room = model.config.context_length - config.max_new_tokens
    policy = SamplingPolicy(draw, tokenizer, first_prompts, seeds, room)
    requests = [prompt.task.request(executor) for prompt in prompts]
    played = dict(play(requests, policy, rows, n_groups=2, strict=True))
    return [
        score_episode(request, played[i], policy.turns[i], prompt.task.calls, config)
        for i, (prompt, request) in enumerate(zip(prompts, requests, strict=True))
    ]


def score_episode(
    request: Request, rollout: Rollout, turns: Sequence[Drawn], solution: Sequence[Call], config: PPOConfig
) -> Experience | None:
    """The tokens of an episode and what its calls earn; None where the executor failed.

    While the policy follows the task's solution, each call is compared with the next one there, as in ``sample_steps``;
    a golden call whose tool fails earns 0. A call that fails leaves the same one due. Another call that works abandons
    the solution, and from then on the feedback decides (CASE_OF_FEEDBACK). Failures in a row cost as much as the worst
    of them: each is charged for what it does worse than those before it. A right final answer, or the refusal in words
    of a request that cannot be served, adds OUTCOME_REWARD.
    """
    if rollout.stop is StopReason.EXECUTOR:
        warnings.warn(f"episode {request.id} is left out. {rollout.feedback[-1].text}", stacklevel=2)
        return None
    experience = Experience(request.id, [], right=_is_right(request, rollout), stop=rollout.stop)
    experience.generation_seconds = sum(turn.seconds for turn in turns)
    experience.tool_seconds = sum(feedback.seconds for feedback in rollout.feedback)
    due = [call for call, _ in itertools.groupby(solution)]  # a solution repeats the call that met an outage
    charged = 0.0  # what the calls have cost that failed since the last one that worked
    feedbacks: list[Feedback | None] = [*rollout.feedback, None]  # a call that was cut is not run
    for turn, (call, output), feedback in zip(turns, rollout.trajectory.calls(), feedbacks, strict=False):
        case = _case(turn, call.content, feedback, due, request, config)
        reward = REWARDS[case] if case else 0.0
        if reward < 0:
            before, charged = charged, min(reward, charged)
            reward = charged - before
        if turn is turns[-1] and experience.right:
            reward += OUTCOME_REWARD
        golden = format_call(due[0]) if due else None
        experience.ids += turn.read
        experience.add(turn.completion, ScoredCall(call.content, reward, case, golden, output))
        if feedback and feedback.category is ErrorCategory.ALL_RIGHT:
            due = due[1:] if case is RewardCase.ALL_RIGHT else []
            charged = 0.0
    return experience


def _case(
    turn: Drawn,
    text: str,
    feedback: Feedback | None,
    due: Sequence[Call],
    request: Request,
    config: PPOConfig,
) -> RewardCase | None:
    if feedback is None or feedback.cause is Cause.FORMAT_ERROR:
        return RewardCase.FORMAT_ERROR
    if not due:
        return CASE_OF_FEEDBACK[feedback.category]
    case = case_of(turn.completion, text, due[:1], request.tools, config)
    fails = case is RewardCase.ALL_RIGHT and feedback.category is not ErrorCategory.ALL_RIGHT
    return None if fails else case  # not the call's doing; it stays due


def _is_right(request: Request, rollout: Rollout) -> bool:
    """Whether an episode ends with the answer to its request, or refuses one that cannot be served."""
    result = outcome(request, rollout)
    return bool(result.right) if request.servable else result.refused
