"""The categories of Figure 3, and the forms of error messages in each, on which MAE (section 3.1) is based.

A rule describes the form of an error message and never names a tool. Its pattern must match at the start of a
statement, ignoring case; its example is a message of that form. In a pattern, `<name>`, `<tool>` and the like stand
for the expressions in `_PARTS`. Repetitions are bounded, so that every pattern takes linear time.
"""

import enum
import re
from dataclasses import dataclass


class ErrorCategory(enum.Enum):
    """The category of a call's feedback (Figure 3, Table 14). With MAE, only `ALL_RIGHT` calls are trained on."""

    TOOL_HALLUCINATION = "tool hallucination"
    PARAMETER_HALLUCINATION = "parameter hallucination"
    PARAMETER_MISSING = "parameter missing"
    TOOL_CALL_FAILURE = "tool call failure"
    TOOL_INSTABILITY = "tool instability"
    OTHER = "other"
    ALL_RIGHT = "all right"

    @property
    def is_error(self) -> bool:
        """Whether a call of this category is in T_e (section 3.1)."""
        return self is not ErrorCategory.ALL_RIGHT


@dataclass(frozen=True)
class Rule:
    """One form of an error."""

    category: ErrorCategory
    pattern: re.Pattern[str]
    example: str


_PARTS = {
    "name": r"['\"`‘’“”]?[\w.$:@/-]{1,128}['\"`‘’“”]?",
    "function": r"[\w.$:@/<>-]{1,128}\(\)",
    "tool": r"(?:tool|function|action|api|plugin)",
    "thing": r"(?:file|path|directory|url|endpoint|resource|page)",
    "http": r"(?:http(?:/[\d.]+)? ?(?:error )?)?",
    "parameter": r"(?:parameter|param|argument|arg|keyword|field|property|input|key)s?",
    "program": r"(?-i:[a-z/][\w./+-]{0,60})(?: \(\w+\)|\[\d+\])?",
    "line": r"[^\n]{0,300}",
    "stop": r"(?:[.:,;!'\"`]|\Z)",  # ends a sentence or the text
    "checked": r"(?:(?:input|output) validation error: )?",
    "pydantic": r"\d{1,3} validation errors? for [^\n]{1,200}\n[^\n]{1,200}\n\s{0,9}",
    # A process that ends while a command lists /proc is not a failure of the command.
    "no_race": r"(?!.{0,80}/proc/\d)",
    "errno": (
        r"(?:no such (?:file or directory|process|device(?: or address)?)|permission denied|operation not permitted|"
        r"is a directory|not a directory|directory not empty|file exists|input/output error|invalid argument|"
        r"no space left on device|read-only file system|device or resource busy|argument list too long|broken pipe|"
        r"name or service not known|too many open files|not supported|(?:command )?not found)"
    ),
}


def _rules(category: ErrorCategory, *forms: tuple[str, str]) -> tuple[Rule, ...]:
    def expand(pattern: str) -> str:
        return re.sub(r"<(\w+)>", lambda part: _PARTS[part[1]], pattern)

    return tuple(Rule(category, re.compile(expand(pattern), re.I | re.S), example) for pattern, example in forms)


# Errors wherever a tool reports on its own answer.
MESSAGES = (
    *_rules(
        ErrorCategory.TOOL_HALLUCINATION,
        (r"name <name> i[sf] not defined", "name 'google_search' is not defined"),
        (r"(?:`.{0,4000}?`|<name>) is not a valid <tool>\b", "`look_up` is not a valid action."),
        (
            r"(?:no such|unknown|undefined|unrecogni[sz]ed) <tool>(?: name| <name>)?\s*<stop>",
            "No such function name: look_up",
        ),
        (r"(?:there is )?no <tool> (?:is )?(?:named|called)\b", "There is no tool named look_up"),
        (
            r"(?:the )?<tool>(?: (?:name )?<name>)? (?:does not exist|doesn't exists?|(?:was |is )?not found"
            r"(?!\W{1,3}instead\b))",  # what finds something else in its place has answered
            "API doesn't exists",
        ),
    ),
    *_rules(
        ErrorCategory.PARAMETER_HALLUCINATION,
        (r"(?:<function> )?got (?:an|some) unexpected keyword", "f() got an unexpected keyword argument 'x'"),
        # Of jsonschema and pydantic, as servers of MCP give them.
        (
            r"<checked>additional properties are not allowed\b",
            "Additional properties are not allowed ('x' was unexpected)",
        ),
        (
            r"<pydantic>(?:unexpected keyword|extra inputs are not permitted)",
            "1 validation error for f\nx\n  Unexpected keyword argument",
        ),
    ),
    *_rules(
        ErrorCategory.PARAMETER_MISSING,
        (r"<function> missing \d{1,3} required ", "f() missing 1 required positional argument: 'x'"),
        (
            r"missing (?:\d{1,3} |a |an |the )?required (?:(?:positional|keyword-only) )?<parameter>",
            'Missing required parameters: "x", "y".',
        ),
        (r"<checked><name> is a required property\b", "Input validation error: 'x' is a required property"),
        (
            r"<pydantic>(?:field required|missing required argument)",
            "1 validation error for f\nx\n  Field required [type=missing]",
        ),
    ),
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        # Messages of Python's HTTP clients.
        (r"(?:https?)?connection(?:pool)?\(|\('connection |max retries exceeded", "HTTPSConnectionPool(host='x.org')"),
        (r"<urlopen error|\[errno -\d|\[ssl:|\[winerror", "[Errno -2] Name or service not known"),
        (r"\d{3} (?:client|server) error: ", "400 Client Error: Bad Request for url: https://x.org/"),
        (r"(?:client|server) error '\d{3}\b", "Client error '404 Not Found' for url 'https://x.org/'"),
        (r"request failed with status code \d{3}\b", "Request failed with status code 404"),
        (r"\[errno (?:12|32|10\d|11[0-3])\]", "[Errno 111] Connection refused"),
        (r"<http>(?:429|5(?!01)\d\d):?,? (?:[a-z]+ ){0,3}(?:error|gateway|unavailable|requests)\b", "502 Bad Gateway"),
        (r"invalid api call\b", "Invalid API call. Currency codes might be invalid."),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        # Messages of Python's TypeErrors.
        (r"['\"‘’]?[<>=!+*/%&|^-]{1,3}['\"‘’]? not supported between", "'<=' not supported between instances of"),
        (r"(?:bad operand|unsupported operand) type|unsupported type for|unhashable type", "unhashable type: 'list'"),
        (r"object of type .{1,60} (?:is not json seriali[sz]able|has no len)", "object of type 'int' has no len()"),
        (r"(?:\w+ ){0,2}'[\w. ]{1,60}' object (?:is not|has no|can|does)", "'int' object is not callable"),
        (r"cannot unpack non-iterable|argument of type|not all arguments", "argument of type 'int' is not iterable"),
        (r"can't (?:multiply|compare)|can only concatenate|must be (?:real number|str)\b", "can't compare int to str"),
        (r"<function> (?:takes|missing|argument|expected|got|requires|keywords)\b", "f() takes 1 positional argument"),
        # Of its ValueErrors, IndexErrors and NameErrors.
        (r"(?:\w+ ){1,2}(?:indices must be|index out of range|assignment index)", "slice indices must be integers"),
        (r"could not convert string|invalid literal for|invalid isoformat", "invalid literal for int() with base 10"),
        (r"time data .{1,80} does not match|unconverted data remains", "time data 'x' does not match format '%Y'"),
        (r"(?:day|month|year|hour|minute|second) (?:\w+ ){0,3}out of range", "day is out of range for month"),
        (r"(?:\w+ ){0,2}division (?:or modulo )?by zero\.?\s*\Z|math domain error", "float division by zero"),
        (r"(?:too many|not enough) values to unpack|pop from (?:an )?empty", "pop from empty list"),
        (r"expecting (?:value|property name|'[,:]' delimiter)|extra data: line", "Expecting value: line 1 column 1"),
        (r"(?:cannot access )?(?:local|free) variable .{1,80} (?:referenced|where)", "local variable 'x' referenced"),
        (r"(?:input|output) validation error: \S|\d{1,3} validation errors? for \S", "1 validation error for f"),
        # Of other programs.
        (r"invalid json\b|.{0,40}\bnot (?:a )?valid json\b", "Invalid JSON format."),
        (r"<http>4\d\d:?,? (?:bad request|not found|method not allowed|unprocessable|conflict)\b", "404 Not Found"),
        (
            r"your (?:proposed )?edit has introduced (?:new )?syntax error",
            "Your proposed edit has introduced new syntax errors.",
        ),
        (r"command .{1,400} (?:returned non-zero exit status|died with <?signal)", "Command 'x' died with <Signals>."),
        (r"(?:<parameter> type|response|validation|parse|syntax) error\s*<stop>|\[errno \d+\]", "Response error."),
    ),
    *_rules(
        ErrorCategory.OTHER,
        (
            r"<http>(?:401|402|403|407|451):?,? (?:unauthori[sz]ed|payment required|forbidden|proxy authentication|"
            r"unavailable for legal)\b",
            "HTTP Error 403: Forbidden",
        ),
    ),
)

# Errors only where one line is the whole answer.
ALONE = (
    *_rules(
        ErrorCategory.PARAMETER_HALLUCINATION,
        (r"(?:unexpected|unknown|unrecogni[sz]ed|extra) <parameter>\b", "Unknown parameter: 'x'"),
    ),
    *_rules(
        ErrorCategory.PARAMETER_MISSING,
        (r"missing (?:\w{1,40} )?<parameter>\b", "Missing parameter: x"),
        (
            r"(?:the )?(?:required )?(?:<parameter> )?<name>(?: <parameter>)? (?:is|was) (?:missing|required\b)",
            "The field x is missing.",
        ),
        (
            r"please (?:specify|provide|give|enter) (?:a|an|the|your) \w{1,40} and try again",
            "Please give a day and try again",
        ),
    ),
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (r"connection (?:was |is |has been )?(?:refused|reset|aborted|broken|closed|failed|lost)", "Connection lost"),
        (r"(?:cannot|unable to|could not|failed to) (?:connect|reach|resolve|allocate)\b", "Failed to connect to x"),
        (r"(?:the )?(?:[\w()'-]+ ){0,5}?(?:timed[ -]?out|out of memory|memory limit)", "Command timed out"),
        (r"(?:\w+ ){0,3}(?:did not|didn't) (?:answer|respond|return) within\b", "The tool did not answer within 5 s"),
        (r".{0,60}?\b(?:too many requests|quota exceeded|(?:rate limit|call frequency) is \d)", "Too many requests"),
        (r".{0,60}?\b(?:exceeded|reached) (?:the |your )?(?:\w+ ){0,3}(?:limit|quota)\b", "You exceeded your quota"),
        (
            r"(?:the )?(?:\w+ ){0,3}(?:internal server error|bad gateway|(?:gateway )?time-?out|connection error|"
            r"rate limit exceeded|(?:service (?:is )?|temporarily )unavailable|network is unreachable)\s*<stop>",
            "Internal Server Error",
        ),
        (r"(?:the )?(?:<tool>|server|service) (?:is )?(?:not working|down|unavailable)\b", "API not working"),
        (r"killed\s*\Z|(?:\w+ ){0,4}(?:killed by|terminated by|terminated with) signal", "worker killed by signal 9"),
        (r"(?:please )?(?:try|retry) again(?: later| in .{1,30})?[.! ]*\Z", "Please try again."),
        (r"(?:oops\W{1,3})?(?:sorry\W{1,3})?something went wrong\b", "Something went wrong."),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        (r"'[^']{1,80}'\Z", "'related_searches'"),
        (
            r"(?:(?:api|call|command|execution|operation|query|request|tool) ){0,2}fail(?:ed|ure): ?[^\W\d]",
            "Execution failed: no such order",
        ),
        (r"(?:invalid|malformed|illegal) \w|bad request\b|failed to ", "Invalid URL 'x': No scheme supplied."),
        (r"(?:unrecogni[sz]ed|unknown|unsupported) (?!error)\w{1,40}[: ]\s*\S{1,60}\s*\Z", "unknown unit: furlong"),
        (
            r"(?:the )?<name>(?: <parameter>)? (?:must|should|has to) (?:be|have|contain|not be)\b",
            "limit must be an integer",
        ),
        (r"(?:the )?(?:requested )?<thing>(?: <name>)? (?:does not exist|(?:was )?not found)", "File does not exist."),
        (r"(?:the |your )(?:\w+ ){1,3}(?:is|was) (?:incorrect|invalid|wrong|not valid)\b", "The key is incorrect."),
        (r"(?:[\w.]+\(\) - |kernel )?panic: ", "regcomp() - panic: out of stack"),
    ),
    *_rules(
        ErrorCategory.OTHER,
        (r"(?:access (?:is )?denied|permission denied|unauthori[sz]ed|forbidden)\b", "Access denied."),
        (r"authentication (?:failed|required|error)\b|you are not (?:subscribed|allowed)", "Authentication failed"),
        (
            r"(?!no |nothing |none |0 )(?:.{1,120} )?"
            r"(?:(?:(?:was |were )?not|(?:could |can)(?:not|n't)) (?:be )?found|does(?: not|n't) exist)[.!]?\Z",
            "User not found.",
        ),
    ),
)

# Complaints of programs run by a shell, `program: what: complaint`, at the start or the end of their output.
SHELL = (
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (
            r"<line>: (?:\(\d{1,2}\) )?(?:(?:connection|operation) (?:timed out|refused|reset)|network is unreachable)",
            "curl: (28) Connection timed out after 5001 milliseconds",
        ),
        (
            r"<line>: (?:\(\d{1,2}\) )?(?:could not resolve host|temporary failure)",
            "curl: (6) Could not resolve host: x.org",
        ),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        (r"<no_race>[^\n]{1,600}[:(] ?<errno>\)?\.?\s*(?:\n|\Z)", "ls: cannot access 'x': No such file or directory"),
        (
            r"<line>: (?:-c: )?line \d+: <line>(?:error|unexpected|expected|not found|no such|cannot|invalid|ambiguous|"
            r"unbound variable)",
            "bash: -c: line 1: unexpected EOF while looking for matching `''",
        ),
        (
            r"<no_race><program>: (?:[^\n:]{1,200}: |\(\d+\) ){0,2}(?:cannot|can't|could not|failed|missing|invalid|"
            r"unrecogni[sz]ed|unknown|unexpected|unable|no such|bad |illegal|option requires|refusing|paths must|"
            r"too (?:many|few)|only one instance|extra operand|not (?:a|an|in|enough)\b|runaway|error|fatal|you must|"
            r"you may not|permission|exiting with|range-endpoints)",
            "find: missing argument to `-exec'",
        ),
        (r"[a-z]{0,2}make(?:\[\d+\])?: \*\*\* |npm err(?:!|or) ", "make: *** [all] Error 2"),
        (r"<program>: <line>(?:is output file|are the same file|not specified)", "cat: x: input file is output file"),
        (r"usage: (?-i:[a-z])\S* |try '[^'\n]{1,80} (?:--help|-h)'", "Try 'od --help' for more information."),
    ),
)

# Exceptions by the name of their class. One of another class, such as OSError, is classified by its message.
EXCEPTIONS = (
    *_rules(
        ErrorCategory.TOOL_INSTABILITY,
        (r"\w*(?:connect|timeout|memory|ssl(?!ookup)|proxy|network|socket|brokenpipe)", "ConnectionResetError"),
        (r"\w*(?:http|url|retry|retries|ratelimit|unavailable|disconnected)", "HTTPError"),
    ),
    *_rules(
        ErrorCategory.TOOL_CALL_FAILURE,
        (r"(?:value|lookup|key|index|attribute|arithmetic|zerodivision|overflow|assertion)error", "ValueError"),
        (r"(?:unicode\w*|jsondecode|syntax|filenotfound|permission)error", "UnicodeDecodeError"),
    ),
)

# The category of a statement already known to be an error, from words anywhere in it.
REASONS_OF_PARAMETERS = (
    *_rules(
        ErrorCategory.PARAMETER_MISSING,
        (r".*?\bmissing (?!or )(?:\w+ ){0,2}(?:<name> )?<parameter>\b", "Bad Request: missing required parameter 'x'"),
        (r".*?\bfield required\b", "Field required"),
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
            "Read timed out.",
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
