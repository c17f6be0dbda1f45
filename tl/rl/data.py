"""What PPO starts from: prompts, each a history and its golden next call (paper, section 4.1), or whole tasks."""

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from tl.calls import JSON, Call, CallSyntaxError, format_call, parse_call
from tl.llama.tokenizer import Tokenizer
from tl.metrics import Item
from tl.prompt import EncodingOptions, cut_feedback, encode_prompt
from tl.schema import FINISH, ToolSpec
from tl.synthesis import episodes
from tl.synthesis import prompts as synthetic_prompts
from tl.synthesis.episodes import Episode
from tl.training.batching import chains
from tl.trajectory import BadRecord, DataError, Trajectory, read_trajectories


@dataclass(frozen=True)
class PPOPrompt:
    """A history in which a call is due. ``ids`` end with ``Assistant:``; any of the ``golden`` calls is right."""

    id: str
    tools: tuple[ToolSpec, ...]
    ids: list[int]
    golden: tuple[Call, ...]

    def seen(self) -> list[JSON]:
        """All that training sees of it."""
        return [self.ids, [format_call(call) for call in self.golden], [tool.to_openai() for tool in self.tools]]


@dataclass(frozen=True)
class PPOTask:
    """A request that the policy works through with the executor. ``ids`` end with the first ``Assistant:``."""

    ids: list[int]
    episode: Episode

    @property
    def id(self) -> str:
        return self.episode.trajectory.id

    def seen(self) -> list[JSON]:
        """All that training sees of it."""
        return [
            self.ids,
            [format_call(call) for call in self.episode.task.solution],
            self.episode.trajectory.to_openai(),
        ]


@dataclass
class PPOData:
    """The prompts of a run, or its tasks, and the records that were left out."""

    prompts: list[PPOPrompt] | list[PPOTask] = field(default_factory=list)
    bad: list[BadRecord] = field(default_factory=list)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that training sees of the prompts, in their order."""
        digest = hashlib.sha256()
        for prompt in self.prompts:
            digest.update(json.dumps(prompt.seen()).encode())
        return digest.hexdigest()

    def chains(self, times: int = 1) -> list[list[int]]:
        """The numbers of the prompts, each so many times, in chains: those of one trajectory are one."""
        return [[i for i in chain for _ in range(times)] for chain in chains([prompt.ids for prompt in self.prompts])]

    def lines(self) -> list[str]:
        """The counts as text, a line each."""
        lengths = [len(prompt.ids) for prompt in self.prompts]
        return [
            f"prompts             {len(lengths):,}",
            f"tokens a prompt     {sum(lengths) / len(lengths):,.0f} on average, {max(lengths):,} at most",
            f"dropped             {len(self.bad):,} bad records",
        ]


def read_prompts(
    paths: Sequence[str],
    tokenizer: Tokenizer,
    max_length: int,
    on_bad: Literal["error", "skip"] = "error",
    seed: int = 0,
) -> PPOData:
    """Reads the prompts in files of trajectories that end in their golden call, as ``python -m tl synthesis --kind
    prompts`` writes them; makes 1,194 with the tool library where there are no paths.

    A prompt of more than ``max_length`` tokens, a record that does not end in a call, a golden call that does not parse
    and one whose tool is not among the record's are bad. Raises DataError, which lists bad records, or if nothing is
    left; with ``on_bad="skip"`` they are left out, and a warning lists them.
    """
    data = PPOData()
    if paths:
        # Taken while the file is read, so that what is wrong with a prompt is told with its place.
        _, report = read_trajectories(
            paths, on_bad, lambda t: data.prompts.append(make_prompt(_item(t), tokenizer, max_length))
        )
        report.warn()
        data.bad = report.bad
    else:
        for item in synthetic_prompts(seed=seed):
            try:
                data.prompts.append(make_prompt(item, tokenizer, max_length))
            except ValueError as error:
                raise DataError(f"generated prompt {item.id}: {error}") from error
    if data.prompts and all(answer.name == FINISH.name for prompt in data.prompts for answer in prompt.golden):
        warnings.warn("every golden call is finish: are these prompts, or whole trajectories?", stacklevel=2)
    if not data.prompts:
        raise DataError(f"no prompt is left to train on. The first bad record: {data.bad[0]}", data.bad)
    return data


def make_tasks(tokenizer: Tokenizer, max_length: int, seed: int = 0, size: int = 1194) -> PPOData:
    """Tasks of the training side of the tool library, all different. Raises DataError for a request of more than
    ``max_length`` tokens.
    """
    tasks = []
    for episode in episodes(size, seed):
        ids = encode_prompt(episode.trajectory.tools, episode.trajectory.messages[:1], tokenizer)
        if len(ids) > max_length:
            raise DataError(f"generated task {episode.trajectory.id}: {_too_long(len(ids), max_length)}")
        tasks.append(PPOTask(ids, episode))
    return PPOData(tasks)


def _item(trajectory: Trajectory) -> Item:
    """Raises ValueError for a trajectory that does not end in a right call."""
    last = trajectory.messages[-1]
    if not last.is_call:
        raise ValueError("a prompt must end in its golden call, without feedback after it")
    try:
        golden = parse_call(last.content)
    except CallSyntaxError as error:
        raise ValueError(f"the golden call {last.content!r:.80} is no call: {error}") from error
    if all(tool.name != golden.name for tool in trajectory.tools):
        raise ValueError(f"the tools do not have that of the golden call, {golden.name}")
    return Item(trajectory.id, trajectory.tools, trajectory.messages[:-1], [golden])


def make_prompt(item: Item, tokenizer: Tokenizer, max_length: int) -> PPOPrompt:
    """Tokenises as training data is. Raises ValueError for a history that is too long."""
    messages = [cut_feedback(m, tokenizer, EncodingOptions.max_feedback_tokens) for m in item.messages]
    ids = encode_prompt(item.tools, messages, tokenizer)
    if len(ids) > max_length:
        raise ValueError(_too_long(len(ids), max_length))
    return PPOPrompt(item.id, item.tools, ids, tuple(item.answers))


def _too_long(length: int, max_length: int) -> str:
    return f"the prompt has {length:,} tokens, more than --max_length {max_length:,}"
