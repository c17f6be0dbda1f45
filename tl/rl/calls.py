"""Rollouts of PPO: calls sampled from the policy at temperature 1, kept as ids, and their rewards (paper, section 3.3).

Two kinds: one call per prompt (``sample_calls``, as in the paper) and whole tasks (``sample_episodes``). Sampled ids
are never tokenised again. A call's reward depends on the text of its ids and on the executor's feedback to it, never
on the context before it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tl.calls import format_call
from tl.irm import REWARDS, RewardCase, call_reward
from tl.llama.model import Llama
from tl.llama.sampling import MAX_ROWS, Completion, Sampler
from tl.llama.tokenizer import Tokenizer
from tl.metrics import Question
from tl.rl.config import PPOConfig
from tl.rollout.dialogue import StopReason
from tl.templates import template_of

TEMPERATURE = 1.0  # fixed, without top-p: training takes log-probabilities of the unscaled logits


@dataclass(frozen=True)
class ScoredCall:
    """A call of the policy as text, for the log. Its last action gets ``reward``; its other actions get none."""

    text: str
    reward: float
    case: RewardCase | None
    golden: str | None = None
    feedback: str | None = None


@dataclass
class Experience:
    """A rollout: one sequence of L tokens with A actions, the tokens that the policy chose.

    Action a was sampled from the prediction at ``positions[a]``. All tokens of a call are actions, including the token
    that ends it; tokens of prompt and feedback are not. After the text of a call, ``ids`` continue as the prompt format
    prescribes: with the feedback, or with the end of the turn and then the feedback. They end at the last position.
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
    generation_seconds: float = field(default=0.0, compare=False)  # sampling time, split evenly over the rollouts
    tool_seconds: float = field(default=0.0, compare=False)  # from calls to feedback, while other episodes run too

    def add(self, completion: Completion, call: ScoredCall) -> None:
        """Appends a call. Its last token is an action, but not an input."""
        n = len(completion.ids)
        self.positions += range(len(self.ids) - 1, len(self.ids) - 1 + n)
        self.ids += completion.ids[:-1]
        self.actions += completion.ids
        self.sampler_logprobs += completion.logprobs
        self.rewards += [0.0] * (n - 1) + [call.reward]
        self.calls.append(call)


def sample_calls(
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
        text = tokenizer.decode(completion.text_ids)
        case, stop = RewardCase.FORMAT_ERROR, StopReason.CUT  # without an end token, even if the text parses
        if completion.stopped:
            text = template.read_one(text)
            case, stop = call_reward(text, prompt.golden, prompt.tools, config.free_text).case, StopReason.FINISHED
        experience = Experience(prompt.id, list(prompt.prompt_ids), stop=stop, generation_seconds=seconds)
        experience.add(completion, ScoredCall(text, REWARDS[case], case, " or ".join(map(format_call, prompt.golden))))
        experiences.append(experience)
    return experiences


def complete(
    sampler: Sampler, config: PPOConfig, prompts: Sequence[Sequence[int]], seeds: Sequence[int]
) -> tuple[list[Completion], float]:
    """Samples a completion of each prompt. Returns them and the seconds per prompt."""
    start = time.perf_counter()
    completions = sampler.complete(prompts, config.max_new_tokens, TEMPERATURE, seeds=seeds, logprobs=True)
    return completions, (time.perf_counter() - start) / max(len(prompts), 1)
