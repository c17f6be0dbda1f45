"""Finds the statements in a tool's feedback that may report an error, and leaves its content aside.

A tool reports an error in few places: its first line, its last line, a status code, a field such as `"error"`.
Everything else is content and is not read, so that a document on error handling or a search result that quotes a
traceback is not taken for an error. `tl.mae` decides what a statement means.
"""

import enum
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeGuard

MAX_STATEMENT = 600  # characters of a statement that are looked at
MAX_DEPTH = 3  # answers inside answers inside answers
MAX_FIELDS = 30  # fields of an object that are looked at
MAX_LOOSE = 8_192  # characters of an answer that is no whole JSON


class Place(enum.Enum):
    """Where a statement was found, which decides the rules that apply to it."""

    TEXT = "the start of a plain text, or the only message of an answer"
    LAST_LINE = "the last line of a plain text"
    PREFIX = "after the word Error at the start of a plain text, or at the end of a traceback"
    FIELD = "an error field of an answer"
    STATUS = "a failing status code"
    COMMAND = "what a command wrote that ended with a failing exit code"


@dataclass(frozen=True)
class Statement:
    """One thing that a tool says about its own answer; `status` is the HTTP status code, where it gives one."""

    place: Place
    text: str
    status: int | None = None


_STATUS_LINE = re.compile(
    r"(?:HTTP/[\d.]+|(?:HTTP )?status(?: ?code)?|error code:) ?[:=]? ?(\d{3})\b[.:]?(?: ?(?:response|body):)?\s*", re.I
)
_ACTION = "access|call|connect|creat|execut|fetch|find|gett|load|mak|open|pars|process|read|runn|send|validat|writ"
_KIND = (  # of an error, in its first words; others measure something: "Standard error: 0.3", "Mean error: 2 cm"
    "api|application|backend|client|command|compil(?:ation|er)|database|(?:my|no)?sql|execution|fatal|internal|"
    "mcp|postgres(?:ql)?|program|query|remote|request|runtime|script|server|service|sqlite3?|system|tool|unexpected|unknown"
)
_PREFIX = re.compile(
    r"(?:[❌⚠🚫⛔❗]\ufe0f? ?)?(?:"
    r"(?:##)?\[(?:error|exception)\](?=\s)|"
    r"(?:<\?xml[^>]{0,100}>\s*)?<(?:tool_(?:use_)?)?error>\s*(?!(?:none|null|no|false)\b)(?=[^\W\d]|<\w)|"
    rf"(?:(?:##)?\[|(?:an? )?(?:(?:tool )?(?:{_KIND}) )?)?(?:error|exception)\]?"
    rf"(?:(?: \(?-?\d{{1,5}}\)?| (?:code|in|from|at) \S{{1,80}}| (?:while )?(?:{_ACTION})ing\b[^:\n]{{0,80}})?[:!]|"
    r" (?:has |was )?(?:occurr?ed|raised)\b:?|\s*\Z)) *",
    re.I,
)
_TRACEBACK = "Traceback (most recent call last):\n"
_TRACEBACK_AT_END = re.compile(  # after what a program printed
    rf"\n{re.escape(_TRACEBACK)}(?:[ \t][^\n]*\n)+(?=[A-Za-z_][\w.]*(?::|\Z))[^\n]*\Z"
)
_HTML = re.compile(r"(?:<!--.{0,200}?-->\s*)?<(?:!doctype html|html|head|title)\b", re.I | re.S)
_HTML_TITLE = re.compile(r"<(title|h1)\b[^>]{0,200}>([^<]{0,200})", re.I)
_HTML_WORDS = (
    r"(?:forbidden|(?:page )?not found|bad (?:request|gateway)|unauthori[sz]ed|access denied|too many requests|"
    r"(?:internal )?server error|service unavailable|gateway time-?out|error)"
)
_HTML_ERROR = re.compile(
    rf"\s*{_HTML_WORDS}\s*(?:\Z|[-|:!(])|.{{0,80}}\b(?:(?:error|http)\W{{0,3}}[45]\d\d\b|"
    rf"[45]\d\d\b\W{{0,4}}(?:{_HTML_WORDS}|\s*\Z))",
    re.I | re.S,
)

# How a command ended, as its environment writes it around the output: alone on a line, in brackets, or in a tag.
_CODE = r"\(?(-?\d{1,10})\)?"
_HOW = r"[:,]?(?: with)?(?: an?)?(?: (?:exit|return|error|status|non-?zero)){0,2}[ _-]?(?:code|status|value)"
_RAN = (
    r"(?:the |your )?(?:(?:shell|bash|child) )?(?:command|process|program|script|shell|task|job|step) (?:has |was )?"
    r"(?:exit|return|finish|complet|fail|terminat|end|stopp)(?:ed)?"
)
_ENDED = r"(?:[\w-]{1,30} ){0,4}?(?:exit|return|finish|complet|fail|terminat|end)ed|(?:the )?(?:exit|return)"
_ENDING = (
    rf"(?:(?:{_RAN}|{_ENDED})"
    rf"{_HOW}(?: is| was)?|(?:{_RAN}|exit(?:ed)?)(?: with)?|(?:rc|errorlevel)(?=\s*[:=]))\s*[:=]?\s*{_CODE}"
)
_REMARK = r"(?: (?:after|in) [\d.]+ ?\w{1,12})?(?: \([^()\n]{1,60}\))?"  # after the code: its duration or meaning
_ENDINGS = (
    re.compile(r"\s*<(?:return|exit)[_-]?(?:code|status)>\s*(-?\d{1,10})\s*</", re.I),
    re.compile(rf"(?:##\[error\])?\W{{0,3}}{_ENDING}{_REMARK}\W{{0,3}}\Z", re.I),
    re.compile(rf"{_RAN}{_HOW}[:=]?\s*{_CODE}[:,.;]\s", re.I),
    re.compile(rf"\W{{0,3}}[\[(]{_ENDING}[^\w\[\]()]{{0,3}}[\])]", re.I),
    re.compile(rf".{{0,{MAX_STATEMENT}}}[\[(]{_ENDING}[^\w\[\]()]{{0,3}}[\])]\W{{0,3}}\Z", re.I),
)
_LAST_LINES = 3  # where a command's exit code is looked for; lines after it give the directory and the like
_OUTPUT_TAG = re.compile(r"</?output>|output:", re.I)

_ERROR_KEY = re.compile(
    # Not any word before it: there are keys such as "default", "terror", "standard_error" and "stderr".
    r"(?:(?:is|has|last|api|server|request|response|http|validation|internal|tool|fatal)[_ -]?)?"
    r"(?:errors?|err|exception|fault)(?:[_ -]?(?:message|msg|text|details?|description|info|type|code|reason))?",
    re.I,
)
_ERROR_CODE_KEY = re.compile(r"err(?:or)?(?:[_ -]?code|no)", re.I)
_STATUS_KEY = re.compile(r"(?:http|response)?[_ -]?(?:status|code|cod|status[_ -]?code)", re.I)
_SUCCESS_KEY = re.compile(r"(?:is[_ -]?)?(?:success(?:ful)?|succeeded|ok)", re.I)
_EXIT_KEY = re.compile(r"exit[_ -]?(?:code|status)|return[_ -]?code", re.I)
_EXIT_KEY_OF_STREAMS = re.compile(rf"{_EXIT_KEY.pattern}|code|status|rc|exit", re.I)
_STREAMS = {"stdout", "stderr"}
_OUTPUT_KEY = re.compile(r"std(?:out|err)|(?:combined[_ -]?)?output", re.I)
_STREAM_KEY = re.compile(rf"{_OUTPUT_KEY.pattern}|command|cmd", re.I)
_REASON = "messages?|msg|details?|info|information|reason"
_REASON_KEY = re.compile(_REASON, re.I)
_MESSAGE_KEY = re.compile(f"{_REASON}|description|note|notice|title|type", re.I)
_BODY_KEY = re.compile("body|response", re.I)  # beside a status code, it is what the server sent
_NO_ERROR = re.compile(r"(?:none|null|nil|false|no|0|ok|200|success(?:ful)?|no errors?\b.{0,40}|n/a|-)?\Z", re.I | re.S)
_FAILED_WORD = re.compile(r"error|fail|failure|exception|(?:invalid|bad)[ _]request|request[ _]denied|forbidden", re.I)


def statements(feedback: str, depth: int = 0) -> Iterator[Statement]:
    """The statements of one feedback, of which the first that is an error decides. Takes time linear in the length."""
    text = feedback.strip()
    status_line = _STATUS_LINE.match(text)
    ending = _ending(text)
    if ending is not None:
        if ending:  # otherwise the command succeeded, and its output is content
            yield Statement(Place.COMMAND, _last_printed(text))
    elif status_line:
        yield from _status(int(status_line[1]), text[status_line.end() :], depth)
    elif text[:1] in ("{", "["):
        answer = _unwrapped(text)
        is_object = bool(answer) and isinstance(answer, dict)
        yield from _answer(answer, depth) if is_object or _are_objects(answer) else _plain(text)
    elif text[:1] == '"' and text[-1:] == '"' and depth < MAX_DEPTH and isinstance(inner := _read(text), str):
        yield from statements(inner, depth + 1)
    elif _HTML.match(text):
        yield from _html(text)
    else:
        yield from _plain(text)


def _ending(text: str) -> int | None:
    """The exit code that a plain text states in its first line or in one of its last lines."""
    lines = [text[:MAX_STATEMENT].partition("\n")[0], *text[-MAX_STATEMENT:].split("\n")[-_LAST_LINES:]]
    codes = (int(ending[1]) for line in lines for form in _ENDINGS if (ending := form.match(line)))
    return next(filter(_is_exit_code, codes), None)


def _is_exit_code(code: int) -> bool:
    """Whether a number can be an exit code: a byte, a negative signal number, or an NTSTATUS of Windows, with a sign or
    without."""
    return -256 < code < 256 or abs(code) >= 2**29


def _last_printed(text: str) -> str:
    """The last line that a command printed, without the environment's lines and tags around its output."""
    for line in reversed(text[-MAX_LOOSE:].splitlines()):
        line = _OUTPUT_TAG.sub("", line).strip()
        if line and not any(form.match(line) for form in _ENDINGS[:3]):
            return line[:MAX_STATEMENT]
    return ""


def _plain(text: str) -> Iterator[Statement]:
    last_line = text[max(text.rfind("\n") + 1, len(text) - MAX_STATEMENT) :]
    if text.startswith(_TRACEBACK) or _TRACEBACK_AT_END.search(text[-MAX_LOOSE:]):
        yield Statement(Place.PREFIX, last_line)
    elif prefix := _PREFIX.match(text):
        yield Statement(Place.PREFIX, text[prefix.end() :][:MAX_STATEMENT])
    else:
        yield Statement(Place.TEXT, text[:MAX_STATEMENT])
        yield Statement(Place.LAST_LINE, last_line)


def _html(text: str) -> Iterator[Statement]:
    """A page is an error page if its title or first heading says so."""
    for heading in _HTML_TITLE.finditer(text[:MAX_LOOSE]):
        if _HTML_ERROR.match(heading[2]):
            code = re.search(r"\b[45]\d\d\b", heading[2])
            yield Statement(Place.STATUS, heading[2].strip(), int(code[0]) if code else None)


def _status(status: int, body: str, depth: int) -> Iterator[Statement]:
    if status < 400:
        if depth < MAX_DEPTH:
            yield from statements(body, depth + 1)
        return
    text = _words(_read(body)) if body[:1] in ("{", "[") else body
    yield Statement(Place.STATUS, text[:MAX_STATEMENT], status)


def _answer(answer: object, depth: int, alone: bool = True) -> Iterator[Statement]:
    """Statements of a parsed answer. `alone`: it is the whole feedback, apart from wrappers."""
    answer = _unwrapped(answer)
    if _are_objects(answer):
        yield from _records(answer)
    if not isinstance(answer, dict):
        return
    answer = dict(islice(answer.items(), MAX_FIELDS))
    exit_code = _exit_code(answer)
    if exit_code is not None:  # it says whether the command failed; the output, also stderr, is content
        if exit_code:
            yield Statement(Place.COMMAND, _last_words(answer))
        return
    yield from _own_fields(answer, alone)
    filled = {key: value for key, value in answer.items() if not _is_empty(value) or _denies(key, value)}
    if alone and all(_MESSAGE_KEY.fullmatch(key) and isinstance(value, str) for key, value in filled.items()):
        for value in filled.values():
            yield from _plain(str(value).strip())
    if depth >= MAX_DEPTH:
        return
    only = alone and len(filled) == 1
    for value in map(_unwrapped, filled.values()):
        if isinstance(value, dict) or (only and _are_objects(value)):
            # One of several values counts as two levels, since there may be MAX_FIELDS of them.
            yield from _answer(value, depth + (1 if only else 2), alone=only)
        elif isinstance(value, str) and only:
            yield from statements(value, depth + 1)


def _denies(key: str, value: object) -> bool:
    """Whether a field answers no, such as `"valid": false`: a message beside it explains the answer."""
    return value is False and not any(of.fullmatch(key) for of in (_ERROR_KEY, _SUCCESS_KEY, _STATUS_KEY))


def _are_objects(answer: object) -> TypeGuard[list[dict[str, object]]]:
    """Whether an answer is a list of several objects and nothing else."""
    return isinstance(answer, list) and len(answer) > 1 and all(isinstance(record, dict) for record in answer)


def _records(answers: list[dict[str, object]]) -> Iterator[Statement]:
    """The errors of several objects; nothing if one of them reports no error, since they are then content."""
    told = [next(_own_fields(dict(islice(a.items(), MAX_FIELDS)), alone=False), None) for a in answers if a]
    if None not in told:
        yield from filter(None, told)


def _exit_code(answer: dict[str, object]) -> int | None:
    """The exit code in an answer that also has a command or its output; the code may be among its metadata."""
    if not any(_STREAM_KEY.fullmatch(key) for key in answer):
        return None
    inner = [(key, value) for part in answer.values() if isinstance(part, dict) for key, value in part.items()]
    known = _EXIT_KEY_OF_STREAMS if {key.lower() for key in answer} >= _STREAMS else _EXIT_KEY
    codes = [value for key, value in answer.items() if known.fullmatch(key)]
    codes += [value for key, value in inner if _EXIT_KEY.fullmatch(key)]
    return next((code for code in codes if type(code) is int), None)


def _last_words(answer: dict[str, object]) -> str:
    """The last line of the command's first output that is not empty; stderr comes before the others."""
    outputs = [value.strip() for key, value in answer.items() if _OUTPUT_KEY.fullmatch(key) and isinstance(value, str)]
    errors = [value.strip() for key, value in answer.items() if key.lower() == "stderr" and isinstance(value, str)]
    return next(filter(None, (*errors, *outputs)), "").rpartition("\n")[2][:MAX_STATEMENT]


def _unwrapped(value: object) -> object:
    """The answer inside a string of JSON or a list with one element; other values unchanged."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = _read(value)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _own_fields(answer: dict[str, object], alone: bool) -> Iterator[Statement]:
    """The error that one object reports: an error field that is not empty, a failing status, a false success."""
    status = next((code for key, value in answer.items() if (code := _status_field(key, value, answer))), None)
    is_pydantics = isinstance(answer.get("loc"), list) and "msg" in answer
    fails = status or is_pydantics or (alone and _says_failed(answer))
    if fails or any(_is_error_field(key, value, alone) for key, value in answer.items()):
        yield Statement(Place.FIELD, _words(answer)[:MAX_STATEMENT], status)


def _status_field(key: str, value: object, answer: dict[str, object]) -> int | None:
    """The failing status in a field. It counts only beside a message, or as a status code beside the server's response:
    a number alone may be any kind of code."""
    if not _STATUS_KEY.fullmatch(key):
        return None
    beside = [_ERROR_KEY, _REASON_KEY if key.lower().startswith("cod") else _MESSAGE_KEY]
    beside += [_BODY_KEY] if key.lower().endswith("code") and len(key) > len("code") else []
    told = any(of.fullmatch(k) and not _is_empty(v) for k, v in answer.items() for of in beside)
    return _failing(value) if told else None


def _says_failed(answer: dict[str, object]) -> bool:
    """Whether the answer is a status "failed" with at most a reason. Among other fields, it is the state of a thing."""
    facts = [
        (key, value)
        for key, value in answer.items()
        if not (_REASON_KEY.fullmatch(key) and isinstance(value, str)) and not _is_empty(value)
    ]
    return len(facts) == 1 and bool(_STATUS_KEY.fullmatch(facts[0][0])) and str(facts[0][1]).lower() == "failed"


def _is_error_field(key: str, value: object, alone: bool) -> bool:
    if _SUCCESS_KEY.fullmatch(key):
        return alone and str(value).lower() == "false"
    if _STATUS_KEY.fullmatch(key):
        return alone and isinstance(value, str) and bool(_FAILED_WORD.fullmatch(value.strip()))
    if _ERROR_CODE_KEY.fullmatch(key):
        return not _is_empty(value) and value != 200
    # A number is a measured error ("error": 0.02) as often as a code.
    return bool(_ERROR_KEY.fullmatch(key)) and (_failing(value) is not None or not _is_empty(value, numbers=True))


def _is_empty(value: object, numbers: bool = False) -> bool:
    """Whether a value is empty or says "none", "no errors" and the like. With `numbers`, any number counts as empty."""
    if isinstance(value, str):
        return bool(_NO_ERROR.match(value.strip())) or (numbers and not any(map(str.isalpha, value)))
    return not value or (numbers and isinstance(value, int | float) and value is not True)


def _failing(value: object) -> int | None:
    """The HTTP status code 400 to 599 that a field holds, as a number or in digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None


def _words(value: object, depth: int = 0) -> str:
    """The strings under error and message keys of an error report, joined; all strings if it has no such keys."""
    if isinstance(value, str):
        return value[:MAX_STATEMENT]
    if depth > MAX_DEPTH:
        return ""
    if isinstance(value, dict):
        told = [item for key, item in value.items() if _ERROR_KEY.fullmatch(key) or _MESSAGE_KEY.fullmatch(key)]
        value = told or list(value.values())
    items = value[:20] if isinstance(value, list) else []
    return ". ".join(filter(None, (_words(item, depth + 1) for item in items)))


def _read(text: str) -> object:
    """The JSON value at the start of `text`; of a damaged one, as much as can be read."""
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return read_loosely(text[:MAX_LOOSE])


_TOKEN = re.compile(r"""[{}\[\]]|"(?:[^"\\]|\\.)*(?:"|\\?\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z)|[^\s{}\[\],:"']+""", re.S)
_WORDS = {"null": None, "None": None, "true": True, "True": True, "false": False, "False": False}


def read_loosely(text: str) -> object:
    """Reads JSON or a Python literal that may be cut off or slightly wrong, as far as possible. Never raises.

    Open brackets are closed at the end; a mapping's last key without a value is dropped.
    """
    root: list[object] = []
    open_values: list[list | dict] = [root]
    keys: list[str | None] = [None]
    for token in _TOKEN.findall(text):
        if token in "}]":
            open_values.pop()
            keys.pop()
            if len(open_values) <= 1:
                break
            continue
        value: object = {} if token == "{" else [] if token == "[" else _scalar(token)
        parent = open_values[-1]
        if isinstance(parent, list):
            parent.append(value)
        elif keys[-1] is None:
            keys[-1] = str(value)
            if isinstance(value, dict | list):
                break
        else:
            parent[keys[-1]], keys[-1] = value, None
        if isinstance(value, dict | list):
            open_values.append(value)
            keys.append(None)
    return root[0] if root else None


def _scalar(token: str) -> object:
    if token[0] in "\"'":
        body = token[1:-1] if token[-1] == token[0] else token[1:]
        return body.replace('\\"', '"').replace("\\'", "'").replace("\\n", "\n")
    if token in _WORDS:
        return _WORDS[token]
    return int(token) if token.isascii() and token.isdigit() and len(token) < 20 else token
