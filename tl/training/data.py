"""The data of a run: tokenised trajectories from files or the tool library, and counts of what was dropped."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import numpy as np

from tl.datasets import AUTO, DataError, OnBadData, ReadReport, check_options
from tl.datasets.mix import drawn, shares_of
from tl.files import unwritable
from tl.llama.tokenizer import Tokenizer
from tl.prompt import EncodingOptions, Example
from tl.training.config import SFTConfig
from tl.training.distributed import World, on_main
from tl.training.prepared import Prepared, prepare
from tl.training.statistics import COUNTS, ExampleStatistics
from tl.trajectory import Note


class Examples:
    """The training examples. Each is created from the prepared data on access."""

    def __init__(self, prepared: Prepared, numbers: np.ndarray) -> None:
        self._prepared, self._numbers = prepared, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Example:
        return self._prepared.example(int(self._numbers[index]))

    def __iter__(self) -> Iterator[Example]:
        return map(self._prepared.example, self._numbers.tolist())

    def statistics(self, indices: Iterable[int]) -> ExampleStatistics:
        """The counts over these examples."""
        return total(self._prepared.rows[self._numbers[list(indices)]])

    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return column(self._prepared.rows, "tokens")[self._numbers].tolist()


@dataclass(frozen=True)
class TrainingData:
    """Tokenised trajectories that contain something to train on, and counts of the others."""

    examples: Examples
    statistics: ExampleStatistics
    too_long: int  # trajectories whose first turn does not fit
    untrainable: int  # trajectories in which every call is masked
    normalised: int  # trajectories whose messages the tokenizer changes (Tokenizer.normalise)
    report: ReadReport
    fingerprint: str  # SHA-256 over everything that training sees of the examples, in order

    def lines(self) -> list[str]:
        changed = f"normalised          {self.normalised:,} trajectories with characters that the tokenizer changes"
        done = [f"notes               {line}" for line in self.report.note_lines(leaving_out=[Note.TEXT_BESIDE_CALL])]
        return [*self.statistics.lines(), *([changed] if self.normalised else []), self.dropped(), *done]

    def dropped(self) -> str:
        texts = self.report.notes[Note.TEXT_BESIDE_CALL]
        return (
            f"dropped             {len(self.report.bad):,} bad records, {self.too_long:,} trajectories too long, "
            f"{self.untrainable:,} with every call masked; {texts:,} texts next to a call"
        )


def load_training_data(
    paths: Sequence[str],
    tokenizer: Tokenizer,
    options: EncodingOptions,
    on_bad: OnBadData = "error",
    data_format: str = AUTO,
    seed: int = 0,
    progress: bool = True,
    cache: Path | None = None,
) -> TrainingData:
    """Reads and tokenises the trajectories in ``paths`` or, without paths, those made with the tool library. With
    ``on_bad="skip"`` bad records are left out and listed in the report.

    The prepared data is kept in the folder ``cache`` for the next process that needs the same data; without ``cache``,
    it is deleted as soon as it is mapped. ``progress`` shows a progress bar.

    Raises tl.datasets.DataError for files that cannot be read or have bad records, or if nothing is left to train on.
    """
    check_options(on_bad, data_format)
    split = shares_of(paths)
    with ExitStack() as stack:
        folder = cache or Path(stack.enter_context(TemporaryDirectory(prefix="tl-prepared-")))
        prepared = prepare(folder, [path for path, _ in split], tokenizer, options, data_format, seed, progress)
    if on_bad == "error":
        prepared.report.check()
    data = _chosen(prepared, [share for _, share in split if share is not None], seed)
    if not len(data.examples):
        lines = [*data.lines(), *(_needed(prepared.rows) if data.too_long else [])]
        raise DataError("\n".join(["no trajectory contains anything to train on:", *lines]))
    return data


@contextmanager
def cache_folder(config: SFTConfig, world: World) -> Iterator[Path]:
    """The folder for prepared data: that of ``--cache``, or a temporary one if nothing is to be kept or the folder
    next to ``--out`` is not writable. All ranks of a machine get the same one."""

    def kept() -> Path | None:
        beside = Path(config.out).parent / ".prepared"
        named = Path(config.cache) if config.cache else None if unwritable(beside) else beside
        return None if config.cache == "none" else named

    if folder := on_main(kept, world):
        yield folder
        return
    folder = on_main(lambda: Path(mkdtemp(prefix="tl-prepared-")), world)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _chosen(prepared: Prepared, shares: Sequence[float], seed: int) -> TrainingData:
    """All prepared trajectories or, if files have shares, a selection with these shares."""
    numbers = np.arange(len(prepared.rows))
    if shares:
        numbers = np.array(drawn(prepared.sizes, shares, seed), numbers.dtype)
    rows = prepared.rows[numbers]
    fits, trainable = rows["digest"] != b"", column(rows, "targets") > 0
    return TrainingData(
        examples=Examples(prepared, numbers[trainable]),
        statistics=total(rows),
        too_long=int((~fits).sum()),
        untrainable=int((fits & ~trainable).sum()),
        normalised=int(rows["normalised"].sum()),
        report=prepared.report,
        fingerprint=hashlib.sha256(rows["digest"][trainable].tobytes()).hexdigest(),
    )


def column(rows: np.ndarray, count: str) -> np.ndarray:
    """One of the ``ExampleStatistics`` of each row."""
    return rows["counts"][:, COUNTS.index(count)]


def total(rows: np.ndarray) -> ExampleStatistics:
    return ExampleStatistics.of_row(rows["counts"].sum(0).tolist())


def _needed(rows: np.ndarray) -> list[str]:
    """A line with the ``max_length`` that trajectories need which are too long; none if there are none."""
    ends = sorted(rows["needed"][rows["needed"] > 0].tolist())
    if not ends:
        return []
    lengths = f"{ends[0]:,} at least, {ends[len(ends) // 2]:,} for half of them"
    return [f"needed              --max_length {lengths}, and a model with that context length"]
