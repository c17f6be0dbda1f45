"""Counts over a training set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tl.mae import ErrorCategory
from tl.prompt import Example
from tl.trajectory.message import WEIGHT_0

REASONS = (*(category.value for category in ErrorCategory), WEIGHT_0)  # why a turn may be masked


@dataclass
class ExampleStatistics:
    """Counts over examples. ``expanded_tokens`` is what the model would read with one sample per trained turn, each
    with its whole history."""

    trajectories: int = 0
    tokens: int = 0
    expanded_tokens: int = 0
    calls: int = 0
    calls_trained: int = 0
    text_turns_trained: int = 0
    targets: int = 0  # with weight
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
                self.targets += turn.end - turn.start + 1
                self.calls_trained += turn.is_call
                self.text_turns_trained += not turn.is_call
                self.key_tokens += len(turn.key_positions)
            else:
                self.masked[turn.why_masked] += 1

    def row(self) -> list[int]:
        """The counts as ``N_COUNTS`` numbers, which can be added up over several examples."""
        return [*(getattr(self, name) for name in COUNTS), *(self.masked[reason] for reason in REASONS)]

    @classmethod
    def of_row(cls, row: Sequence[int]) -> "ExampleStatistics":
        counts: dict[str, Any] = dict(zip(COUNTS, row, strict=False))
        masked = zip(REASONS, row[len(COUNTS) :], strict=True)
        return cls(**counts, masked=Counter({reason: n for reason, n in masked if n}))

    def lines(self) -> list[str]:
        masked = ", ".join(f"{n:,} {why}" for why, n in self.masked.most_common())
        return [
            f"trajectories        {self.trajectories:,} ({self.tokens:,} tokens)",
            f"calls trained       {self.calls_trained:,} of {self.calls:,}, and {self.text_turns_trained:,} text turns",
            f"calls masked        {sum(self.masked.values()):,}" + (f": {masked}" if masked else ""),
            f"key tokens          {self.key_tokens:,} ({self.key_tokens / max(self.calls_trained, 1):.2f} per call)",
            f"tokens saved        {self.tokens:,} tokens in one pass per trajectory, where one sample per turn takes "
            f"{self.expanded_tokens:,}: {self.expanded_tokens / max(self.tokens, 1):.2f} x",
            f"turns cut           {self.turns_cut:,} (by max_length)",
        ]


COUNTS = tuple(ExampleStatistics.__dataclass_fields__)[:-1]  # all but `masked`
N_COUNTS = len(COUNTS) + len(REASONS)
