"""Statistics of a data set (Figure 1, Table 2)."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Any

from tl.llama.tokenizer import Tokenizer
from tl.mae import ErrorCategory, call_categories
from tl.prompt import EncodingOptions, encode_trajectory, name_ids
from tl.training.statistics import ExampleStatistics
from tl.trajectory import Trajectory

WHOLE = 2**62  # max_length that cuts no trajectory
LARGEST_FAMILIES = 8  # families listed in a summary


@dataclass
class Statistics:
    """Counts over the trajectories of a data set; lists hold one number per trajectory."""

    trajectories: int = 0
    with_errors: int = 0
    errors: Counter[ErrorCategory] = field(default_factory=Counter)
    calls: list[int] = field(default_factory=list)
    tools: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)  # of the user and of the assistant
    tokens: list[int] = field(default_factory=list)
    tool_names: set[str] = field(default_factory=set)
    key_tokens: Counter[int] = field(default_factory=Counter)  # number of key tokens -> trained calls with that many
    untrainable: int = 0  # trajectories without an assistant's turn, or with every call masked
    with_family: int = 0  # trajectories in which two tools' names begin with the same token
    encoded: ExampleStatistics = field(default_factory=ExampleStatistics)

    def add(self, trajectory: Trajectory, tokenizer: Tokenizer, options: EncodingOptions) -> None:
        errors = [c for c in call_categories(trajectory) if c is not ErrorCategory.ALL_RIGHT]
        self.trajectories += 1
        self.with_errors += bool(errors)
        self.errors.update(errors)
        self.calls.append(len(trajectory.calls()))
        names = {tool.name for tool in trajectory.tools}
        self.tools.append(len(names))
        self.tool_names |= names
        self.with_family += bool(families(names, tokenizer))
        self.turns.append(sum(message.role in ("user", "assistant") for message in trajectory.messages))
        example = encode_trajectory(trajectory, tokenizer, options)
        self.untrainable += example is None or not example.trained_turns
        if example is not None:
            self.tokens.append(len(example))
            self.encoded.add(example)
            self.key_tokens.update(len(turn.key_positions) for turn in example.turns if turn.is_call and turn.trained)


def dataset_statistics(
    trajectories: Iterable[Trajectory], tokenizer: Tokenizer, options: EncodingOptions
) -> Statistics:
    result = Statistics()
    for trajectory in trajectories:
        result.add(trajectory, tokenizer, options)
    return result


def families(names: Iterable[str], tokenizer: Tokenizer) -> dict[str, int]:
    """Families of tool names that share their first token: common prefix -> number of names."""
    groups: dict[int, list[list[int]]] = {}
    for name in names:
        ids = name_ids(name, tokenizer)
        groups.setdefault(ids[0], []).append(ids)
    large = sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)
    return {tokenizer.decode(list(commonprefix(group))): len(group) for group in large}


def summary(data: Statistics, tokenizer: Tokenizer) -> dict[str, Any]:
    """Statistics of a data set by name, ready for JSON. Shares are between 0 and 1."""
    encoded, calls = data.encoded, sum(data.calls)
    masked = sum(encoded.masked.values())
    related = families(data.tool_names, tokenizer)
    return {
        "trajectories": data.trajectories,
        "trajectories with errors": share(data.with_errors, data.trajectories),
        "trajectories with nothing to train on": data.untrainable,
        "calls": calls,
        "calls in a trajectory": spread(data.calls),
        "different tools": len(data.tool_names),
        "tools in a trajectory": spread(data.tools),
        "turns in a trajectory": spread(data.turns),
        "tokens": sum(data.tokens),
        "tokens in a trajectory": spread(data.tokens),
        "erroneous calls": share(sum(data.errors.values()), calls),
        "errors by category": {c.value: data.errors[c] for c in ErrorCategory if c is not ErrorCategory.ALL_RIGHT},
        "calls trained": encoded.calls_trained,
        "calls masked": masked,
        "text turns trained": encoded.text_turns_trained,
        "key tokens in a trained call": {str(n): calls for n, calls in sorted(data.key_tokens.items())},
        "tokens saved by one pass per trajectory": round(encoded.expanded_tokens / max(encoded.tokens, 1), 2),
        "trajectories with a family of tool names": share(data.with_family, data.trajectories),
        "families of tool names": dict(list(related.items())[:LARGEST_FAMILIES]),
    }


def share(part: int, total: int) -> dict[str, float]:
    return {"count": part, "share": round(part / total, 4) if total else 0.0}


def spread(numbers: Sequence[int]) -> dict[str, float]:
    """Median, 95th percentile (the smallest number that 95 % do not exceed) and maximum; zeros if there are none."""
    ordered = sorted(numbers) or [0]
    return {
        "median": statistics.median(ordered),
        "p95": ordered[-(-len(ordered) * 95 // 100) - 1],
        "max": ordered[-1],
    }


def cell(value: Any) -> str:
    """`12`, `12 (34.5 %)`, or `median / 95th percentile / maximum`."""
    if not isinstance(value, dict):
        return f"{value:,}"
    if "share" in value:
        return f"{value['count']:,} ({value['share']:.1%})".replace("%", " %")
    return " / ".join(f"{number:,.0f}" if number == int(number) else f"{number:,.1f}" for number in value.values())
