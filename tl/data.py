"""The data of a run: trajectories from files or the tool library, tokenised, and a record of what was left out."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tqdm import tqdm

from tl.metrics import Item
from tl.prompt import EncodingOptions, Example, encode_trajectory
from tl.single_turn import Prepared, items_of, prepare
from tl.statistics import ExampleStatistics
from tl.synthesis import held_out, synthesize
from tl.tokenizer import Tokenizer
from tl.trajectory import DataError, ReadReport, read_trajectories


@dataclass
class TrainingData:
    """Tokenised trajectories with something to train on, and what became of the others."""

    examples: list[Example] = field(default_factory=list)
    statistics: ExampleStatistics = field(default_factory=ExampleStatistics)
    too_long: int = 0  # trajectories whose first turn does not fit
    untrainable: int = 0  # trajectories in which every call is masked
    report: ReadReport = field(default_factory=ReadReport)
    fingerprint: str = ""  # SHA-256 over all that training sees of the examples, in their order

    def lines(self) -> list[str]:
        """The counts as text, a line each."""
        return [*self.statistics.lines(), self.dropped()]

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
    seed: int = 0,
    progress: bool = True,
) -> TrainingData:
    """Reads and tokenises the trajectories in ``paths``, or those made with the tool library where there are none.
    With ``on_bad="skip"`` bad records are left out, and a warning lists them.

    Raises tl.trajectory.DataError for files that cannot be read or hold bad records, or if nothing is left to train on.
    """
    data = TrainingData()
    if paths:
        trajectories, data.report = read_trajectories(paths, on_bad)
        data.report.warn()
    else:
        trajectories = synthesize(seed=seed)
    for trajectory in tqdm(trajectories, "tokenise", unit=" trajectories", disable=not progress, leave=False):
        example = encode_trajectory(trajectory, tokenizer, options)
        if example is None:
            data.too_long += 1
            continue
        data.statistics.add(example)
        if example.trained_turns:
            data.examples.append(example)
        else:
            data.untrainable += 1
    if not data.examples:
        raise DataError("no trajectory has anything to train on:\n" + "\n".join(data.lines()))
    data.fingerprint = _fingerprint(data.examples)
    return data


def load_items(paths: Sequence[str], on_bad: Literal["error", "skip"] = "error", seed: int = 0) -> list[Item]:
    """Single turns to be evaluated on: every right call in ``paths``, or the tool library's held-out requests. With
    ``on_bad="skip"`` bad records are left out, and a warning lists them."""
    if not paths:
        return held_out(seed=seed)
    trajectories, report = read_trajectories(paths, on_bad)
    report.warn()
    return [item for trajectory in trajectories for item in items_of(trajectory)]


def load_held_out(
    data: Sequence[str],
    eval_data: Sequence[str],
    tokenizer: Tokenizer,
    options: EncodingOptions,
    on_bad: Literal["error", "skip"] = "error",
) -> list[Prepared]:
    """What a run on ``data`` is evaluated on: the calls in ``eval_data`` or, when neither is given, the tool library's
    held-out requests. A warning counts those that are too long."""
    items = [] if data and not eval_data else load_items(eval_data, on_bad)
    prepared = prepare(items, tokenizer, options)
    if len(prepared) < len(items):
        left_out = len(items) - len(prepared)
        warnings.warn(f"{left_out} of {len(items)} held-out requests are too long", stacklevel=2)
    return prepared


def _fingerprint(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        for tensor in (example.input_ids, example.targets, example.weights, example.turn_index):
            digest.update(tensor.numpy())
    return digest.hexdigest()
