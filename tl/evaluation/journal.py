"""Writes results to a file immediately, so that an interrupted evaluation can be resumed."""

import glob
import hashlib
import json
from pathlib import Path
from typing import Any, TextIO

from tl.calls import format_call
from tl.evaluation.suites import EpisodeSuite, Suite
from tl.files import named_errors, write_whole


class Journal:
    """JSON lines `[index, result]` of one suite, in one file per rank next to the report.

    The first line is `key`: everything that the results depend on. A file with another key belongs to another
    evaluation and is overwritten. `done` maps the indices of items to their results, from the files of all ranks. With
    several ranks, all journals must be created before any of them adds a result.
    """

    def __init__(self, report: Path, suite: str, key: dict, rank: int = 0) -> None:
        self.key = json.loads(json.dumps(key))
        self.folder, self.stem = report.parent, f"{report.name}.{suite}"
        self.path = self.folder / f"{self.stem}.{rank}.partial"
        self.done: dict[int, Any] = {}
        for path in self._files():
            self.done |= self._read(path)
        self._file: TextIO | None = None

    def add(self, index: int, result: Any) -> None:
        """Writes a result. It is not synced, so it survives the end of this process but not a crash of the machine."""
        if self._file is None:
            self._file = self._open()
        self.done[index] = result
        with named_errors(self.path):
            self._file.write(_line([index, result]))
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Deletes the files of all ranks, once the report holds the results."""
        self.close()
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"{glob.escape(self.stem)}.*.partial"))

    def _open(self) -> TextIO:
        """Cuts the file after its last whole line and opens it for appending."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        before = self._read(self.path) if self.path.exists() else {}
        write_whole(self.path, "".join(map(_line, (self.key, *before.items()))))
        return self.path.open("a", encoding="utf-8", errors="backslashreplace")

    def _read(self, path: Path) -> dict[int, Any]:
        """The results in a file of this evaluation, without a last line that is incomplete."""
        results = {}
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        try:
            if json.loads(lines[0]) != self.key:
                return {}
            for line in lines[1:]:
                index, result = json.loads(line)
                results[index] = result
        except ValueError:
            pass
        return results


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def fingerprint(suite: Suite | EpisodeSuite) -> str:
    """A digest of everything that a model sees of a suite, and of the accepted answers."""
    golden: list[tuple]
    if isinstance(suite, Suite):
        golden = [(q, [[format_call(call) for call in answer] for answer in q.answers]) for q in suite.questions]
    else:
        golden = [(request, [request.truth, *request.facts], request.servable) for request in suite.requests]
    seen = [
        [one.id, [tool.to_openai() for tool in one.tools], [[m.role, m.content] for m in one.messages], *more]
        for one, *more in golden
    ]
    return hashlib.sha256(_line(seen).encode(errors="backslashreplace")).hexdigest()[:12]
