"""Completes records with data from elsewhere: from files in the same folder, or from the file's first line."""

import ast
import csv
import io
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from tl.datasets.files import open_plain, raw_records
from tl.datasets.readers import apibank, bfcl, tau
from tl.datasets.report import DataError
from tl.trajectory import Note, Notes
from tl.trajectory.tools import listed_tools

API_LIST = "all_apis.csv"
FUNCTION_DOCS = "multi_turn_func_doc"
SIDES = (".nl", ".cm")  # of NL2Bash: requests, commands

_PARAMETER = re.compile(r"(\w+)\s*:\s*([^,()\[\]]+(?:\[[^\]]*\])?)")


def joined_records(path: Path) -> Iterator[tuple[str, object]]:
    """The raw records of a file, completed from other places of the same file."""
    if path.suffix in SIDES:
        yield from _parallel_lines(path)
        return
    functions: dict = {}  # the first line of ToolAlpaca's runs: API -> its functions
    for place, raw in raw_records(path):
        if isinstance(raw, dict) and raw.keys() == {"apis"} and isinstance(raw["apis"], dict):
            functions = raw["apis"]
            continue
        if functions and isinstance(raw, dict) and isinstance(api := functions.get(str(raw.get("api"))), dict):
            raw = raw | {"functions": api.get("Function_Description")}
        yield place, raw


def _parallel_lines(path: Path) -> Iterator[tuple[str, object]]:
    """NL2Bash: requests in all.nl and their commands in all.cm, line by line."""
    sides = _sides(path)
    for side in sides:
        if not side.exists():
            raise DataError(f"{path}: {side.name} must be in the same folder: requests and commands are two files")
    texts = []
    for side in sides:
        with open_plain(side) as file:
            texts.append(file.read().decode(errors="replace").removesuffix("\n").split("\n"))
    if len(texts[0]) != len(texts[1]):
        raise DataError(f"{path}: {len(texts[0]):,} requests but {len(texts[1]):,} commands")
    for number, (request, command) in enumerate(zip(*texts, strict=True), 1):
        yield f"line {number}", {"nl": request.strip(), "cm": command.strip()}


def _sides(path: Path) -> list[Path]:
    return [path.with_suffix(suffix) for suffix in SIDES]


class Companions:
    """The companion files of a data file. They are read once, and only if a record needs them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def completed(self, raw: object, notes: Notes) -> object:
        """A record with its golden calls and tools, if these are in companion files."""
        if apibank.is_dialogue(raw) and isinstance(raw, list):
            tools: list | None = apibank.called(raw, self.apis) if self.apis else None
            raw = {"dialogue": raw, "tools": tools}
        elif bfcl.is_multi_turn(raw) and isinstance(raw, dict):
            raw = raw | self.golden.get(str(raw.get("id")), {})
            tools = None if raw.get("function") else bfcl.available(raw, self.functions)
            raw = raw | ({"function": tools} if tools else {})
        elif isinstance(raw, dict) and (_has_messages(raw) or tau.is_tau(raw)) and listed_tools(raw) is None:
            tools = self.tools or (self.domain_tools if tau.is_tau(raw) or tau.is_tau2(raw) else [])
            raw = raw | ({"tools": tools} if tools else {})
        else:
            return raw
        notes[Note.COMPANION_TOOLS] += bool(tools)
        return raw

    def files(self) -> list[Path]:
        """The existing files beside this one that its records may need."""
        functions = self._function_docs().values()
        sides = _sides(self.path) if self.path.suffix in SIDES else []
        places = (*sides, *self._answers(), *functions, *self._api_lists(), self._tool_list(), *self._domains())
        return [place for place in places if place.is_file()]

    def _answers(self) -> tuple[Path, ...]:
        name, answers = self.path.name, f"{self.path.stem}_answers{self.path.suffix}"
        return self.path.parent / "possible_answer" / name, self.path.parent / answers

    def _function_docs(self) -> dict[str, Path]:
        folder = self.path.parent / FUNCTION_DOCS
        return {of: folder / f"{name}.json" for of, name in bfcl.FUNCTION_DOC_OF.items()}

    def _api_lists(self) -> list[Path]:
        folders = list(self.path.absolute().parents)[:3]
        return [place for folder in folders for place in (folder / API_LIST, folder / f"{API_LIST}.gz")]

    def _tool_list(self) -> Path:
        return self.path.parent / f"{Path(self.path.name.removesuffix('.gz')).stem}_tools.json"

    def _domains(self) -> list[Path]:
        domain = next((domain for domain in tau.DOMAINS if domain in self.path.name), None)
        return sorted(self.path.parent.glob(f"*{domain}*tools.json"))[:1] if domain else []

    @cached_property
    def golden(self) -> dict[str, dict]:
        """BFCL's golden calls by the ids of their questions."""
        found = [
            raw for place in self._answers() if place.exists() for _, raw in raw_records(place) if isinstance(raw, dict)
        ]
        return {str(raw.get("id")): {"ground_truth": raw["ground_truth"]} for raw in found if "ground_truth" in raw}

    @cached_property
    def functions(self) -> dict[str, list[dict]]:
        """BFCL's functions by the classes that have them."""
        return {of: _objects(place) for of, place in self._function_docs().items() if place.exists()}

    @cached_property
    def apis(self) -> dict[str, dict]:
        """API-Bank's tools by name, from the list in the file's folder or up to two folders above."""
        place = next((place for place in self._api_lists() if place.exists()), None)
        if place is None:
            return {}
        with open_plain(place) as file:
            rows = list(csv.DictReader(io.StringIO(file.read().decode(errors="replace"))))
        if not rows or not {"类名", "input_parameters", "api_info"} <= rows[0].keys():
            raise DataError(f"{place}: is not API-Bank's list of APIs")
        return {row["类名"]: _api(row) for row in rows if row["类名"]}

    @cached_property
    def tools(self) -> list[dict]:
        """The tools in `NAME_tools.json` beside NAME."""
        return _objects(self._tool_list()) if self._tool_list().exists() else []

    @cached_property
    def domain_tools(self) -> list[dict]:
        """The tools of the τ-bench domain that the file's name contains, from a file `…DOMAIN…tools.json` beside it."""
        return [tool for place in self._domains() for tool in _objects(place)]


def _has_messages(raw: dict) -> bool:
    return any(key in raw for key in ("messages", "conversations", "conversation", "prompt", "chosen"))


def _objects(place: Path) -> list[dict]:
    return [raw for _, raw in raw_records(place) if isinstance(raw, dict)]


def _api(row: dict[str, str]) -> dict:
    """The tool in a row of API-Bank's list: its parameters are in the signature, their meaning in Python source."""
    told = _assigned(row["api_info"] or "")
    described = told.get("input_parameters") if isinstance(told.get("input_parameters"), dict) else {}
    properties = {}
    for name, kind in _PARAMETER.findall(row["input_parameters"] or ""):
        known = described.get(name) if isinstance(described, dict) else None
        properties[name] = {"type": kind.strip()} | (known if isinstance(known, dict) else {})
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": row["类名"], "description": str(told.get("description", "")), "parameters": parameters}


def _assigned(source: str) -> dict[str, object]:
    """The literals that Python source assigns, by name. The source is not run."""
    try:
        nodes = ast.parse(source).body
        pairs = [(target, node.value) for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
        return {target.id: ast.literal_eval(value) for target, value in pairs if isinstance(target, ast.Name)}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
