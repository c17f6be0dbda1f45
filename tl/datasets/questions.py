"""Single turns to be evaluated on, from files of any format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tl.datasets import AUTO, read
from tl.metrics import Question, questions_of


def read_questions(
    paths: Sequence[str], on_bad: Literal["error", "skip"] = "error", data_format: str = AUTO
) -> list[Question]:
    """A question for each right call of trajectory files. Raises DataError as `tl.datasets.read` does; with
    `on_bad="skip"` a warning lists bad records."""
    trajectories, report = read(paths, on_bad, data_format=data_format)
    report.warn()
    return [question for trajectory in trajectories for question in questions_of(trajectory)]
