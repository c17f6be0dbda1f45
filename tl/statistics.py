"""What a set of tokenised trajectories holds: what is trained on, what is masked and why."""

from collections import Counter
from dataclasses import dataclass, field

from tl.mae import ErrorCategory
from tl.prompt import Example


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
    masked: Counter[ErrorCategory] = field(default_factory=Counter)

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
                self.masked[turn.category] += 1

    def lines(self) -> list[str]:
        """The counts as text, a line each."""
        masked = ", ".join(f"{n:,} {category.value}" for category, n in self.masked.most_common())
        return [
            f"trajectories        {self.trajectories:,} ({self.tokens:,} tokens)",
            f"calls trained       {self.calls_trained:,} of {self.calls:,}, and {self.text_turns_trained:,} text turns",
            f"calls masked        {sum(self.masked.values()):,}" + (f": {masked}" if masked else ""),
            f"key tokens          {self.key_tokens:,} ({self.key_tokens / max(self.calls_trained, 1):.2f} a call)",
            f"tokens saved        one pass a trajectory reads {self.tokens:,} tokens where one sample a turn reads "
            f"{self.expanded_tokens:,}: {self.expanded_tokens / max(self.tokens, 1):.2f} x",
            f"turns cut           {self.turns_cut:,} (to max_length)",
        ]
