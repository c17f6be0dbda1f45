"""Rollouts of PPO: what the policy says at temperature 1, as ids, and what it is worth (paper, section 3.3).

Two kinds: one call for a prompt (``sample_steps``, the paper's) and whole tasks (``sample_episodes``). Token in, token
out: what was drawn is kept as ids and never tokenised again. A call's reward is read from the text of its own ids and
from what the executor says of it, never from the context.
"""

import itertools
import random
import time
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from tl.calls import Call, format_call
from tl.executor import Cause, Executor, Feedback, Session
from tl.generate import Completion, Sampler
from tl.irm import REWARDS, RewardCase, call_reward
from tl.mae import ErrorCategory
from tl.model import Llama
from tl.ppo_data import PPOPrompt, PPOTask
from tl.prompt import EncodingOptions, cut_feedback, encode_feedback
from tl.rollout import MAX_TURNS, Request, Rollout, final_answer, outcome
from tl.schema import ASK_TO_USER, FINISH, ToolSpec
from tl.suites.own import request_of
from tl.tokenizer import Tokenizer
from tl.trajectory import Message, Trajectory

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
    model: Llama, tokenizer: Tokenizer, prompts: Sequence[PPOPrompt], options: SamplingOptions, seeds: Sequence[int]
) -> list[Experience | None]:
    """Draws one call for each prompt and scores it against the golden ones (the paper's rollouts).

    ``seeds``: one per prompt. What is drawn for a prompt depends on its own alone, but for the rounding of other batch
    shapes, so neither the order of the prompts nor the number of ranks plays a part. None of the results is None.
    """
    longest = max((len(prompt.ids) for prompt in prompts), default=0) + options.max_new_tokens
    sampler = Sampler(model, options.rows(len(prompts), longest), eos_id=tokenizer.eos_id)
    completions, seconds = _complete(sampler, [prompt.ids for prompt in prompts], options, seeds)
    experiences = []
    for prompt, completion in zip(prompts, completions, strict=True):
        text = tokenizer.decode(completion.ids)
        case = _case(completion, text, prompt.golden, prompt.tools, options)
        golden = " or ".join(map(format_call, prompt.golden))
        experience = Experience(prompt.id, list(prompt.ids), generation_seconds=seconds)
        experience.add(completion, ScoredCall(text, REWARDS[case], case, golden))
        experiences.append(experience)
    return experiences


def _complete(
    sampler: Sampler, prompts: Sequence[list[int]], options: SamplingOptions, seeds: Sequence[int]
) -> tuple[list[Completion], float]:
    """Completions, and the seconds that each took."""
    start = time.perf_counter()
    completions = sampler.complete(prompts, options.max_new_tokens, options.temperature, seeds=seeds, logprobs=True)
    return completions, (time.perf_counter() - start) / max(len(prompts), 1)


def _case(
    completion: Completion, text: str, golden: Sequence[Call], tools: Sequence[ToolSpec], options: SamplingOptions
) -> RewardCase:
    """IRM's case of a drawn call. One that was cut has no end, and is no call, whatever its text looks like."""
    if not completion.stopped:
        return RewardCase.FORMAT_ERROR
    return call_reward(text, golden, tools, () if options.compare_text else FREE_TEXT).case


# ---- whole episodes


OUTCOME_REWARD = 1.0  # on the last action of an episode whose final answer is right

# A call for which no golden one is known is scored by what its feedback shows, with the reward of the IRM case that
# says the same; None: 0. A right call earns nothing here, lest it pay to make many. An outage is not the call's doing.
CASE_OF_FEEDBACK: dict[ErrorCategory, RewardCase | None] = {
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
    options: SamplingOptions,
    seeds: Sequence[int],
) -> list[Experience | None]:
    """The policy works through whole tasks with the executor, for nine turns at most; one experience an episode.

    A golden call is known for as long as the policy is on the way of the task's solution: a call that fails leaves the
    same one due, another one that works leaves the way. Where it is known a call is scored against it as in
    ``sample_steps``, but that it earns 0 where its tool fails; elsewhere by its feedback (CASE_OF_FEEDBACK). Calls that
    cost something one after the other cost as much as the worst of them: each is charged for what it does worse than
    those before it. A right final answer, or the refusal in words of a request that cannot be served, adds
    OUTCOME_REWARD. The episode ends with ``finish``, with a call that was cut,
    with the ninth, or where the next would have no room. None stands for one in which the executor itself failed.

    Half of the episodes speak while the calls of the other half are run, all at once. Who is in which half depends on
    the episodes and not on how long anything took, so the same seeds give the same episodes. Neither half's calls wait
    for those of the other.
    """
    limit = model.config.max_position_embeddings
    rows = options.rows(len(prompts), limit)
    sampler = Sampler(model, rows, eos_id=tokenizer.eos_id)
    room = limit - options.max_new_tokens
    episodes = [_Episode(task, seed, executor, room) for task, seed in zip(prompts, seeds, strict=True)]
    waiting = deque(episodes)
    halves = [_Half(rows - rows // 2), _Half(rows // 2)]
    with ExitStack() as sessions, ThreadPoolExecutor(len(halves)) as background:
        for episode in episodes:
            sessions.callback(episode.session.close)
        while waiting or any(half.episodes for half in halves):
            for half in halves:
                half.hear(tokenizer, options)
                half.admit(waiting)
                half.speak(sampler, tokenizer, options)
                half.outputs = background.submit(executor.run_many, half.calls())
    return [None if episode.failed else episode.experience for episode in episodes]


@dataclass
class _Half:
    """Episodes that speak together, and then wait for their tools together."""

    room: int
    episodes: list["_Episode"] = field(default_factory=list)
    outputs: Future[list[Feedback]] | None = None

    def hear(self, tokenizer: Tokenizer, options: SamplingOptions) -> None:
        """Waits for the feedback of the calls."""
        if self.outputs is not None:
            for episode, feedback in zip(self.episodes, self.outputs.result(), strict=True):
                episode.hear(feedback, tokenizer, options)
        self._leave()

    def admit(self, waiting: deque["_Episode"]) -> None:
        while waiting and len(self.episodes) < self.room:
            self.episodes.append(waiting.popleft())

    def speak(self, sampler: Sampler, tokenizer: Tokenizer, options: SamplingOptions) -> None:
        prompts, seeds = [e.experience.ids for e in self.episodes], [e.seed for e in self.episodes]
        completions, seconds = _complete(sampler, prompts, options, seeds)
        for episode, completion in zip(self.episodes, completions, strict=True):
            episode.experience.generation_seconds += seconds
            episode.say(completion, tokenizer.decode(completion.ids))
        self._leave()

    def calls(self) -> list[tuple[Session, str]]:
        return [(episode.session, episode.text) for episode in self.episodes]

    def _leave(self) -> None:
        """Lets go of the episodes that are over."""
        for episode in self.episodes:
            if episode.over:
                episode.session.close()
        self.episodes = [episode for episode in self.episodes if not episode.over]


class _Episode:
    """A task that is being worked through."""

    def __init__(self, task: PPOTask, seed: int, executor: Executor, room: int) -> None:
        self.request = request_of(task.episode, executor)
        self.session: Session = self.request.open()  # which starts no process before its first call
        self.experience = Experience(task.id, list(task.ids), right=False)
        # Golden calls still to come, none once the policy left the way. A solution repeats the call that met an outage.
        self.due = [call for call, _ in itertools.groupby(task.episode.task.solution)]
        self.over = self.failed = False
        self._charged = 0.0  # what the calls have cost that failed since the last one that worked
        self._seed = seed
        self._room = room  # tokens after which another call does not fit

    @property
    def seed(self) -> int:
        """Of the next call: a function of the episode's seed and the turn alone."""
        return random.Random(f"{self._seed} {len(self.experience.calls)}").getrandbits(62)

    def say(self, completion: Completion, text: str) -> None:
        """Takes the next call. One that was cut is a format error and not run."""
        self.completion, self.text = completion, text
        if not completion.stopped:
            self._add(RewardCase.FORMAT_ERROR, None)
            self.over = True

    def hear(self, feedback: Feedback, tokenizer: Tokenizer, options: SamplingOptions) -> None:
        """Takes the feedback of the call, and scores it."""
        self.experience.tool_seconds += feedback.seconds
        self.over = self.failed = feedback.cause is Cause.INFRASTRUCTURE
        if self.failed:
            warnings.warn(f"episode {self.experience.id} is left out. {feedback.text}", stacklevel=2)
            return
        if self.session.finished:
            self.experience.right = _is_right(self.request, self.text)
        case = self._judge(feedback, options)
        self._add(case, None if self.session.finished else feedback.text)
        if case is RewardCase.ALL_RIGHT:
            del self.due[0]
        elif feedback.category is ErrorCategory.ALL_RIGHT:
            self.due.clear()
        if case is RewardCase.ALL_RIGHT or feedback.category is ErrorCategory.ALL_RIGHT:
            self._charged = 0.0
        read = cut_feedback(Message("tool", feedback.text), tokenizer, EncodingOptions.max_feedback_tokens)
        following = encode_feedback(read.content, tokenizer)
        turns, length = len(self.experience.calls), len(self.experience.ids) + len(following)
        self.over = self.session.finished or turns == MAX_TURNS or length > self._room
        if not self.over:
            self.experience.ids += following

    def _judge(self, feedback: Feedback, options: SamplingOptions) -> RewardCase | None:
        if self.due:
            case = _case(self.completion, self.text, self.due[:1], self.request.tools, options)
            fails = case is RewardCase.ALL_RIGHT and feedback.category is not ErrorCategory.ALL_RIGHT
            return None if fails else case  # not the call's doing; it stays due
        if feedback.cause is Cause.FORMAT_ERROR:
            return RewardCase.FORMAT_ERROR
        return CASE_OF_FEEDBACK[feedback.category]

    def _add(self, case: RewardCase | None, feedback: str | None) -> None:
        reward = self._charge(REWARDS[case] if case else 0.0) + (OUTCOME_REWARD if self.experience.right else 0.0)
        golden = format_call(self.due[0]) if self.due else None
        self.experience.add(self.completion, ScoredCall(self.text, reward, case, golden, feedback))

    def _charge(self, reward: float) -> float:
        """What is left of a reward: of a negative one as much as it goes below what has been charged already."""
        if reward >= 0:
            return reward
        before, self._charged = self._charged, min(reward, self._charged)
        return self._charged - before


def _is_right(request: Request, text: str) -> bool:
    """Whether a call of `finish` answers a request, or refuses one that cannot be served."""
    trajectory = Trajectory(request.id, request.tools, request.messages)
    result = outcome(request, Rollout(trajectory, (), final_answer(text)))
    return bool(result.right) if request.servable else result.refused
