"""Records that need what lies elsewhere: beside their file, or in its first line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tl.datasets.files import open_plain, raw_records
from tl.datasets.readers import bfcl
from tl.datasets.report import DataError


def joined_records(path: Path) -> Iterator[tuple[str, object]]:
    """The raw records of a file, each with all that it takes to read it."""
    if path.suffix in (".nl", ".cm"):
        yield from _parallel_lines(path)
        return
    functions: dict = {}  # of ToolAlpaca's runs: API -> its functions
    for place, raw in raw_records(path):
        if isinstance(raw, dict) and raw.keys() == {"apis"} and isinstance(raw["apis"], dict):
            functions = raw["apis"]
            continue
        if functions and isinstance(raw, dict) and isinstance(api := functions.get(str(raw.get("api"))), dict):
            raw = raw | {"functions": api.get("Function_Description")}
        elif bfcl.is_multi_turn(raw) and isinstance(raw, dict):
            raw = raw | _golden(path).get(str(raw.get("id")), {})
        yield place, raw


def _parallel_lines(path: Path) -> Iterator[tuple[str, object]]:
    """NL2Bash: the requests in all.nl, their commands in all.cm, line by line."""
    sides = [path.with_suffix(suffix) for suffix in (".nl", ".cm")]
    for side in sides:
        if not side.exists():
            raise DataError(f"{path}: {side.name} must lie beside it: requests and commands are two files")
    texts = []
    for side in sides:
        with open_plain(side) as file:
            texts.append(file.read().decode(errors="replace").splitlines())
    if len(texts[0]) != len(texts[1]):
        raise DataError(f"{path}: {len(texts[0]):,} requests and {len(texts[1]):,} commands")
    for number, (request, command) in enumerate(zip(*texts, strict=True), 1):
        yield f"line {number}", {"nl": request.strip(), "cm": command.strip()}


_GOLDEN: dict[Path, dict[str, dict]] = {}


def _golden(path: Path) -> dict[str, dict]:
    """BFCL's golden calls by the ids of their questions, from the file beside that of the questions."""
    places = [path.parent / "possible_answer" / path.name, path.with_name(f"{path.stem}_answers{path.suffix}")]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        return {}
    if found not in _GOLDEN:
        answers = [raw for _, raw in raw_records(found) if isinstance(raw, dict)]
        _GOLDEN[found] = {str(a.get("id")): {"ground_truth": a["ground_truth"]} for a in answers if "ground_truth" in a}
    return _GOLDEN[found]
