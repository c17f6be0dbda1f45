"""The report file of an evaluation: checks, writing and reading."""

import json
from collections.abc import Mapping
from pathlib import Path

from tl.datasets import DataError
from tl.files import unwritable, write_whole

NOT_SCORED = "not from evaluate.py, or from an older version of it: evaluate again"


def check_report(path: Path) -> None:
    """Raises DataError if a report cannot be written to `path`, or would replace a file that is not a report."""
    if nearest := unwritable(path.parent):
        raise DataError(f"--report {path}: {nearest} is not a writable folder")
    if path.exists() and not path.is_file():
        raise DataError(f"--report {path} is not a regular file: give the name of a new or existing file")
    if path.exists() and path.stat().st_size and b'"suites"' not in path.read_bytes():
        raise DataError(f"--report {path} exists but is not a report: choose another file")


def write_report(path: Path, config: Mapping, suites: Mapping[str, object]) -> None:
    """Writes each suite's results with the settings that led to them; the file is replaced as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"config": config, "suites": suites}, indent=1, ensure_ascii=False)
    write_whole(path, text + "\n")


def read_report(path: Path) -> Mapping[str, Mapping]:
    """The suites in a report. Raises DataError for a file that is no report of evaluate.py."""
    try:
        suites = json.loads(path.read_text(encoding="utf-8"))["suites"]
        others = [name for name, suite in suites.items() if not is_scored(suite)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is not a report of evaluate.py: {type(error).__name__}: {error}") from error
    if others:
        raise DataError(f"{path}: {', '.join(others)}: {NOT_SCORED}")
    return suites


def is_scored(suite: Mapping) -> bool:
    """Whether a suite's items are those of evaluate.py, which have an id: single turns with scores, or episodes."""
    items = suite.get("items")
    parts = [item.keys() for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return all("id" in part and {"scores", "trajectory"} & part for part in parts)
