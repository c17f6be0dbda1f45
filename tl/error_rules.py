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
    "tool": r"(?:tool|function|action|api|plugin|method|command)",
    "parameter": r"(?:parameter|param|argument|arg|keyword|field|property|input|key)s?",
    "program": r"(?-i:[a-z/][\w./+-]{0,60})(?: \(\w+\)|\[\d+\])?",
    "line": r"[^\n]{0,300}",  # the rest of a line
    "end": r"[^\n]{0,300}\Z",  # nothing follows but the rest of the line
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
        (r"(?:no such|unknown|undefined|unrecogni[sz]ed) <tool>(?: name)?\b", "No such function name: look_up"),
        (r"(?:there is )?no <tool> (?:is )?(?:named|called|found)\b", "There is no tool named look_up"),
        (
            r"(?:the )?<tool>(?: (?:name )?<name>)? is not "
            r"(?:defined|available|found|known|valid)",
            "API x is not defined",
        ),
        (r"(?:the )?<tool>(?: (?:name )?<name>)? is not one of", "Tool look_up is not one of find, list"),
        (r"(?:the )?<tool>(?: (?:name )?<name>)? (?:does not exist|doesn't exists?)", "API doesn't exists"),
        (r"(?:the )?<tool>(?: (?:name )?<name>)? (?:was )?not found", "Function 'look_up' not found"),
    ),
    *_rules(
        ErrorCategory.PARAMETER_HALLUCINATION,
        (r"(?:<function> )?got (?:an|some) unexpected keyword", "f() got an unexpected keyword argument 'x'"),
        (r"<function> takes no (?:keyword )?arguments", "f() takes no arguments"),
        (r"(?:unexpected|unknown|unrecogni[sz]ed|extra) <parameter>\b", "Unknown parameter: 'x'"),
        (r"additional properties are not allowed", "Additional properties are not allowed ('x' was unexpected)"),
    ),
    *_rules(
        ErrorCategory.PARAMETER_MISSING,
        (
            r"(?:<function> )?missing (?:\d{1,3} |a |an |the )?(?:required|mandatory) ",
            "f() missing 1 required positional argument: 'x'",
        ),
        (r"missing (?:\w{1,40} )?<parameter>\b", "Missing parameter: x"),
        (
            r"(?:the )?(?:required|mandatory) <parameter> .{0,120}"
            r"(?:missing|not (?:given|provided|set|found|specified))",
            "Required parameter 'x' was not provided",
        ),
        (
            r"(?:the )?(?:<parameter> <name>|<name> <parameter>|<name>) (?:is|was) "
            r"(?:missing|required\b|a required (?:property|<parameter>))",
            "'x' is a required property",
        ),
        (
            r"please (?:specify|provide|give|enter) (?:a|an|the|your) \w{1,40} and try again",
            "Please specify a day and try again.",
        ),
    ),
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (r"(?:https?)?connection(?:pool)?\(", "HTTPSConnectionPool(host='x.org', port=443): Max retries exceeded"),
        (
            r"\(?['\"]?connection (?:was |is |has been )?"
            r"(?:refused|reset|aborted|broken|closed|timed out|failed|lost)\b",
            "('Connection aborted.', RemoteDisconnected('Remote end closed connection'))",
        ),
        (r"connection error\s*(?:[.:!]|\Z)", "connection error."),
        (r"connection to \S{1,80} (?:refused|failed|timed out|was)", "Connection to x.org timed out."),
        (r"(?:\w+ ){0,3}max retries exceeded", "Max retries exceeded with url: /"),
        (r"\d{3} (?:client|server) error\b", "400 Client Error: Bad Request for url: https://x.org/"),
        (
            r"(?:http(?:/[\d.]+)? ?(?:error )?)?(?:429|5\d\d):?,? "
            r"(?:[a-z]+ ){0,3}(?:error|gateway|unavailable|time-?out|requests)\b",
            "502 Bad Gateway",
        ),
        (r"invalid api call\b", "Invalid API call. Currency codes might be invalid."),
        (
            r"(?:the )?(?:[\w()'-]+ ){0,5}?"
            r"(?:timed[ -]?out|time[ -]?out\b|deadline exceeded|out of memory|memory limit)",
            "Command timed out",
        ),
        (
            r"(?:cannot|unable to|could not|failed to) (?:connect|reach|resolve|allocate|establish)\b",
            "Failed to connect to x.org",
        ),
        (r"(?:\w+ ){0,3}temporary failure in name resolution", "Temporary failure in name resolution"),
        (
            r"(?:\w+ ){0,3}(?:name or service not known|network is unreachable|remote end closed)",
            "Network is unreachable",
        ),
        (r"<urlopen error|\[errno -\d|\[ssl:|\[winerror|ssl(?:error|: )", "[Errno -2] Name or service not known"),
        (r"(?:.{0,60}\b)?too many requests", "Too many requests"),
        (r"(?:.{0,60}\b)?rate[ -]?limit(?:ed| (?:reached|exceeded|hit))", "API rate limit exceeded"),
        (
            r"(?:.{0,60}\b)?(?:exceeded|reached) (?:the |your )?(?:\w+ ){0,3}(?:limit|quota)",
            "You have exceeded your daily quota",
        ),
        (
            r"(?:.{0,60}\b)?(?:quota exceeded|(?:rate limit|call frequency) is \d)",
            "Our rate limit is 25 requests a day.",
        ),
        (r"(?:the )?(?:\w+ ){0,3}(?:internal server error|bad gateway|gateway time-?out)", "Internal Server Error"),
        (
            r"(?:the )?(?:\w+ ){0,3}(?:service (?:is )?unavailable|temporarily unavailable)",
            "Service temporarily unavailable",
        ),
        (r"killed\s*\Z|(?:\w+ ){0,4}(?:killed by|terminated by|terminated with) signal", "worker killed by signal 9"),
        (
            r"(?:<tool>|server|service|worker|endpoint) (?:is )?"
            r"(?:not working|down|crashed|died|overloaded|unreachable)",
            "API not working",
        ),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        # Python: types.
        (
            r"['\"`‘’]?[<>=!+*/%&|^-]{1,3}['\"`‘’]? not supported between",
            "'<=' not supported between instances of 'str' and 'int'",
        ),
        (r"unsupported (?:operand|format|locale|value|type)", "unsupported operand type(s) for +: 'int' and 'str'"),
        (r"object of type .{1,60} is not json seriali[sz]able", "Object of type bytes is not JSON serializable"),
        (
            r"object of type .{1,60} has no len|\w{1,60} object expected|an? \w+ is required",
            "object of type 'int' has no len()",
        ),
        (r"(?:\w+ ){0,2}'[\w. ]{1,60}' object\b", "'NoneType' object is not subscriptable"),
        (r"(?:type|module) (?:object )?'[\w.]{1,80}' has no|cannot unpack", "module 'x' has no attribute 'y'"),
        (
            r"(?:can't|cannot|can only) (?:multiply|concatenate|convert|compare|index|assign|cast)\b",
            "can't multiply sequence",
        ),
        (r"(?:can't|cannot|can only) (?:add|divide|use|interpret|parse|mix)\b", "cannot parse 'x'"),
        (r"could not convert|must be (?:real number|str|int|a )", "could not convert string to float: 'x'"),
        (r"unhashable type|not all arguments converted", "unhashable type: 'list'"),
        (
            r"<function> (?:takes|missing|argument|expected|got|requires|keywords)\b",
            "f() takes 1 positional argument but 2 were given",
        ),
        (
            r"(?:strptime|sequence item|int|float|str|bytes|argument \d+|expected (?:an? )?\w+|'\w+' codec|string)\b"
            r".{0,40} (?:must be|expected|argument|too large|found|got|can't|but got|but \w+ found)",
            "expected str instance, int found",
        ),
        # Python: values and names.
        (r"(?:\w+ ){0,3}(?:indices must be|index out of range|assignment index)", "slice indices must be integers"),
        (r"pop from (?:an )?empty|key not found", "pop from empty list"),
        (
            r"(?:invalid literal|could not|cannot find) for|invalid literal",
            "invalid literal for int() with base 10: 'x'",
        ),
        (r"(?:\w+ )?division (?:or modulo )?by zero|division undefined", "float division by zero"),
        (r"math domain error|(?:math )?range error", "math domain error"),
        (r"too many values to unpack|not enough values to unpack", "not enough values to unpack (expected 2, got 1)"),
        (
            r"time data .{1,80} does(?: not|n't) match|unconverted data remains",
            "time data 'x' does not match format '%Y'",
        ),
        (r"(?:day|month|year|hour|minute|second) .{0,20}(?:is )?out of range", "day is out of range for month"),
        (
            r"invalid isoformat|unknown string format|unknown format code",
            "Unknown format code 'd' for object of type 'str'",
        ),
        (r"expecting (?:value|property name|',' delimiter|':' delimiter)", "Expecting value: line 1 column 1 (char 0)"),
        (r"extra data: line|unterminated string|invalid control character", "Extra data: line 1 column 3 (char 2)"),
        (r"invalid json|.{0,40}\bnot (?:a )?valid json", "Invalid JSON format."),
        (
            r"(?:cannot access )?(?:local|free) variable .{1,80} "
            r"(?:referenced|where it is not|is not assoc)",
            "local variable 'x' referenced before assignment",
        ),
        # Servers and files.
        (
            r"(?:http(?:/[\d.]+)? ?(?:error )?)?4\d\d:?,? "
            r"(?:bad request|not found|method not allowed|unprocessable|gone|conflict)\b",
            "404 Not Found",
        ),
        (
            r"(?:<parameter> type|type|value|validation|syntax|key|index|attribute|response|request|api|parse|parsing|"
            r"format) error\b"
            r"(?! (?:bars?|rates?|analysis|handling|messages?|codes?)\b)",
            "Response error.",
        ),
        (
            r"\[errno \d+\]|(?:the )?(?:requested )?(?:file|path|directory|url|endpoint|resource|page)(?: <name>)? "
            r"(?:does not exist|not found|was not found)",
            "File does not exist.",
        ),
        (
            r"[\w() -]{0,40}\bpanic: |segmentation fault|aborted \(core dumped\)|core dumped|fatal: ",
            "Segmentation fault",
        ),
    ),
)

# What is an error when it is all that the tool says.
ALONE = (
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (r"(?:please )?(?:try|retry) again(?: later| in .{1,30})?[.! ]*\Z", "Please try again."),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        (r"'[^'\n]{1,80}'\Z", "'related_searches'"),
        (r"(?:invalid|malformed|illegal) \w<end>", "Invalid URL 'x': No scheme supplied."),
        (r"bad (?:request|command|input|value)\b<end>", "Bad request: no day"),
        (r"(?:failed|unable) to <end>", "Failed to read the timetable."),
        (
            r"(?:unrecogni[sz]ed|unknown|unsupported) (?!error)\w{1,40}\b[: ]\s*\S{1,60}\s*\Z",
            "unrecognized unit: furlong",
        ),
        (
            r"(?:the )?<name>(?: <parameter>)? (?:must|should|has to) "
            r"(?:be|have|contain|not be)\b<end>",
            "limit must be an integer",
        ),
    ),
    *_rules(
        ErrorCategory.OTHER,
        (
            r"(?:access (?:is )?denied|permission denied|unauthori[sz]ed|forbidden|not authori[sz]ed)\b<end>",
            "Access denied.",
        ),
        (r"authentication (?:failed|required|error)\b<end>", "Authentication required"),
        (
            r"you (?:are|do) not (?:subscribed|authori[sz]ed|have (?:permission|access))\b<end>",
            "You are not subscribed to this API.",
        ),
        (
            r"(?!no |nothing |none |0 )(?:[^\n]{1,120} )?"
            r"(?:(?:(?:was |were )?not|(?:could |can)(?:not|n't)) (?:be )?found|does(?: not|n't) exist)[.!]?\Z",
            "User not found.",
        ),
        (r"(?:oops|sorry)\b[^\n]{0,40}(?:something went wrong|an? (?:\w+ )?error)", "Oops! Something went wrong."),
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
        (r"\w*(?:connect|timeout|memory|ssl|proxy|network|socket|brokenpipe)", "ConnectionResetError"),
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
