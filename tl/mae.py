"""MAE, mitigating the adverse effects of erroneous calls (paper section 3.1): which calls failed, and how.

T_e, the calls left out of the loss, is read from the tools' feedback alone, never from a model. `tl.feedback` finds the
places where a feedback speaks about itself; here a table tells what the words mean. A rule is about the form of an
error and never about a tool's name.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from tl.calls import CallSyntaxError, parse_call
from tl.feedback import Place, Statement, statements
from tl.schema import ASK_TO_USER
from tl.trajectory import Trajectory


class ErrorCategory(enum.Enum):
    """What a feedback shows about its call (Figure 3, Table 14). `ALL_RIGHT` is the only one trained on."""

    TOOL_HALLUCINATION = "tool hallucination"
    PARAMETER_HALLUCINATION = "parameter hallucination"
    PARAMETER_MISSING = "parameter missing"
    TOOL_CALL_FAILURE = "tool call failure"
    TOOL_INSTABILITY = "tool instability"
    OTHER = "other"
    ALL_RIGHT = "all right"


@dataclass(frozen=True)
class Rule:
    """One form of an error. The pattern has to match at the start of a statement, whatever the case of its letters."""

    category: ErrorCategory
    pattern: re.Pattern[str]
    example: str


def _table(*rows: tuple[ErrorCategory, str, str]) -> tuple[Rule, ...]:
    return tuple(Rule(category, re.compile(pattern, re.I | re.S), example) for category, pattern, example in rows)


_TOOL_HALLUCINATION = ErrorCategory.TOOL_HALLUCINATION
_PARAMETER_HALLUCINATION = ErrorCategory.PARAMETER_HALLUCINATION
_PARAMETER_MISSING = ErrorCategory.PARAMETER_MISSING
_FAILURE = ErrorCategory.TOOL_CALL_FAILURE
_INSTABILITY = ErrorCategory.TOOL_INSTABILITY
_OTHER = ErrorCategory.OTHER

# Parts of patterns. Repetitions are bounded, so that no pattern takes more than linear time.
_Q = r"['\"`‘’“”]?"
_NAME = rf"{_Q}[\w.$:/-]{{1,100}}{_Q}"
_FUNCTION = r"[\w.$:<>-]{1,100}\(\)"
_TOOL = r"(?:tool|function|action|api|plugin|method|command)"
_PARAMETER = r"(?:parameter|param|argument|arg|keyword|field|property|input|key)s?"
_NO_RACE = r"(?!.{0,80}/proc/\d)"  # a process that ends while /proc is read is no failure of the command
_ERRNO = (
    r"(?:no such file or directory|no such device(?: or address)?|permission denied|operation not permitted|"
    r"is a directory|not a directory|directory not empty|directory nonexistent|file exists|input/output error|"
    r"invalid argument|bad file descriptor|no space left on device|read-only file system|text file busy|"
    r"device or resource busy|argument list too long|exec format error|too many levels of symbolic links|"
    r"file name too long|name or service not known|no such process|broken pipe|cross-device link|not supported|"
    r"host not found|inappropriate ioctl for device|too many open files|function not implemented|not found)"
)

# What is an error wherever a tool says it of its own answer.
MESSAGES = _table(
    # Python: names and arguments.
    (_TOOL_HALLUCINATION, rf"name {_NAME} i[sf] not defined", "name 'google_search' is not defined"),
    (_TOOL_HALLUCINATION, rf"`.{{0,4000}}?` is not a valid {_TOOL}\b", "`look_up` is not a valid action."),
    (_TOOL_HALLUCINATION, rf"(?:no such|unknown|undefined|unrecogni[sz]ed) {_TOOL}(?: name)?\b", "No such function name: f"),
    (_TOOL_HALLUCINATION, rf"(?:there is )?no {_TOOL} (?:is )?(?:named|called|found)\b", "There is no tool named f"),
    (
        _TOOL_HALLUCINATION,
        rf"(?:the )?(?:{_TOOL} (?:name )?{_NAME}|{_TOOL}) (?:is not (?:defined|available|found|known|valid|one of)|does ?n[o']t exist|doesn't exists?|(?:was )?not found)",
        "Tool 'f' does not exist.",
    ),
    (_PARAMETER_HALLUCINATION, rf"(?:{_FUNCTION} )?got (?:an|some) unexpected keyword", "f() got an unexpected keyword argument 'x'"),
    (_PARAMETER_HALLUCINATION, rf"{_FUNCTION} takes no (?:keyword )?arguments", "f() takes no arguments"),
    (_PARAMETER_HALLUCINATION, rf"(?:unexpected|unknown|unrecogni[sz]ed|extra) {_PARAMETER}\b", "Unknown parameter: 'x'"),
    (_PARAMETER_HALLUCINATION, r"additional properties are not allowed", "Additional properties are not allowed ('x' was unexpected)"),
    (_PARAMETER_MISSING, rf"(?:{_FUNCTION} )?missing (?:\d{{1,3}} |a |an |the )?(?:required|mandatory) ", "f() missing 1 required positional argument: 'x'"),
    (_PARAMETER_MISSING, rf"missing (?:\w{{1,40}} )?{_PARAMETER}\b", "Missing parameter: x"),
    (_PARAMETER_MISSING, rf"(?:the )?(?:required|mandatory) {_PARAMETER} .{{0,120}}(?:missing|not (?:given|provided|set|found|specified))", "Required parameter 'x' is missing"),
    (_PARAMETER_MISSING, rf"(?:the )?(?:{_PARAMETER} {_NAME}|{_NAME} {_PARAMETER}|{_NAME}) (?:is|was) (?:missing|required\b|a required (?:property|{_PARAMETER}))", "'x' is a required property"),
    # The tool's network, machine or service.
    (_INSTABILITY, r"(?:https?)?connection(?:pool)?\(", "HTTPSConnectionPool(host='x.org', port=443): Max retries exceeded with url: /"),
    (_INSTABILITY, r"\(?['\"]?connection (?:(?:was |is |has been )?(?:refused|reset|aborted|broken|closed|timed out|failed|lost)\b|error\s*(?:[.:!]|\Z)|to \S{1,80} (?:refused|failed|timed out|was))", "('Connection aborted.', RemoteDisconnected())"),
    (_INSTABILITY, r"(?:\w+ ){0,3}max retries exceeded", "Max retries exceeded"),
    (_INSTABILITY, r"\d{3} (?:client|server) error\b", "400 Client Error: Bad Request for url: https://x.org/"),
    (_INSTABILITY, r"(?:http(?:/[\d.]+)? ?(?:error )?)?(?:429|5\d\d):?,? (?:[a-z]+ ){0,3}(?:error|gateway|unavailable|time-?out|requests)\b", "502 Bad Gateway"),
    (_FAILURE, r"(?:http(?:/[\d.]+)? ?(?:error )?)?4\d\d:?,? (?:bad request|not found|method not allowed|unprocessable|gone|conflict)\b", "404 Not Found"),
    (_INSTABILITY, r"invalid api call\b", "Invalid API call. Codes might be invalid."),
    (_INSTABILITY, r"(?:the )?(?:[\w()'-]+ ){0,5}?(?:timed[ -]?out|time[ -]?out\b|deadline exceeded|out of memory|memory limit)", "Command timed out"),
    (_INSTABILITY, r"(?:cannot|unable to|could not|failed to) (?:connect|reach|resolve|allocate|establish)\b", "Failed to connect to x.org port 80"),
    (_INSTABILITY, r"(?:\w+ ){0,3}(?:temporary failure in name resolution|name or service not known|network is unreachable|remote end closed)", "Temporary failure in name resolution"),
    (_INSTABILITY, r"<urlopen error|\[errno -\d|\[ssl:|\[winerror|ssl(?:error|: )", "<urlopen error [Errno -2] Name or service not known>"),
    (_INSTABILITY, r"(?:.{0,60}\b)?(?:too many requests|rate[ -]?limit(?:ed| (?:reached|exceeded|hit))|(?:exceeded|reached) (?:the |your )?(?:\w+ ){0,3}(?:limit|quota)|quota exceeded|(?:rate limit|call frequency) is \d)", "Too many requests"),
    (_INSTABILITY, r"(?:the )?(?:\w+ ){0,3}(?:internal server error|bad gateway|gateway time-?out|service (?:is )?(?:temporarily )?unavailable|is temporarily unavailable|temporarily unavailable)", "Service temporarily unavailable"),
    (_INSTABILITY, r"killed\s*\Z|(?:\w+ ){0,4}(?:killed by|terminated by|terminated with) signal", "worker killed by signal 9"),
    (_INSTABILITY, rf"(?:{_TOOL}|server|service|worker|endpoint) (?:is )?(?:not working|down|crashed|died|overloaded|unreachable)", "API not working"),
    # Python: types and values.
    (_FAILURE, rf"{_Q}[<>=!+*/%&|^-]{{1,3}}{_Q} not supported between", "'<=' not supported between instances of 'str' and 'int'"),
    (_FAILURE, r"unsupported (?:operand|format|locale|value|type)", "unsupported operand type(s) for +: 'int' and 'str'"),
    (_FAILURE, r"object of type .{1,60} is not json seriali[sz]able", "Object of type bytes is not JSON serializable"),
    (_FAILURE, r"object of type .{1,60} has no len|\w{1,60} object expected|an? \w+ is required", "object of type 'int' has no len()"),
    (_FAILURE, r"(?:\w+ ){0,2}'[\w. ]{1,60}' object\b|(?:type|module) (?:object )?'[\w.]{1,80}' has no|cannot unpack", "'NoneType' object is not subscriptable"),
    (_FAILURE, r"(?:\w+ ){0,3}(?:indices must be|index out of range|assignment index)|pop from (?:an )?empty|key not found", "list indices must be integers or slices, not str"),
    (_FAILURE, r"(?:can't|cannot|can only) (?:multiply|concatenate|convert|compare|index|assign|cast|add|divide|use|interpret|parse|mix)|could not convert|must be (?:real number|str|int|a )", "can't multiply sequence by non-int of type 'str'"),
    (_FAILURE, r"invalid literal for|(?:\w+ )?division (?:or modulo )?by zero|division undefined|math domain error|(?:math )?range error|unhashable type|too many values to unpack|not enough values to unpack|not all arguments converted", "invalid literal for int() with base 10: 'x'"),
    (_FAILURE, r"time data .{1,80} does(?: not|n't) match|unconverted data remains|(?:day|month|year|hour|minute|second) .{0,20}(?:is )?out of range|invalid isoformat|unknown string format|unknown format code", "time data 'x' does not match format '%Y'"),
    (_FAILURE, r"expecting (?:value|property name|',' delimiter|':' delimiter)|extra data: line|unterminated string|invalid control character|invalid json|.{0,40}\bnot (?:a )?valid json", "Expecting value: line 1 column 1 (char 0)"),
    (_FAILURE, rf"{_FUNCTION} (?:takes|missing|argument|expected|got|requires|keywords)\b", "f() takes 1 positional argument but 2 were given"),
    (_FAILURE, r"(?:strptime|sequence item|int|float|str|bytes|argument \d+|expected (?:an? )?\w+|'\w+' codec|string|descriptor)\b.{0,40} (?:must be|expected|argument|too large|found|got|can't|but got|but \w+ found)", "expected str instance, int found"),
    (_FAILURE, rf"{_PARAMETER} type error|(?:type|value|validation|syntax|key|index|attribute|response|request|api|parse|parsing|format) error\b(?! (?:bars?|rates?|analysis|handling|messages?|codes?)\b)", "Response error."),
    (_FAILURE, r"\[errno \d+\]|(?:the )?(?:requested )?(?:file|path|directory|url|endpoint|resource|page)(?: {_NAME})? (?:does not exist|not found|was not found)".replace("{_NAME}", _NAME), "File does not exist."),
    # Other programs.
    (_FAILURE, r"[\w() -]{0,40}\bpanic: |segmentation fault|aborted \(core dumped\)|core dumped|fatal: ", "Segmentation fault (core dumped)"),
)  # fmt: skip

# What is an error when it is all that the tool says.
ALONE = _table(
    (_INSTABILITY, r"(?:please )?(?:try|retry) again(?: later| in .{1,30})?[.! ]*\Z", "Please try again."),
    (_FAILURE, r"(?:invalid|malformed|illegal) \w[^\n]{0,300}\Z|bad (?:request|command|input|value)\b[^\n]{0,300}\Z", "Invalid URL 'x': No scheme supplied."),
    (_FAILURE, r"(?:unrecogni[sz]ed|unknown|unsupported) (?!error)\w{1,40}\b[: ]\s*\S{1,60}\s*\Z", "unrecognized unit: furlong"),
    (_FAILURE, rf"(?:the )?{_NAME}(?: {_PARAMETER})? (?:must|should|has to) (?:be|have|contain|not be)\b[^\n]{{0,200}}\Z", "limit must be an integer"),
    (_FAILURE, r"'[^'\n]{1,80}'\Z", "'related_searches'"),
    (_FAILURE, r"(?:failed|unable) to [^\n]{1,300}\Z", "Failed to parse the date."),
    (_OTHER, r"(?:access (?:is )?denied|permission denied|unauthori[sz]ed|forbidden|not authori[sz]ed|authentication (?:failed|required|error)|you (?:are|do) not (?:subscribed|authori[sz]ed|have (?:permission|access)))\b[^\n]{0,300}\Z", "Access denied."),
    (_OTHER, r"(?!no |nothing |none |0 )[^\n]{1,120} (?:(?:was |were |could |can)?(?: ?not|n't) (?:be )?found|does(?: not|n't) exist)[.!]?\Z", "User not found."),
    (_OTHER, r"(?:oops|sorry)\b[^\n]{0,40}(?:something went wrong|an? (?:\w+ )?error)", "Oops! Something went wrong."),
)  # fmt: skip

# What programs run by a shell say: `program: what: complaint`, at the start or at the end of their output.
SHELL = _table(
    (_INSTABILITY, r"[^\n]{0,400}: (?:connection (?:timed out|refused|reset)|could not resolve host|network is unreachable|temporary failure|cannot allocate memory)", "ssh: connect to host x port 22: Connection refused"),
    (_FAILURE, rf"{_NO_RACE}[^\n]{{1,600}}[:(] ?{_ERRNO}\)?\.?\s*(?:\n|\Z)", "ls: cannot access 'x': No such file or directory"),
    (_FAILURE, r"[^\n]{0,400}: (?:-c: )?line \d+: [^\n]{0,300}?(?:syntax error|unexpected|bad |command not found|unbound variable|not found|no such|cannot|error|expected|invalid|required|ambiguous|too many|not a|missing|unrecogni[sz]ed|illegal)", "bash: -c: line 1: unexpected EOF while looking for matching `''"),
    (
        _FAILURE,
        rf"{_NO_RACE}(?-i:[a-z/][\w./+-]{{0,60}})(?: \(\w+\)|\[\d+\])?: (?:[^\n:]{{1,200}}: |\(\d+\) )?(?:cannot|can't|could not|couldn't|failed|missing|"
        r"invalid|unrecogni[sz]ed|unknown|unexpected|unable|no such|bad |illegal|option requires|syntax error|refusing|"
        r"too (?:many|few)|paths must|only one instance|extra operand|not (?:a|an|in|enough)\b|runaway|error|fatal|requires|you must|you may not|"
        r"permission|exiting with|command not found|range-endpoints|unterminated|unmatched|expected|read error|write error|ambiguous|conflicting|connection|the \w+ must|must be|no file|"
        r"no matches|input is|file \d+ is not)",
        "find: missing argument to `-exec'",
    ),
    (_FAILURE, r"(?-i:[a-z/][\w./+-]{0,60}): [^\n]{1,400}(?:is output file|are the same file)", "cat: x: input file is output file"),
    (_FAILURE, r"usage: (?-i:[a-z])\S* |try '[^'\n]{1,80} (?:--help|-h)'", "Try 'od --help' for more information."),
)  # fmt: skip

# Exceptions by the name of their class. An exception of another class is judged by its message.
EXCEPTIONS = _table(
    (_INSTABILITY, r"\w*(?:Connect|Timeout|Memory|SSL|HTTP|URL|Proxy|Network|Socket|BrokenPipe|Disconnected|Retry|Unavailable|RateLimit)", "ConnectionError: refused"),
    (_FAILURE, r"(?:Value|Lookup|Key|Index|Attribute|Arithmetic|ZeroDivision|Overflow|Unicode\w*|JSONDecode|Syntax|Assertion|FileNotFound|Permission|OS|IO)Error", "ValueError: x is negative"),
)  # fmt: skip

# Which category an error has that is known to be one, by words anywhere in what it says.
REASONS = _table(
    (_PARAMETER_MISSING, rf".*?\bmissing (?!or )(?:\w+ ){{0,2}}(?:{_NAME} )?{_PARAMETER}\b", "Bad Request: missing required parameter 'x'"),
    (_PARAMETER_MISSING, rf".*?\b(?:{_PARAMETER}|fields?|value|id|name|address|domain|date|query|{_NAME}) (?:[\w ]{{1,40}} )?(?:is|are|was|must be) (?:missing|required\b|provided|not (?:provided|given|set)|specified)", "The parameter x is required."),
    (_PARAMETER_HALLUCINATION, rf".*?\b(?:unexpected|unknown|unrecogni[sz]ed|extra) (?:\w+ )?{_PARAMETER}\b", "Unknown query parameter: x"),
    (_INSTABILITY, r".*?(?:\btimed? ?-?out\b|\bconnection\b|\brate[ -]?limit|too many requests|temporarily|unavailable|internal server error|bad gateway|out of memory|try again later|\bnetwork\b|max retries|\bquota\b|not working|\bssl\b|proxy)", "Timeout error...Read timed out."),
    (_FAILURE, r".*?(?:\binvalid\b|\bmust\b|\bshould be\b|not supported|unsupported|\bexpected\b|\bcannot\b|\bcan't\b|bad request|malformed|not (?:a )?valid|not allowed|\btoo (?:large|long|short|many|few|small|big)\b|exceed|out of range|incorrect|\bwrong\b|not enough|validation|\btype\b|\bparse|failed to)", "Invalid domain"),
)  # fmt: skip

_EXCEPTION = re.compile(
    r"((?:\w+\.){0,8}[A-Z]\w{0,60}?(?:Error|Exception|Timeout|Exceeded|Refused|Disconnected))(?:: |\s*\Z)"
)
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n")


def classify_feedback(text: str) -> ErrorCategory:
    """The category of one feedback, in time linear in its length. Any text has one; none raises."""
    for statement in statements(text):
        category = _classify_statement(statement)
        if category is not ErrorCategory.ALL_RIGHT:
            return category
    return ErrorCategory.ALL_RIGHT


def _classify_statement(statement: Statement) -> ErrorCategory:
    said = statement.text
    if statement.place is Place.STATUS or statement.status is not None:
        return _first(REASONS[:3], said) or _of_status(statement.status)
    if statement.place is Place.FIELD:
        return _of_message(said) or _first(REASONS, said) or ErrorCategory.OTHER
    if statement.place is Place.PREFIX:
        return _of_message(said) or _first(REASONS, said) or ErrorCategory.TOOL_CALL_FAILURE
    if statement.place is Place.LAST_LINE:
        return _first(SHELL, said) or ErrorCategory.ALL_RIGHT
    return _first(SHELL, said) or _of_message(said) or _first(ALONE, said) or ErrorCategory.ALL_RIGHT


def _of_message(said: str) -> ErrorCategory | None:
    exception = _EXCEPTION.match(said)
    if not exception:
        return ErrorCategory.TOOL_CALL_FAILURE if _TRACEBACK.match(said) else _first(MESSAGES, said)
    name, message = exception[1].rpartition(".")[2], said[exception.end() :]
    return _first(EXCEPTIONS, name) or _first(MESSAGES, message) or ErrorCategory.TOOL_CALL_FAILURE


def _of_status(status: int | None) -> ErrorCategory:
    """Category of a failing HTTP status: the server's own trouble, a refusal, or a request that it could not serve."""
    if status is not None and (status >= 500 or status in (408, 425, 429)):
        return ErrorCategory.TOOL_INSTABILITY
    return ErrorCategory.OTHER if status in (401, 402, 403, 407, 451) else ErrorCategory.TOOL_CALL_FAILURE


def _first(table: tuple[Rule, ...], said: str) -> ErrorCategory | None:
    return next((rule.category for rule in table if rule.pattern.match(said)), None)


def call_categories(trajectory: Trajectory) -> list[ErrorCategory]:
    """One category per assistant call, in order.

    A call that does not parse is a tool call failure and one to a tool outside the trajectory's list a tool
    hallucination, whatever the feedback says. Answers to `ask_to_user` come from a person and are not classified.
    """
    names = {tool.name for tool in trajectory.tools}
    return [_call_category(call.content, feedback, names) for call, feedback in trajectory.calls()]


def _call_category(call_text: str, feedback: str | None, names: set[str]) -> ErrorCategory:
    try:
        name = parse_call(call_text).name
    except CallSyntaxError:
        return ErrorCategory.TOOL_CALL_FAILURE
    if name not in names:
        return ErrorCategory.TOOL_HALLUCINATION
    if feedback is None or name == ASK_TO_USER.name:
        return ErrorCategory.ALL_RIGHT
    return classify_feedback(feedback)


def erroneous_calls(trajectory: Trajectory) -> list[bool]:
    """T_e of section 3.1: one flag per assistant call, in order; True means weight 0 in the loss."""
    return [category is not ErrorCategory.ALL_RIGHT for category in call_categories(trajectory)]
