"""Writes the items of single-turn suites as JSON lines, for models that run elsewhere."""

import json
from collections.abc import Sequence
from pathlib import Path

from tl.datasets import DataError
from tl.evaluation.suites import EpisodeSuite, Suite
from tl.files import unwritable, write_whole
from tl.metrics import Question
from tl.templates.baselines import PROMPTS
from tl.trajectory import Trajectory


def check_export(path: Path) -> None:
    """Raises DataError if items cannot be written to `path`, or would replace a file: it may be the data."""
    if path.exists():
        raise DataError(f"--export {path} already exists: delete it, or choose another file")
    if nearest := unwritable(path.parent):
        raise DataError(f"--export {path}: {nearest} is not a writable folder")


def export(suites: Sequence[Suite | EpisodeSuite], path: Path, limit: int | None) -> str:
    """Writes `{"suite", "id", "tools", "messages", "prompts": {form: text}}` for each item; says what was written.

    `tools` and `messages` are OpenAI's (Table 12). A file with a line `{"id": …, "prediction": text}` for each item of
    a suite can be scored with --predictions. Raises DataError for episodes, whose turns depend on tools.
    """
    lines = []
    for suite in suites:
        if not isinstance(suite, Suite):
            raise DataError(f"--export only works for single turns; {suite.name} consists of whole episodes")
        lines += [_line(suite, question) for question in suite.questions[:limit]]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(lines))
    return f"{path}: {len(lines)} items with the prompts of {', '.join(PROMPTS)}"


def _line(suite: Suite, question: Question) -> str:
    record = Trajectory(question.id, question.tools, question.messages).to_openai()
    prompts = {form: write(question.tools, question.messages) for form, write in PROMPTS.items()}
    return json.dumps({"suite": suite.name, **record, "prompts": prompts}, ensure_ascii=False) + "\n"
