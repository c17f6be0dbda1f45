"""The data of a run: trajectories from files or the tool library, tokenised, and a record of what was left out."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tqdm import tqdm

from tl.datasets import AUTO, DataError, ReadReport, read
from tl.llama.tokenizer import Tokenizer
from tl.prompt import EncodingOptions, Example, encode_trajectory
from tl.synthesis import synthesize
from tl.trajectory import Note, Trajectory

MANY = 2**62  # tokens: no trajectory is longer
LOOKED_AT = 200  # trajectories


@dataclass
class ExampleStatistics:
    """Counts over examples. Tokens of the expanded form are what one sample per trained turn, each with its whole
    history, would have fed to the model."""

    trajectories: int = 0
    tokens: int = 0
    expanded_tokens: int = 0
    calls: int = 0
    calls_trained: int = 0
    text_turns_trained: int = 0
    key_tokens: int = 0
    turns_cut: int = 0
    masked: Counter[str] = field(default_factory=Counter)

    @property
    def turns_trained(self) -> int:
        return self.calls_trained + self.text_turns_trained

    def add(self, example: Example) -> None:
        self.trajectories += 1
        self.tokens += len(example)
        self.turns_cut += example.turns_cut
        for turn in example.turns:
            self.calls += turn.is_call
            if turn.trained:
                self.expanded_tokens += turn.end
                self.calls_trained += turn.is_call
                self.text_turns_trained += not turn.is_call
                self.key_tokens += len(turn.key_positions)
            else:
                self.masked[turn.why_masked] += 1

    def lines(self) -> list[str]:
        """The counts as text, a line each."""
        masked = ", ".join(f"{n:,} {why}" for why, n in self.masked.most_common())
        return [
            f"trajectories        {self.trajectories:,} ({self.tokens:,} tokens)",
            f"calls trained       {self.calls_trained:,} of {self.calls:,}, and {self.text_turns_trained:,} text turns",
            f"calls masked        {sum(self.masked.values()):,}" + (f": {masked}" if masked else ""),
            f"key tokens          {self.key_tokens:,} ({self.key_tokens / max(self.calls_trained, 1):.2f} a call)",
            f"tokens saved        one pass a trajectory reads {self.tokens:,} tokens where one sample a turn reads "
            f"{self.expanded_tokens:,}: {self.expanded_tokens / max(self.tokens, 1):.2f} x",
            f"turns cut           {self.turns_cut:,} (to max_length)",
        ]


@dataclass
class TrainingData:
    """Tokenised trajectories with something to train on, and what became of the others."""

    examples: list[Example] = field(default_factory=list)
    statistics: ExampleStatistics = field(default_factory=ExampleStatistics)
    too_long: int = 0  # trajectories whose first turn does not fit
    untrainable: int = 0  # trajectories in which every call is masked
    normalised: int = 0  # trajectories whose messages the vocabulary changes (Tokenizer.normalise)
    report: ReadReport = field(default_factory=ReadReport)
    fingerprint: str = ""  # SHA-256 over all that training sees of the examples, in their order

    def lines(self) -> list[str]:
        """The counts as text, a line each."""
        changed = f"normalised          {self.normalised:,} trajectories with characters that the vocabulary changes"
        done = [f"while reading       {line}" for line in self.report.note_lines(leaving_out=[Note.TEXT_BESIDE_CALL])]
        return [*self.statistics.lines(), *([changed] if self.normalised else []), self.dropped(), *done]

    def dropped(self) -> str:
        """What was left out, as a line."""
        return (
            f"dropped             {len(self.report.bad):,} bad records, {self.too_long:,} trajectories too long, "
            f"{self.untrainable:,} with every call masked; {self.report.dropped_thoughts:,} texts beside a call"
        )


def load_training_data(
    paths: Sequence[str],
    tokenizer: Tokenizer,
    options: EncodingOptions,
    on_bad: Literal["error", "skip"] = "error",
    data_format: str = AUTO,
    seed: int = 0,
    progress: bool = True,
) -> TrainingData:
    """Reads and tokenises the trajectories in ``paths``, or those made with the tool library where there are none.
    With ``on_bad="skip"`` bad records are left out, and a warning lists them.

    Raises tl.datasets.DataError for files that cannot be read or hold bad records, or if nothing is left to train on.
    """
    data = TrainingData()
    if paths:
        trajectories, data.report = read(paths, on_bad, data_format=data_format, seed=seed)
        data.report.warn()
    else:
        trajectories = synthesize(seed=seed)
    for trajectory in tqdm(trajectories, "tokenise", unit=" trajectories", disable=not progress, leave=False):
        example = encode_trajectory(trajectory, tokenizer, options)
        if example is None:
            data.too_long += 1
            continue
        data.statistics.add(example)
        data.normalised += any(tokenizer.normalise(m.content) != m.content for m in trajectory.messages)
        if example.trained_turns:
            data.examples.append(example)
        else:
            data.untrainable += 1
    if not data.examples:
        lines = [*data.lines(), *(_needed(trajectories, tokenizer, options) if data.too_long else [])]
        raise DataError("\n".join(["no trajectory has anything to train on:", *lines]))
    data.fingerprint = _fingerprint(data.examples)
    return data


def _needed(trajectories: Sequence[Trajectory], tokenizer: Tokenizer, options: EncodingOptions) -> list[str]:
    """What it takes to train on trajectories that are too long, as a line; a look at the first of them will do."""
    whole = [encode_trajectory(t, tokenizer, replace(options, max_length=MANY)) for t in trajectories[:LOOKED_AT]]
    ends = sorted(example.turns[0].end for example in whole if example)
    if not ends:
        return []
    lengths = f"{ends[0]:,} at least, {ends[len(ends) // 2]:,} for half of them"
    return [f"needed              --max_length {lengths}, and a model with as many positions"]


def _fingerprint(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        for tensor in (example.input_ids, example.targets, example.weights, example.turn_index):
            digest.update(tensor.numpy().data)
    return digest.hexdigest()
