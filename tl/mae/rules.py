"""The categories of Figure 3 and the forms of error messages that belong to each: what MAE (section 3.1) reads.

A rule is about the form of an error and never about a tool's name. Its pattern has to match at the start of a
statement, whatever the case of its letters, and its example is a message of that form. `<name>`, `<tool>` and the like
in a pattern stand for the parts listed first. Repetitions are bounded, so that no pattern takes more than linear time.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


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
    """One form of an error."""

    category: ErrorCategory
    pattern: re.Pattern[str]
    example: str


_PARTS = {
    "name": r"['\"`‘’“”]?[\w.$:/-]{1,100}['\"`‘’“”]?",
    "function": r"[\w.$:<>-]{1,100}\(\)",
    "tool": r"(?:tool|function|action|api|plugin)",
    "thing": r"(?:file|path|directory|url|endpoint|resource|page)",
    "http": r"(?:http(?:/[\d.]+)? ?(?:error )?)?",
    "parameter": r"(?:parameter|param|argument|arg|keyword|field|property|input|key)s?",
    "program": r"(?-i:[a-z/][\w./+-]{0,60})(?: \(\w+\)|\[\d+\])?",
    "line": r"[^\n]{0,300}",
    "stop": r"(?:[.:,;!'\"`]|\Z)",  # the words before it are no part of a longer sentence
    # A process that ends while /proc is read is no failure of the command.
    "no_race": r"(?!.{0,80}/proc/\d)",
    "errno": (
        r"(?:no such file or directory|no such device(?: or address)?|permission denied|operation not permitted|"
        r"is a directory|not a directory|directory not empty|directory nonexistent|file exists|input/output error|"
        r"invalid argument|bad file descriptor|no space left on device|read-only file system|text file busy|"
        r"device or resource busy|argument list too long|exec format error|too many levels of symbolic links|"
        r"file name too long|name or service not known|no such process|broken pipe|cross-device link|not supported|"
        r"host not found|inappropriate ioctl for device|too many open files|function not implemented|not found)"
    ),
}


def _rules(category: ErrorCategory, *forms: tuple[str, str]) -> tuple[Rule, ...]:
    def expand(pattern: str) -> str:
        return re.sub(r"<(\w+)>", lambda part: _PARTS[part[1]], pattern)

    return tuple(Rule(category, re.compile(expand(pattern), re.I | re.S), example) for pattern, example in forms)


# What is an error wherever a tool says it of its own answer.
MESSAGES = (
    *_rules(
        ErrorCategory.TOOL_HALLUCINATION,
        (r"name <name> i[sf] not defined", "name 'google_search' is not defined"),
        (r"`.{0,4000}?` is not a valid <tool>\b", "`look_up` is not a valid action."),
        (r"(?:no such|unknown|undefined|unrecogni[sz]ed) <tool>(?: name)?\s*<stop>", "No such function name: look_up"),
        (r"(?:there is )?no <tool> (?:is )?(?:named|called)\b", "There is no tool named look_up"),
        (r"(?:the )?<tool> (?:name )?<name> is not (?:defined|available|one of)", "API x is not available"),
        (r"(?:the )?<tool> is not (?:defined|one of)", "The action is not one of find, list"),
        (r"(?:the )?<tool>(?: (?:name )?<name>)? (?:does not exist|doesn't exists?)", "API doesn't exists"),
        (r"(?:the )?<tool>(?: (?:name )?<name>)? (?:was |is )?not found", "Function 'look_up' not found"),
    ),
    *_rules(
        ErrorCategory.PARAMETER_HALLUCINATION,
        (r"(?:<function> )?got (?:an|some) unexpected keyword", "f() got an unexpected keyword argument 'x'"),
        (r"<function> takes no (?:keyword )?arguments", "f() takes no arguments"),
        (r"additional properties are not allowed", "Additional properties are not allowed ('x' was unexpected)"),
    ),
    *_rules(
        ErrorCategory.PARAMETER_MISSING,
        (r"<function> missing \d{1,3} required ", "f() missing 1 required positional argument: 'x'"),
        (r"missing (?:\d{1,3} |a |an |the )?required <parameter>", 'Missing required parameters: "x", "y".'),
        (r"['\"]<name>['\"] is a required property", "'x' is a required property"),
    ),
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (r"(?:https?)?connection(?:pool)?\(", "HTTPSConnectionPool(host='x.org', port=443): Max retries exceeded"),
        (r"\('connection (?:aborted|broken)", "('Connection aborted.', RemoteDisconnected('Remote end closed it'))"),
        (r"max retries exceeded with", "Max retries exceeded with url: /"),
        (r"<urlopen error|\[errno -\d|\[ssl:|\[winerror", "[Errno -2] Name or service not known"),
        (r"\d{3} (?:client|server) error: ", "400 Client Error: Bad Request for url: https://x.org/"),
        (r"<http>(?:429|5(?!01)\d\d):?,? (?:[a-z]+ ){0,3}(?:error|gateway|unavailable|requests)\b", "502 Bad Gateway"),
        (r"invalid api call\b", "Invalid API call. Currency codes might be invalid."),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        # Python: types.
        (
            r"['\"‘]?[<>=!+*/%&|^-]{1,3}['\"’]? not supported between instances",
            "'<=' not supported between instances of",
        ),
        (r"(?:bad operand|unsupported operand) type", "unsupported operand type(s) for +: 'int' and 'str'"),
        (r"object of type .{1,60} is not json seriali[sz]able", "Object of type bytes is not JSON serializable"),
        (r"object of type .{1,60} has no len|bytes-like object is required", "object of type 'int' has no len()"),
        (r"an? (?:integer|float|string|bool) is required", "an integer is required"),
        (r"(?:\w+ ){0,2}'[\w. ]{1,60}' object (?:is not|has no|can|does)", "'NoneType' object is not subscriptable"),
        (r"(?:type object|module) '[\w.]{1,80}' has no attribute", "module 'x' has no attribute 'y'"),
        (r"cannot unpack non-iterable|argument of type", "argument of type 'int' is not iterable"),
        (r"can't (?:multiply sequence|assign|compare)|can only concatenate", "can't multiply sequence by non-int"),
        (r"could not convert string|must be (?:real number|str|int)\b", "could not convert string to float: 'x'"),
        (r"unhashable type|not all arguments converted", "unhashable type: 'list'"),
        (r"unsupported type for|unsupported format string", "unsupported type for timedelta days component: str"),
        (r"<function> (?:takes|missing|argument|expected|got|requires|keywords)\b", "f() takes 1 positional argument"),
        (r"sequence item \d+: expected|argument \d+ must be", "sequence item 0: expected str instance, int found"),
        (
            r"expected (?:str|string|bytes|int|float|list|dict|tuple)\b.{0,60} (?:found|not|got)\b",
            "expected str, not int",
        ),
        # Python: values and names.
        (r"(?:\w+ ){1,2}(?:indices must be|index out of range|assignment index)", "slice indices must be integers"),
        (r"pop from (?:an )?empty|'[\w-]{1,40}' codec can't", "pop from empty list"),
        (r"invalid literal for", "invalid literal for int() with base 10: 'x'"),
        (r"(?:\w+ ){0,2}division (?:or modulo )?by zero\.?\s*\Z|math domain error", "float division by zero"),
        (r"(?:too many|not enough) values to unpack", "not enough values to unpack (expected 2, got 1)"),
        (
            r"time data .{1,80} does(?: not|n't) match|unconverted data remains",
            "time data 'x' does not match format '%Y'",
        ),
        (r"(?:day|month|year|hour|minute|second) (?:\w+ ){0,3}out of range", "day is out of range for month"),
        (r"invalid isoformat|unknown string format|unknown format code", "Invalid isoformat string: 'tomorrow'"),
        (r"expecting (?:value|property name|',' delimiter|':' delimiter)", "Expecting value: line 1 column 1 (char 0)"),
        (r"extra data: line|unterminated string starting|invalid control character", "Extra data: line 1 column 3"),
        (r"invalid json\b|.{0,40}\bnot (?:a )?valid json\b", "Invalid JSON format."),
        (
            r"(?:cannot access )?(?:local|free) variable .{1,80} (?:referenced|where)",
            "local variable 'x' referenced before",
        ),
        # Servers and files.
        (
            r"<http>4\d\d:?,? (?:bad request|not found|method not allowed|unprocessable|gone|conflict)\b",
            "404 Not Found",
        ),
        (r"\[errno \d+\]", "[Errno 2] No such file or directory: 'x'"),
        (r"(?:<parameter> type|response|validation|parse|syntax) error\s*<stop>", "Response error."),
        (r"segmentation fault(?: \(core dumped\))?\s*\Z|fatal: ", "Segmentation fault (core dumped)"),
    ),
)

# What is an error when one line is all that the tool says.
ALONE = (
    *_rules(
        ErrorCategory.PARAMETER_HALLUCINATION,
        (r"(?:unexpected|unknown|unrecogni[sz]ed|extra) <parameter>\b", "Unknown parameter: 'x'"),
    ),
    *_rules(
        ErrorCategory.PARAMETER_MISSING,
        (r"missing (?:\w{1,40} )?<parameter>\b", "Missing parameter: x"),
        (
            r"(?:the )?(?:required |mandatory )?<parameter> <name> (?:is|was) (?:missing|required\b)",
            "The field x is missing.",
        ),
        (
            r"(?:the )?(?:required|mandatory) <parameter> .{0,120}not (?:given|provided|set|specified)",
            "Required field x not set",
        ),
        (r"(?:the )?<name>(?: <parameter>)? (?:is|was) (?:missing|required\b)", "'x' is required"),
        (
            r"please (?:specify|provide|give|enter) (?:a|an|the|your) \w{1,40} and try again",
            "Please give a day and try again",
        ),
    ),
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (
            r"connection (?:was |is |has been )?(?:refused|reset|aborted|broken|closed|timed out|failed|lost)",
            "Connection lost",
        ),
        (r"connection error\s*<stop>|connection to \S{1,80} (?:refused|failed|timed out|was)", "connection error."),
        (
            r"(?:cannot|unable to|could not|failed to) (?:connect|reach|resolve|allocate|establish)\b",
            "Failed to connect to x",
        ),
        (
            r"(?:\w+ ){0,3}(?:name resolution|name or service not known|network is unreachable)",
            "Network is unreachable",
        ),
        (
            r"(?:the )?(?:[\w()'-]+ ){0,5}?(?:timed[ -]?out|deadline exceeded|out of memory|memory limit)",
            "Command timed out",
        ),
        (r"(?:\w+ ){0,3}(?:did not|didn't) (?:answer|respond|return) within\b", "The tool did not answer within 5 s"),
        (r"(?:\w+ ){0,2}time-?out(?: error| exceeded)?\s*<stop>", "Gateway timeout"),
        (r".{0,60}?\b(?:too many requests|quota exceeded|(?:rate limit|call frequency) is \d)", "Too many requests"),
        (r".{0,60}?\brate[ -]?limit(?:ed| (?:reached|exceeded|hit))", "API rate limit exceeded"),
        (
            r".{0,60}?\b(?:exceeded|reached) (?:the |your )?(?:\w+ ){0,3}(?:limit|quota)\b",
            "You have exceeded your quota",
        ),
        (r"(?:the )?(?:\w+ ){0,3}(?:internal server error|bad gateway|ssl error)\s*<stop>", "Internal Server Error"),
        (
            r"(?:the )?(?:\w+ ){0,3}(?:service (?:is )?unavailable|temporarily unavailable)",
            "Service temporarily unavailable",
        ),
        (
            r"(?:the |this )?(?:<tool>|server|service) is (?:currently )?(?:not available|unavailable)",
            "The tool is not available now.",
        ),
        (r"killed\s*\Z|(?:\w+ ){0,4}(?:killed by|terminated by|terminated with) signal", "worker killed by signal 9"),
        (
            r"(?:the )?(?:<tool>|server|service|worker) (?:is )?(?:not working|down|crashed|died|unreachable)\b",
            "API not working",
        ),
        (r"(?:please )?(?:try|retry) again(?: later| in .{1,30})?[.! ]*\Z", "Please try again."),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        (r"'[^']{1,80}'\Z", "'related_searches'"),
        (r"(?:invalid|malformed|illegal) \w", "Invalid URL 'x': No scheme supplied."),
        (r"bad (?:request|command|input|value)\b", "Bad request: no day"),
        (
            r"(?:failed|unable) to |(?:cannot|can't) (?:parse|convert|interpret|divide|read|open)\b",
            "Failed to read the table.",
        ),
        (
            r"(?:unrecogni[sz]ed|unknown|unsupported) (?!error)\w{1,40}[: ]\s*\S{1,60}\s*\Z",
            "unrecognized unit: furlong",
        ),
        (
            r"(?:the )?<name>(?: <parameter>)? (?:must|should|has to) (?:be|have|contain|not be)\b",
            "limit must be an integer",
        ),
        (r"(?:the )?(?:requested )?<thing>(?: <name>)? (?:does not exist|(?:was )?not found)", "File does not exist."),
        (
            r"(?:the |your )(?:\w+ ){1,3}(?:is|was) (?:incorrect|invalid|wrong|not valid)\b",
            "The password is incorrect.",
        ),
        (r"(?:[\w.]+\(\) - |kernel )?panic: ", "regcomp() - panic: out of stack"),
    ),
    *_rules(
        ErrorCategory.OTHER,
        (
            r"(?:access (?:is )?denied|permission denied|unauthori[sz]ed|forbidden|not authori[sz]ed)\b",
            "Access denied.",
        ),
        (r"authentication (?:failed|required|error)\b", "Authentication required"),
        (
            r"you (?:are|do) not (?:subscribed|authori[sz]ed|have (?:permission|access))\b",
            "You are not subscribed to this.",
        ),
        (
            r"(?!no |nothing |none |0 )(?:.{1,120} )?"
            r"(?:(?:(?:was |were )?not|(?:could |can)(?:not|n't)) (?:be )?found|does(?: not|n't) exist)[.!]?\Z",
            "User not found.",
        ),
        (r"(?:oops|sorry)\b.{0,40}(?:something went wrong|an? (?:\w+ )?error)", "Oops! Something went wrong."),
    ),
)

# What programs run by a shell say, `program: what: complaint`, at the start or at the end of their output.
SHELL = (
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (r"<line>: (?:connection (?:timed out|refused|reset)|network is unreachable)", "ssh: x: Connection refused"),
        (
            r"<line>: (?:could not resolve host|temporary failure|cannot allocate memory)",
            "curl: (6) x: Could not resolve host",
        ),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        (r"<no_race>[^\n]{1,600}[:(] ?<errno>\)?\.?\s*(?:\n|\Z)", "ls: cannot access 'x': No such file or directory"),
        (
            r"<line>: (?:-c: )?line \d+: <line>(?:syntax error|unexpected|bad |command not found|unbound "
            r"variable|not found|no such|cannot|error|expected|invalid|required|ambiguous|too many|not a|"
            r"missing|unrecogni[sz]ed|illegal)",
            "bash: -c: line 1: unexpected EOF while looking for matching `''",
        ),
        (
            r"<no_race><program>: (?:[^\n:]{1,200}: |\(\d+\) ){0,2}(?:cannot|can't|could not|couldn't|failed|missing|"
            r"invalid|unrecogni[sz]ed|unknown|unexpected|unable|no such|bad |illegal|option requires|syntax error|"
            r"refusing|too (?:many|few)|paths must|only one instance|extra operand|not (?:a|an|in|enough)\b|runaway|"
            r"error|fatal|requires|you must|you may not|permission|exiting with|command not found|range-endpoints|"
            r"unterminated|"
            r"unmatched|expected|read error|write error|ambiguous|conflicting|connection|the \w+ must|must be|no file|"
            r"no matches|input is|file \d+ is not)",
            "find: missing argument to `-exec'",
        ),
        (r"<program>: <line>(?:is output file|are the same file|not specified)", "cat: x: input file is output file"),
        (r"usage: (?-i:[a-z])\S* |try '[^'\n]{1,80} (?:--help|-h)'", "Try 'od --help' for more information."),
    ),
)

# Exceptions by the name of their class. An exception of another class is judged by its message.
EXCEPTIONS = (
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (r"\w*(?:connect|timeout|memory|ssl(?!ookup)|proxy|network|socket|brokenpipe)", "ConnectionResetError"),
        (r"\w*(?:http|url|retry|retries|ratelimit|unavailable|disconnected)", "HTTPError"),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        (r"(?:value|lookup|key|index|attribute|arithmetic|zerodivision|overflow|assertion)error", "ValueError"),
        (r"(?:unicode\w*|jsondecode|syntax|filenotfound|permission|os|io)error", "UnicodeDecodeError"),
    ),
)

# Which category an error has that is known to be one, by words anywhere in what it says.
REASONS_OF_PARAMETERS = (
    *_rules(
        ErrorCategory.PARAMETER_MISSING,
        (r".*?\bmissing (?!or )(?:\w+ ){0,2}(?:<name> )?<parameter>\b", "Bad Request: missing required parameter 'x'"),
        (
            r".*?\b(?:<parameter>|fields?|value|id|name|address|domain|date|query|<name>) (?:[\w ]{1,40} )?"
            r"(?:is|are|was|must be) (?:missing(?! or)|required\b|provided|not (?:provided|given|set)|specified)",
            "The address to search for is required.",
        ),
    ),
    *_rules(
        ErrorCategory.PARAMETER_HALLUCINATION,
        (r".*?\b(?:unexpected|unknown|unrecogni[sz]ed|extra) (?:\w+ )?<parameter>\b", "Unknown query parameter: x"),
    ),
)
REASONS = (
    *REASONS_OF_PARAMETERS,
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (
            r".*?(?:\btimed? ?-?out\b|\bconnection\b|\bnetwork\b|\bssl\b|\bproxy|max retries|\d redirects)",
            "Timeout error...Read timed out.",
        ),
        (r".*?(?:\brate[ -]?limit|too many requests|\bquota\b|try again later)", "You hit the rate limit."),
        (r".*?\bexceeded (?:the |your )?(?:\w+ ){0,3}limit\b", "You have exceeded your daily limit."),
        (
            r".*?(?:temporarily|unavailable|internal server error|bad gateway|out of memory|not working)",
            "It is unavailable.",
        ),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        (r".*?(?:\binvalid\b|\bincorrect|\bwrong\b|malformed|not (?:a )?valid|validation)", "The domain is invalid."),
        (
            r".*?(?:\bmust\b|\bshould be\b|\bexpected\b|\bcannot\b|\bcan't\b|failed to|\bparse|\btype\b)",
            "It must be a number.",
        ),
        (
            r".*?(?:not supported|unsupported|not allowed|bad request|not enough|exceed|out of range)",
            "It is not supported.",
        ),
        (r".*?\btoo (?:large|long|short|many|few|small|big)\b", "The list is too long."),
    ),
)
