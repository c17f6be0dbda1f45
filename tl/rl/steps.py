"""Rollouts of PPO: calls sampled from the policy at temperature 1, kept as ids, and their rewards (paper, section 3.3).

Two kinds: one call per prompt (``sample_steps``, as in the paper) and whole tasks (``sample_episodes``). Sampled ids
are never tokenised again. A call's reward depends on the text of its ids and on the executor's feedback to it, never
on the context before it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tl.calls import Call, format_call
from tl.irm import REWARDS, RewardCase, call_reward
from tl.llama.model import Llama
from tl.llama.sampling import MAX_ROWS, Completion, Sampler
from tl.llama.tokenizer import Tokenizer
from tl.metrics import Question
from tl.rl.config import PPOConfig
from tl.rollout.dialogue import StopReason
from tl.schema import ToolSpec
from tl.templates import template_of

TEMPERATURE = 1.0  # no other: the trainer takes log-probabilities of the logits as they are; top-p is off, too


@dataclass(frozen=True)
class ScoredCall:
    """A call of the policy as text, for the log. ``reward`` is that of its last action; the others have none."""

    text: str
    reward: float
    case: RewardCase | None
    golden: str | None = None
    feedback: str | None = None


@dataclass
class Experience:
    """A rollout as one sequence of L tokens, in which the policy chose A.

    Action a was drawn from what the hidden state at ``positions[a]`` predicts. All tokens of the calls are actions, the
    one that ends a finished call included; prompt and feedback are not. After the text of a call, the context continues
    as the prompt format has it: with the feedback, or with the end of the turn and the feedback. ``ids`` end at the
    last position.
    """

    id: str
    ids: list[int]  # [L]
    positions: list[int] = field(default_factory=list)  # [A] ascending
    actions: list[int] = field(default_factory=list)  # [A]
    sampler_logprobs: list[float] = field(default_factory=list)  # [A] natural log
    rewards: list[float] = field(default_factory=list)  # [A] R on a call's last action, else 0; without KL
    calls: list[ScoredCall] = field(default_factory=list)
    right: bool | None = None  # whether an episode ended in a right answer; None for a single call
    stop: StopReason = StopReason.FINISHED
    generation_seconds: float = field(default=0.0, compare=False)  # of sampling, shared evenly by all rollouts
    tool_seconds: float = field(default=0.0, compare=False)  # from its calls to their feedback, others running as well

    def add(self, completion: Completion, call: ScoredCall) -> None:
        """Appends a call; its last token is an action, but no input."""
        n = len(completion.ids)
        self.positions += range(len(self.ids) - 1, len(self.ids) - 1 + n)
        self.ids += completion.ids[:-1]
        self.actions += completion.ids
        self.sampler_logprobs += completion.logprobs
        self.rewards += [0.0] * (n - 1) + [call.reward]
        self.calls.append(call)


def sample_steps(
    model: Llama, tokenizer: Tokenizer, prompts: Sequence[Question], config: PPOConfig, seeds: Sequence[int]
) -> list[Experience]:
    """Samples one call for each prompt and scores it against the golden calls (the paper's rollouts).

    ``seeds``: one per prompt. Except for rounding, which differs with the shape of a batch, the draws for a prompt
    depend on its seed alone, and not on the order of the prompts or the number of ranks.
    """
    template = template_of(tokenizer)
    sampler = Sampler(model, min(len(prompts), MAX_ROWS), eos_id=template.end_id)
    completions, seconds = complete(sampler, config, [prompt.prompt_ids for prompt in prompts], seeds)
    experiences = []
    for prompt, completion in zip(prompts, completions, strict=True):
        text = tokenizer.decode(completion.ids)
        if completion.stopped:
            text = template.read_one(text)
        case = case_of(completion, text, prompt.golden, prompt.tools, config)
        experience = Experience(prompt.id, list(prompt.prompt_ids), generation_seconds=seconds)
        experience.stop = StopReason.FINISHED if completion.stopped else StopReason.CUT
        experience.add(completion, ScoredCall(text, REWARDS[case], case, " or ".join(map(format_call, prompt.golden))))
        experiences.append(experience)
    return experiences


def complete(
    sampler: Sampler, config: PPOConfig, prompts: Sequence[Sequence[int]], seeds: Sequence[int]
) -> tuple[list[Completion], float]:
    """A completion of each prompt, and the seconds that they took, divided by their number."""
    start = time.perf_counter()
    completions = sampler.complete(prompts, config.max_new_tokens, TEMPERATURE, seeds=seeds, logprobs=True)
    return completions, (time.perf_counter() - start) / max(len(prompts), 1)


def case_of(
    completion: Completion, text: str, golden: Sequence[Call], tools: Sequence[ToolSpec], config: PPOConfig
) -> RewardCase:
    """IRM's case of a sampled call. A call without an end token was cut: a format error, even if its text parses."""
    if not completion.stopped:
        return RewardCase.FORMAT_ERROR
    return call_reward(text, golden, tools, config.free_text).case
