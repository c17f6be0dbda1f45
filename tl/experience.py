"""Rollouts of PPO: what the policy says at temperature 1, as ids, and what it is worth (paper, section 3.3).

Token in, token out: what was drawn is kept as ids and never tokenised again. A call's reward is read from the text of
its own ids alone, never from the context.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tl.calls import Call, format_call
from tl.generate import Completion, Sampler
from tl.irm import REWARDS, Reward, RewardCase, call_reward
from tl.model import Llama
from tl.ppo_data import PPOPrompt
from tl.schema import ASK_TO_USER, FINISH, ToolSpec
from tl.tokenizer import Tokenizer

MAX_REWARD = 5.0  # a call's R is clipped to this on either side
FREE_TEXT = (FINISH.name, ASK_TO_USER.name)  # tools whose text is not compared, unless it is asked for


@dataclass(frozen=True)
class SamplingOptions:
    """How calls are drawn and scored; top-p is off."""

    max_new_tokens: int = 512  # tokens of a call; one that has not ended by then is a format error
    temperature: float = 1.0  # sampler_logprobs are taken at it, and the trainer's have to be
    batch_size: int = 16  # texts that are continued at a time
    compare_text: bool = False  # what `finish` and `ask_to_user` say has to be the golden text


@dataclass(frozen=True)
class ScoredCall:
    """A call of the policy as text, for logs and for reading. ``reward`` is what stands on its last action."""

    text: str
    reward: float
    case: RewardCase | None
    golden: str | None = None
    feedback: str | None = None


@dataclass(frozen=True)
class Experience:
    """A rollout as one sequence of L tokens, in which the policy chose A.

    Action a was drawn from what the hidden state at ``positions[a]`` predicts. All tokens of the calls are actions,
    ``</s>`` as the last of a finished call included; prompt and feedback are not. What follows a call in the context
    follows its text: ``</s>`` is never an input. ``ids`` end at the last position.
    """

    id: str
    ids: list[int]  # [L]
    positions: list[int]  # [A] ascending
    actions: list[int]  # [A]
    sampler_logprobs: list[float]  # [A] natural log, at the sampling temperature
    rewards: list[float]  # [A] R, clipped, on the last action of each call and 0 elsewhere; no KL in it
    calls: list[ScoredCall]


@dataclass
class _Transcript:
    """An Experience in the making."""

    ids: list[int]
    positions: list[int] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    sampler_logprobs: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    calls: list[ScoredCall] = field(default_factory=list)

    def add(self, completion: Completion, call: ScoredCall) -> None:
        """Appends a call; its last token is drawn, but not read."""
        n = len(completion.ids)
        self.positions += range(len(self.ids) - 1, len(self.ids) - 1 + n)
        self.ids += completion.ids[:-1]
        self.actions += completion.ids
        self.sampler_logprobs += completion.logprobs
        self.rewards += [0.0] * (n - 1) + [call.reward]
        self.calls.append(call)

    def experience(self, id: str) -> Experience:
        return Experience(id, self.ids, self.positions, self.actions, self.sampler_logprobs, self.rewards, self.calls)


def sample_steps(
    model: Llama, tokenizer: Tokenizer, prompts: Sequence[PPOPrompt], options: SamplingOptions, seeds: Sequence[int]
) -> list[Experience | None]:
    """Draws one call for each prompt and scores it against the golden ones (the paper's rollouts).

    ``seeds``: one per prompt. What is drawn for a prompt depends on its own alone, but for the rounding of other batch
    shapes, so neither the order of the prompts nor the number of ranks plays a part. None of the results is None.
    """
    sampler = Sampler(model, min(options.batch_size, len(prompts)), eos_id=tokenizer.eos_id)
    completions = sampler.complete(
        [prompt.ids for prompt in prompts], options.max_new_tokens, options.temperature, seeds=seeds, logprobs=True
    )
    experiences = []
    for prompt, completion in zip(prompts, completions, strict=True):
        text = tokenizer.decode(completion.ids)
        case = score(completion, text, prompt.golden, prompt.tools, options).case
        golden = " or ".join(map(format_call, prompt.golden))
        transcript = _Transcript(list(prompt.ids))
        transcript.add(completion, ScoredCall(text, clipped(REWARDS[case]), case, golden))
        experiences.append(transcript.experience(prompt.id))
    return experiences


def score(
    completion: Completion, text: str, golden: Sequence[Call], tools: Sequence[ToolSpec], options: SamplingOptions
) -> Reward:
    """IRM's reward of a drawn call. One that was cut has no end, and is no call, whatever its text looks like."""
    if not completion.stopped:
        return Reward(RewardCase.FORMAT_ERROR)
    return call_reward(text, golden, tools, () if options.compare_text else FREE_TEXT)


def clipped(reward: float) -> float:
    return max(-MAX_REWARD, min(MAX_REWARD, reward))
