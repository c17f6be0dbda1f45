"""Rollouts of whole episodes, with tools that run."""

import itertools
import random
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from tl.calls import format_call
from tl.executor import Cause, Executor, Feedback, Session
from tl.irm import REWARDS, RewardCase
from tl.llama.model import Llama
from tl.llama.sampling import Completion, Sampler
from tl.llama.tokenizer import Tokenizer
from tl.mae import ErrorCategory
from tl.prompt import EncodingOptions, cut_feedback, encode_feedback
from tl.rl.data import PPOTask
from tl.rl.steps import Experience, SamplingOptions, ScoredCall, case_of, complete
from tl.rollout import MAX_TURNS, Request, Rollout, final_answer, outcome
from tl.synthesis.requests import request_of
from tl.trajectory import Message, Trajectory

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
        completions, seconds = complete(sampler, prompts, options, seeds)
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
        self.experience = Experience(task.id, list(task.prompt_ids), right=False)
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
            case = case_of(self.completion, self.text, self.due[:1], self.request.tools, options)
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
