"""PPO's rollouts of whole tasks: the policy plays episodes with real tools, and each call is scored."""

import warnings
from collections.abc import Sequence
from functools import partial

from tl.calls import Call, format_call
from tl.executor import Executor, Feedback
from tl.llama.model import Llama
from tl.llama.sampling import MAX_ROWS, Sampler, rows_at_a_time
from tl.llama.tokenizer import Tokenizer
from tl.rl.calls import Experience, ScoredCall, complete
from tl.rl.config import PPOConfig
from tl.rl.step_rewards import OUTCOME_REWARD, step_rewards
from tl.rollout.dialogue import StopReason
from tl.rollout.episodes import Request, Rollout, ends_right, play
from tl.rollout.policy import Drawn, SamplingPolicy
from tl.rollout.tasks import Task
from tl.templates import template_of


def sample_episodes(
    model: Llama,
    tokenizer: Tokenizer,
    tasks: Sequence[Task],
    executor: Executor,
    config: PPOConfig,
    seeds: Sequence[int],
) -> list[Experience | None]:
    """The policy solves whole tasks with the executor's tools. Returns one experience per episode.

    An episode ends with ``finish``, with a call that was cut, after nine calls, or when the context has no room for
    another call. It is None if the executor failed. The policy generates for one half of the episodes while the tools
    of the other half run.
    """
    prompts = [task.prompt_ids for task in tasks]
    longest = max(map(len, prompts), default=0) + config.max_new_tokens
    rows = rows_at_a_time(min(len(tasks), MAX_ROWS), longest)
    draw = partial(complete, Sampler(model, rows, eos_id=template_of(tokenizer).end_id), config)
    room = model.config.context_length - config.max_new_tokens
    policy = SamplingPolicy(draw, tokenizer, prompts, seeds, room)
    requests = [task.request(executor) for task in tasks]
    played = dict(play(requests, policy, rows, n_groups=2, strict=True))
    return [
        score_episode(request, played[i], policy.turns[i], task.calls, config)
        for i, (task, request) in enumerate(zip(tasks, requests, strict=True))
    ]


def score_episode(
    request: Request, rollout: Rollout, turns: Sequence[Drawn], solution: Sequence[Call], config: PPOConfig
) -> Experience | None:
    """The tokens of an episode with the rewards of its calls; None if the executor failed.

    With ``config.reward`` "step", rules score every call (``step_rewards``); otherwise calls earn nothing. A right
    final answer, or a refusal in words of a request that cannot be served, adds OUTCOME_REWARD to the last call.
    """
    if rollout.stop is StopReason.EXECUTOR:
        warnings.warn(f"episode {request.id} is left out. {rollout.note}", stacklevel=2)
        return None
    experience = Experience(request.id, [], right=ends_right(request, rollout), stop=rollout.stop)
    experience.generation_seconds = sum(turn.seconds for turn in turns)
    experience.tool_seconds = sum(feedback.seconds for feedback in rollout.feedback)
    calls = list(rollout.trajectory.calls())
    feedbacks: list[Feedback | None] = [*rollout.feedback, None]  # a call that was cut is not run
    ran = [(call.content, feedback) for (call, _), feedback in zip(calls, feedbacks, strict=False)]
    steps = step_rewards(ran, solution, request.tools, config.free_text)
    for turn, (call, output), step in zip(turns, calls, steps, strict=True):
        reward = step.reward if config.reward == "step" else 0.0
        if turn is turns[-1] and experience.right:
            reward += OUTCOME_REWARD
        golden = format_call(step.golden) if step.golden else None
        experience.ids += turn.read
        experience.add(turn.completion, ScoredCall(call.content, reward, step.case, golden, output))
    return experience
