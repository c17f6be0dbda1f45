"""PPO's data: prompts, each a history with its golden next call (paper, section 4.1), or whole tasks."""

import hashlib
import json
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from tl.calls import JSON, CallSyntaxError, format_call, parse_call
from tl.datasets import AUTO, BadRecord, DataError, OnBadData, read
from tl.llama.tokenizer import Tokenizer
from tl.metrics import Question
from tl.prompt import call_length, encode_prompt
from tl.rl.prefix_groups import prefix_groups
from tl.rollout.tasks import Task
from tl.schema import FINISH, SPOKEN
from tl.synthesis import prompts as synthetic_prompts
from tl.trajectory import Trajectory


@dataclass
class PPOData:
    """The prompts or tasks of a run, and the records that were left out."""

    prompts: list[Question] | list[Task]
    bad: list[BadRecord] = field(default_factory=list)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over everything in the prompts that training depends on, in order."""
        digest = hashlib.sha256()
        for prompt in self.prompts:
            digest.update(json.dumps(_content(prompt)).encode())
        return digest.hexdigest()

    def prefix_groups(self, times: int = 1) -> list[list[int]]:
        """The indices of the prompts in prefix groups, each index ``times`` times. The prompts of one trajectory form a
        group, since each begins with the one before it."""
        groups = prefix_groups([prompt.prompt_ids for prompt in self.prompts])
        return [[i for i in group for _ in range(times)] for group in groups]

    def lines(self) -> list[str]:
        lengths = [len(prompt.prompt_ids) for prompt in self.prompts]
        return [
            f"prompts             {len(lengths):,}",
            f"tokens a prompt     {sum(lengths) / len(lengths):,.0f} on average, {max(lengths):,} at most",
            f"dropped             {len(self.bad):,} bad records",
        ]


def read_prompts(
    paths: Sequence[str],
    tokenizer: Tokenizer,
    max_length: int,
    max_new_tokens: int | None = None,
    on_bad: OnBadData = "error",
    data_format: str = AUTO,
    seed: int = 0,
    free_text: Collection[str] = SPOKEN,
) -> PPOData:
    """Reads prompts from files of trajectories that end in their golden call, as ``python -m tl synthesis --kind
    prompts`` writes them. Without paths, makes 1,194 with the tool library.

    A record is bad if its prompt has more than ``max_length`` tokens, if it does not end in a call, or if its golden
    call does not parse, calls a tool that is not listed, or has more than ``max_new_tokens`` tokens, which no rollout
    could reach; calls of ``free_text`` may have more, since a shorter text earns the same. Raises DataError, which
    lists the bad records, or if nothing is left; with ``on_bad="skip"`` bad records are left out, and a warning lists
    them.
    """
    prompts: list[Question] = []
    bad: list[BadRecord] = []
    limits = max_length, max_new_tokens, free_text
    if paths:
        made: dict[int, Question] = {}  # by the identity of its trajectory

        # Tokenised while the file is read, so that an error names the prompt's place in it.
        def take(trajectory: Trajectory) -> None:
            made[id(trajectory)] = _tokenise(prompt_of(trajectory), tokenizer, *limits)

        trajectories, report = read(paths, on_bad, take, data_format, seed)
        prompts = [made[id(trajectory)] for trajectory in trajectories]
        report.warn()
        bad = report.bad
    else:
        for question in synthetic_prompts(seed=seed):
            try:
                prompts.append(_tokenise(question, tokenizer, *limits))
            except ValueError as error:
                raise DataError(f"generated prompt {question.id}: {error}") from error
    if not prompts:
        raise DataError(f"no prompt is left to train on. First bad record: {bad[0]}", bad)
    if all(call.name == FINISH.name for prompt in prompts for call in prompt.golden):
        warnings.warn("every golden call is finish: are these whole trajectories instead of prompts?", stacklevel=2)
    return PPOData(prompts, bad)


def task_data(tasks: Sequence[Task], tokenizer: Tokenizer, max_length: int) -> PPOData:
    """The tasks with their prompts. Raises DataError for a prompt of more than ``max_length`` tokens."""
    prompts = []
    for task in tasks:
        try:
            prompts.append(replace(task, prompt_ids=_prompt_ids(task, tokenizer, max_length)))
        except ValueError as error:
            raise DataError(f"task {task.id}: {error}") from error
    return PPOData(prompts)


def prompt_of(trajectory: Trajectory) -> Question:
    """The question whose golden call ends the trajectory. Raises ValueError if that is not a call of a listed tool."""
    last = trajectory.messages[-1]
    if not last.is_call:
        raise ValueError("a prompt must end with its golden call, without feedback after it")
    try:
        golden = parse_call(last.content)
    except CallSyntaxError as error:
        raise ValueError(f"the golden call {last.content!r:.80} is not a call: {error}") from error
    if all(tool.name != golden.name for tool in trajectory.tools):
        raise ValueError(f"the golden call's tool, {golden.name}, is not among the tools")
    return Question(trajectory.id, trajectory.tools, trajectory.messages[:-1], ((golden,),))


def _tokenise(
    question: Question, tokenizer: Tokenizer, max_length: int, max_new_tokens: int | None, free_text: Collection[str]
) -> Question:
    """Raises ValueError for a prompt or a golden call that is too long."""
    prompt_ids = _prompt_ids(question, tokenizer, max_length)
    for call in question.golden:
        needed = call_length(call, tokenizer)
        if max_new_tokens is not None and needed > max_new_tokens and call.name not in free_text:
            raise ValueError(f"the golden call has {needed:,} tokens, more than --max_new_tokens {max_new_tokens:,}")
    return replace(question, prompt_ids=prompt_ids)


def _prompt_ids(prompt: Question | Task, tokenizer: Tokenizer, max_length: int) -> list[int]:
    ids = encode_prompt(prompt.tools, prompt.messages, tokenizer)
    if len(ids) > max_length:
        raise ValueError(f"the prompt has {len(ids):,} tokens, more than --max_length {max_length:,}")
    return ids


def _content(prompt: Question | Task) -> list[JSON]:
    """Everything that training depends on."""
    if isinstance(prompt, Task):
        world = [prompt.seed, prompt.user_answer, prompt.servable, prompt.truth, list(prompt.facts), prompt.check]
        return [list(prompt.prompt_ids), [format_call(call) for call in prompt.calls], world]
    tools = [tool.to_openai() for tool in prompt.tools]
    return [list(prompt.prompt_ids), [format_call(call) for call in prompt.golden], tools]
