"""Rollouts of PPO: what the policy says at temperature 1, as ids, and what it is worth (paper, section 3.3).

Two kinds: one call for a prompt (``sample_steps``, the paper's) and whole tasks (``sample_episodes``). What was drawn
is kept as ids and never tokenised again. A call's reward is read from the text of its own ids and from what the
executor says of it, never from the context.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tl.calls import Call, format_call
from tl.irm import REWARDS, RewardCase, call_reward
from tl.llama.model import Llama
from tl.llama.sampling import Completion, Sampler
from tl.llama.tokenizer import Tokenizer
from tl.metrics import Question
from tl.rollout.dialogue import StopReason
from tl.schema import ASK_TO_USER, FINISH, ToolSpec

FREE_TEXT = (FINISH.name, ASK_TO_USER.name)  # tools whose text is not compared, unless it is asked for


@dataclass(frozen=True)
class SamplingOptions:
    """How calls are drawn and scored; top-p is off."""

    max_new_tokens: int = 512  # tokens of a call; one that has not ended by then is a format error
    temperature: float = 1.0  # sampler_logprobs are taken at it, and the trainer's have to be
    batch_size: int = 16  # texts that are continued at a time, and
    cached_tokens: int = 32_768  # how many tokens they may have together: 16 GiB of keys and values in a 7B model
    compare_text: bool = False  # what `finish` and `ask_to_user` say has to be the golden text

    def rows(self, texts: int, longest: int) -> int:
        """How many of some texts, of up to ``longest`` tokens with what is drawn, are continued at a time."""
        return min(texts, self.batch_size, max(1, self.cached_tokens // longest))


@dataclass(frozen=True)
class ScoredCall:
    """A call of the policy as text, for logs and for reading. ``reward`` is what stands on its last action."""

    text: str
    reward: float
    case: RewardCase | None
    golden: str | None = None
    feedback: str | None = None


@dataclass
class Experience:
    """A rollout as one sequence of L tokens, in which the policy chose A.

    Action a was drawn from what the hidden state at ``positions[a]`` predicts. All tokens of the calls are actions,
    ``</s>`` as the last of a finished call included; prompt and feedback are not. What follows a call in the context
    follows its text: ``</s>`` is never an input. ``ids`` end at the last position.
    """

    id: str
    ids: list[int]  # [L]
    positions: list[int] = field(default_factory=list)  # [A] ascending
    actions: list[int] = field(default_factory=list)  # [A]
    sampler_logprobs: list[float] = field(default_factory=list)  # [A] natural log, at the sampling temperature
    rewards: list[float] = field(default_factory=list)  # [A] R on a call's last action, else 0; without KL
    calls: list[ScoredCall] = field(default_factory=list)
    right: bool | None = None  # whether an episode ended in a right answer; None for a single call
    stop: StopReason = StopReason.FINISHED
    generation_seconds: float = field(default=0.0, compare=False)  # its part of what sampling took
    tool_seconds: float = field(default=0.0, compare=False)  # that its calls ran, others beside them

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
    model: Llama, tokenizer: Tokenizer, prompts: Sequence[Question], options: SamplingOptions, seeds: Sequence[int]
) -> list[Experience | None]:
    """Draws one call for each prompt and scores it against the golden ones (the paper's rollouts).

    ``seeds``: one per prompt. What is drawn for a prompt depends on its own alone, but for the rounding of other batch
    shapes, so neither the order of the prompts nor the number of ranks plays a part. None of the results is None.
    """
    longest = max((len(prompt.prompt_ids) for prompt in prompts), default=0) + options.max_new_tokens
    sampler = Sampler(model, options.rows(len(prompts), longest), eos_id=tokenizer.eos_id)
    completions, seconds = complete(sampler, options, [prompt.prompt_ids for prompt in prompts], seeds)
    experiences: list[Experience | None] = []
    for prompt, completion in zip(prompts, completions, strict=True):
        text = tokenizer.decode(completion.ids)
        case = case_of(completion, text, prompt.golden, prompt.tools, options)
        experience = Experience(prompt.id, list(prompt.prompt_ids), generation_seconds=seconds)
        experience.stop = StopReason.FINISHED if completion.stopped else StopReason.CUT
        experience.add(completion, ScoredCall(text, REWARDS[case], case, " or ".join(map(format_call, prompt.golden))))
        experiences.append(experience)
    return experiences


def complete(
    sampler: Sampler, options: SamplingOptions, prompts: Sequence[Sequence[int]], seeds: Sequence[int]
) -> tuple[list[Completion], float]:
    """Completions, and the seconds that each took."""
    start = time.perf_counter()
    completions = sampler.complete(prompts, options.max_new_tokens, options.temperature, seeds=seeds, logprobs=True)
    return completions, (time.perf_counter() - start) / max(len(prompts), 1)


def case_of(
    completion: Completion, text: str, golden: Sequence[Call], tools: Sequence[ToolSpec], options: SamplingOptions
) -> RewardCase:
    """IRM's case of a drawn call. One that was cut has no end, and is no call, whatever its text looks like."""
    if not completion.stopped:
        return RewardCase.FORMAT_ERROR
    return call_reward(text, golden, tools, () if options.compare_text else FREE_TEXT).case
