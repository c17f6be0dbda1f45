"""classify_feedback on feedback of every category and on texts that only look like errors; call_categories."""

import json

import pytest
from growth import seconds

from tl.mae import ErrorCategory, call_categories, classify_feedback, erroneous_calls
from tl.mae import rules as error_rules
from tl.mae.statements import read_loosely
from tl.schema import ToolSpec
from tl.trajectory import Message, Trajectory

TOOL_HALLUCINATION = ErrorCategory.TOOL_HALLUCINATION
PARAMETER_HALLUCINATION = ErrorCategory.PARAMETER_HALLUCINATION
PARAMETER_MISSING = ErrorCategory.PARAMETER_MISSING
FAILURE = ErrorCategory.TOOL_CALL_FAILURE
INSTABILITY = ErrorCategory.TOOL_INSTABILITY
OTHER = ErrorCategory.OTHER
ALL_RIGHT = ErrorCategory.ALL_RIGHT

PAPER = [  # Table 14, with the misprints "if not defined" and typographic quotes as they stand there
    (ALL_RIGHT, '{"slip": {"id": 52, "advice": "Don\'t promise what you can\'t deliver."}}'),
    (INSTABILITY, "HTTPSConnectionPool(host='api.example.org', port=443): Max retries exceeded with url: /v1"),
    (INSTABILITY, "Invalid API call. Currency codes might be invalid."),
    (INSTABILITY, "400 Client Error: Bad Request for url: https://api.example.org/v1"),
    (FAILURE, '{"error": "Response error."}'),
    (FAILURE, "‘<=’ not supported between instances of ‘str’ and ‘int’"),
    (FAILURE, "Object of type bytes is not JSON serializable"),
    (TOOL_HALLUCINATION, "name google_search if not defined"),
    (PARAMETER_HALLUCINATION, "get_news_headlines() got an unexpected keyword argument ‘sortBy’"),
    (PARAMETER_MISSING, "forecast() missing 1 required positional argument: aqi"),
    (OTHER, '{"error": "Recently completed scan for www.mywebsite.com not found"}'),
]

ERRORS = [
    # Python's own messages, with and without the name of the exception.
    (TOOL_HALLUCINATION, "name 'find_train' is not defined"),
    (TOOL_HALLUCINATION, "NameError: name 'find_train' is not defined"),
    (PARAMETER_HALLUCINATION, "TypeError: find_train() got an unexpected keyword argument 'sit'. Did you mean 'seat'?"),
    (PARAMETER_HALLUCINATION, "Trains.find_train() got some unexpected keyword arguments"),
    (PARAMETER_MISSING, "find_train() missing 3 required positional arguments: 'a', 'b', and 'c'"),
    (PARAMETER_MISSING, "TypeError: find_train() missing 1 required keyword-only argument: 'day'"),
    (FAILURE, "find_train() takes 1 positional argument but 2 were given"),
    (FAILURE, "unsupported operand type(s) for +: 'int' and 'str'"),
    (FAILURE, "ValueError: time data 'tomorrow' does not match format '%Y-%m-%d'"),
    (FAILURE, "'NoneType' object is not subscriptable"),
    (FAILURE, "list index out of range"),
    (FAILURE, "KeyError: 'platform'"),
    (FAILURE, "'platform'"),
    (FAILURE, "could not convert string to float: 'ten'"),
    (FAILURE, "Expecting value: line 1 column 1 (char 0)"),
    (FAILURE, 'Traceback (most recent call last):\n  File "t.py", line 3, in <module>\n    f()\nOddity'),
    (INSTABILITY, 'Traceback (most recent call last):\n  File "t.py", line 3, in f\nConnectionResetError: [Errno 104]'),
    (FAILURE, "SyntaxError: expected ')' (at character 17)"),
    (FAILURE, "RuntimeError: the timetable is upside down"),
    (INSTABILITY, "ConnectionError: the server did not answer"),
    (INSTABILITY, "TimeoutError: no answer within 5 s"),
    (INSTABILITY, "requests.exceptions.ReadTimeout: 30 s"),
    (INSTABILITY, "[Errno -2] Name or service not known"),
    (FAILURE, "cannot access local variable 'day' where it is not associated with a value"),
    (FAILURE, "local variable 'day' referenced before assignment"),
    (INSTABILITY, "MemoryError"),
    (TOOL_HALLUCINATION, '{"status": "failed", "message": "Unknown tool: find_trains"}'),
    (OTHER, '{"status": "Failed"}'),
    (OTHER, '{"isError": true, "content": [{"type": "text", "text": "a"}]}'),
    (INSTABILITY, "<urlopen error [Errno -3] Temporary failure in name resolution>"),
    # Words of tools.
    (TOOL_HALLUCINATION, "`find_trains` is not a valid action. The action must be one of ['find_train'].\n"),
    (TOOL_HALLUCINATION, "There is no tool named 'find_trains'."),
    (PARAMETER_MISSING, 'Missing required parameters: "from", "to". Please try once more.'),
    (FAILURE, "Error: only 3 seats are left on train 12"),
    (FAILURE, "Error: station Xanadu not found"),
    (INSTABILITY, "Error: the timetable is temporarily closed"),
    (TOOL_HALLUCINATION, "Error: name 'find_trains' is not defined"),
    (FAILURE, "Error executing find_train: day is out of range"),
    (FAILURE, "An error occurred while the timetable was read."),
    (FAILURE, 'Database error: near "trains": syntax error'),
    (FAILURE, "SQL error: no such table: stations"),
    (FAILURE, "The file does not exist."),
    (FAILURE, "day must be an integer"),
    (FAILURE, "Invalid station code: Q"),
    (INSTABILITY, "The request timed out."),
    (INSTABILITY, "Too many requests, slow down."),
    (INSTABILITY, "Please try again later."),
    (INSTABILITY, "503 Service Unavailable"),
    (OTHER, "Access denied: this key may not read timetables."),
    (OTHER, "Train not found."),
    # Status lines.
    (FAILURE, 'Status Code: 404. Response: {"message": "no such train"}. You may try something else.'),
    (FAILURE, 'Status Code: 400. Response: {"error": {"code": 400, "message": "day is wrong"}}'),
    (PARAMETER_MISSING, 'Status Code: 400. Response: {"error": "Bad Request", "message": "Missing parameter \'day\'"}'),
    (PARAMETER_HALLUCINATION, 'HTTP/1.1 422 {"detail": "unknown parameter: colour"}'),
    (INSTABILITY, "Status Code: 500. Response: Internal Server Error."),
    (INSTABILITY, "Status code: 429"),
    (FAILURE, "Status Code: 501. Response: Not Implemented"),
    (OTHER, 'Status Code: 403. Response: {"message": "not with your plan"}'),
    # Fields of answers.
    (FAILURE, '{"error": "invalid day", "trains": []}'),
    (OTHER, '{"Error": "nothing runs on that day"}'),
    (OTHER, '{"success": false, "message": "no luck today"}'),
    (FAILURE, '{"status": "error", "message": "from and to must differ"}'),
    (FAILURE, '{"code": 404, "message": "no such page"}'),
    (FAILURE, "[{'errors': [{'message': 'limit must not be negative'}]}]"),
    (OTHER, '{"error": true, "trains": null}'),
    (INSTABILITY, '{"message": "You have exceeded the daily limit of your plan"}'),
    # An error nested in an outer success, as text, as an object, cut off.
    (FAILURE, '{"status": "success", "data": {"status_code": 400, "error": "Invalid domain"}}'),
    (FAILURE, '{"error": "", "response": "{\'statusCode\': 400, \'message\': \'bad query\'}"}'),
    (FAILURE, '{"status_code": 200, "response": [{"status_code": 400, "error": "Invalid station", "rank": ""}]}'),
    (FAILURE, "Status Code: 200. Response: {\"result\": {\"error\": \"invalid symbol\"}}"),
    (OTHER, '{"error": "something odd happened", "response": "{\'items\': [{\'title\': \'A very long on...'),
    # Which of an answer's fields report an error, and which of its words say what it is.
    (INSTABILITY, '{"exit_code": 6, "stdout": "done", "stderr": "x\\ncurl: (6) Could not resolve host: x.org\\n"}'),
    (INSTABILITY, '{"command": "curl x.org", "exit_code": 6, "output": "curl: (6) Could not resolve host: x.org\\n"}'),
    (OTHER, '[{"error": "Oslo is closed"}, {}]'),
    (INSTABILITY, '{"response": "Too many requests, slow down."}'),
    (FAILURE, '{"type": "about:blank", "title": "Not Found", "status": 404}'),
    (INSTABILITY, '{"status": 503, "error": "x"}'),
    (INSTABILITY, '{"status": "503", "message": "x"}'),
    (OTHER, '{"status": "failed", "data": []}'),
    (OTHER, '{"error_code": 7, "trains": []}'),
    (OTHER, '{"error_code": "1042", "trains": []}'),
    (OTHER, '{"error": 404, "trains": []}'),
    (OTHER, '{"errors": ["Oslo is closed"]}'),
    (FAILURE, '{"error": "Invalid day", "message": "Sorry"}'),
    (FAILURE, '{"error": {"day": "must be a number"}}'),
    # A text or an answer as a string of JSON; several messages and nothing else; a request told apart from the message.
    (FAILURE, '"Error: only 3 seats are left"'),
    (OTHER, '{"title": "Sorry", "message": "\\nAccess denied."}'),
    (OTHER, "{city} not found."),
    (FAILURE, 'Status Code: 400. Response: {"query": "missing parameter", "message": "day is wrong"}'),
    (FAILURE, 'Status Code: 400. Response: [{"query": "missing parameter", "message": "day is wrong"}]'),
    (PARAMETER_MISSING, "Status Code: 400. Response: Missing required parameter: day"),
    # HTML error pages.
    (INSTABILITY, "<html><head><title>Oops: error 503</title></head></html>"),
    (INSTABILITY, "<html><head><title>\n  Service Unavailable\n</title></head></html>"),
    (OTHER, "<html><head><title>Forbidden</title></head></html>"),
    (OTHER, "<html><head><title>403 Forbidden</title></head><body><h1>Forbidden</h1></body></html>"),
    (INSTABILITY, "<!DOCTYPE html>\n<html lang=en><title>502 Bad Gateway</title>"),
    (FAILURE, '{"error": "", "response": "<html><head><title>Error 404 (Not Found)!!</title></html>"}'),
    # HTTP clients and servers, and the network below them.
    (OTHER, "HTTP Error 403: Forbidden"),
    (OTHER, "401 Unauthorized"),
    (INSTABILITY, "Server error '500 Internal Server Error' for url 'https://x.org/'"),
    (INSTABILITY, "OSError: [Errno 101] Network is unreachable"),
    (INSTABILITY, '{"error": "[Errno 104] Connection reset by peer"}'),
    (FAILURE, "OSError: [Errno 2] No such file or directory: 'a.txt'"),
    (PARAMETER_MISSING, '{"detail": [{"loc": ["query", "x"], "msg": "field required"}]}'),
    (FAILURE, '{"detail": [{"loc": ["x"], "msg": "Input should be an integer"}, {"loc": ["y"], "msg": "too long"}]}'),
    (OTHER, '{"success": "False"}'),
    # At the start of a longer text, and reasons of two kinds.
    (PARAMETER_MISSING, "Missing required parameters: from, to\nGive them as JSON."),
    (INSTABILITY, "HTTP Error 503: Service Unavailable\nnginx"),
    (FAILURE, "Invalid JSON.\n{'day': 1}"),
    (FAILURE, "The request body is not valid JSON.\n{'day': 1}"),
    (FAILURE, "ClassLookupError: no such class"),
    (FAILURE, '{"error": "Your key is missing or invalid"}'),
    (FAILURE, '{"error": "Missing or invalid parameter"}'),
    # Programs run by a shell.
    (FAILURE, "hello\nbash: frobnicate: command not found"),
    (FAILURE, "ls: cannot access '/tmp/x': No such file or directory\n"),
    (FAILURE, "bash: line 1: frobnicate: command not found"),
    (FAILURE, "a.txt\nb.txt\nrm: cannot remove 'c': Permission denied\n"),
    (FAILURE, "}': -c: line 1: unexpected EOF while looking for matching `''\n"),
    (FAILURE, "od: invalid option -- 'n'\nTry 'od --help' for more information.\n"),
    (INSTABILITY, "Command timed out"),
    # Commands that say how they ended.
    (FAILURE, '{"exit_code": 127, "stdout": "", "stderr": "bash: line 1: frobnicate: command not found\\n"}'),
    (FAILURE, '{"exit_code": 1, "stdout": "", "stderr": ""}'),
    (FAILURE, '{"returncode": -11, "output": "half a li"}'),
    (INSTABILITY, '{"exit_code": 6, "stdout": "", "stderr": "curl: (6) x: Could not resolve host: x.org"}'),
    # Several answers, each of which is an error.
    (OTHER, '[{"error": "Oslo is closed"}, {"error": "Rome is closed"}]'),
    (FAILURE, '{"results": [{"error": "Invalid day"}, {"error": "Invalid hour"}]}'),
    (FAILURE, '[{"code": 404, "message": "no such page"}, {"code": 404, "message": "no such page"}]'),
    # Frameworks that run tools: LangChain, smolagents, and servers of MCP (jsonschema, pydantic).
    (TOOL_HALLUCINATION, "find_trains is not a valid tool, try one of [find_train]."),
    (TOOL_HALLUCINATION, "Error: find_trains is not a valid tool, try one of [find_train]."),
    (TOOL_HALLUCINATION, "Unknown tool find_trains, should be instead one of: find_train."),
    (PARAMETER_MISSING, "Input validation error: 'day' is a required property"),
    (PARAMETER_MISSING, "missing 1 required positional argument: 'day'"),
    (PARAMETER_MISSING, "Required parameter day is missing"),
    (PARAMETER_MISSING, "1 validation error for call[find_train]\nday\n  Missing required argument [type=missing]"),
    (PARAMETER_MISSING, "Error executing tool f: 1 validation error for f\nday\n  Field required [type=missing]"),
    (PARAMETER_HALLUCINATION, "1 validation error for f\nseat\n  Unexpected keyword argument [type=unexpected]"),
    (PARAMETER_HALLUCINATION, "Input validation error: Additional properties are not allowed ('seat' was unexpected)"),
    (FAILURE, "Input validation error: 'tomorrow' is not of type 'integer'"),
    (FAILURE, "1 validation error for find_train\nday\n  Input should be a valid integer [type=int_parsing]"),
    # Error in brackets, in a tag or behind a sign.
    (FAILURE, "[ERROR] only 3 seats are left"),
    (FAILURE, "<error>only 3 seats are left</error>"),
    (FAILURE, "<tool_use_error>only 3 seats are left</tool_use_error>"),
    (FAILURE, "❌ Error: only 3 seats are left"),
    (FAILURE, "<?xml version='1.0'?><Error><Code>NoSuchTrain</Code></Error>"),
    (FAILURE, "Failed: no such train"),
    (FAILURE, "Tool execution failed: no such train"),
    (FAILURE, "Tool execution error: no such train"),
    (TOOL_HALLUCINATION, "MCP error -32602: Tool find_trains not found"),
    (FAILURE, "Error code: 400 - {'error': {'message': 'no such train'}}"),
    (FAILURE, 'train 12\nTraceback (most recent call last):\n  File "t.py", line 3, in <module>\nKeyError: 12'),
    (INSTABILITY, "Oops, something went wrong."),
    # A status code beside what the server sent.
    (INSTABILITY, '{"statusCode": 500, "body": "oops"}'),
    (FAILURE, '{"status_code": 404, "response": "<html>"}'),
]  # fmt: skip

NO_ERRORS = [
    "Standard error: 0.3 minutes",
    "System errors: how to read the signals of a station",
    '{"exit_code": 0, "stdout": "", "stderr": "warning: error messages are off"}',
    '{"exit_code": 3, "name": "a door of the station"}',
    '{"return_code": "SUCCESS", "output": "done"}',
    '{"loc": "Oslo", "msg": "It rains."}',
    "403 forbidding peaks of the Alps",
    '[{"city": "Oslo", "error": "it is closed"}, {"city": "Rome", "temperature": 7}]',
    '[{"error": 0.25}, {"error": 0.5}]',
    '[{"error": null, "value": 1}, {"error": "", "value": 2}]',
    "",
    "   \n",
    "[]",
    "{}",
    "0",
    "-12.5",
    "None",
    '"done"',
    "no errors found",
    "No results found for that query.",
    "Finished with 0 errors and 2 warnings.",
    "The margin of error is 3 percentage points.",
    "Error handling in Python rests on exceptions; a ValueError is raised when a value is unfit.",
    "Error analysis: an introduction\nError bars show how sure a measurement is.",
    "Error - a history of mistakes in ten chapters.\nChapter 1: what went wrong",
    "Division by zero is undefined in arithmetic.",
    "String instruments are found in every orchestra; a violin must be tuned.",
    "The coach called a time-out before the final play.",
    "A license is required to fish in these waters.",
    "Unknown field marshals of the war\nA list.",
    "Missing property tax forms can be found at the town hall, and\nnowhere else.",
    "Type error is a term of philosophy.",
    "The method actor is not known for comedies.",
    "Moral panic: a feeling of fear spread among many people",
    "Timeout is a film of 1998.\nIt was shown in 1999.",
    "Errors and residuals: a page of the encyclopedia.",
    "Connection to Wi-Fi networks is described in chapter 4.",
    "Terrorism is the use of violence to spread fear. Researchers disagree on its definition.",
    "Title: Invalid carriages\nSummary: vehicles for disabled people were not defined by law until 1962.\n",
    '{"message": [], "status": "success"}',
    '{"message": "Your order was placed."}',
    '{"error": null}',
    '{"errors": []}',
    '{"error": "", "response": ""}',
    '{"error": "", "response": {"name": "Error Bars", "items": [1, 2]}}',
    '{"error": false, "trains": [{"id": 12}]}',
    '{"error_code": 0, "error_message": null, "data": [1]}',
    '{"status": {"error_code": 0, "error_message": ""}, "data": {"price": 3}}',
    '{"errors": "none", "result": 4}',
    '{"mean": 3.1, "error": 0.02}',
    '{"parameters": {"unit": {"default": "metric", "fallback": "imperial"}}}',
    '{"genres": {"terror": "three films", "mirror": "one"}, "margin_of_error": "3 points"}',
    '{"stdout": "done", "stderr": "1 file copied"}',
    '{"name": "Boeing 747", "code": 404, "title": "A plane"}',
    '{"countries": [{"code": "US"}, {"code": "ER", "name": "Eritrea"}], "total": 500}',
    '{"results": [{"title": "Why does it fail?", "snippet": "Traceback (most recent call last):\\nKeyError: \'x\'"}]}',
    "1. On tracebacks\nTraceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'x'\nSo add one.",
    '[{"log": "ERROR: disk full", "level": "error"}, {"log": "disk replaced", "level": "info"}]',
    '{"id": 3, "status": "failed", "history": ["queued", "failed"]}',
    '{"id": 3, "status": "failed", "reason": "card declined"}',
    '{"title": "Nightly build", "status": "failed"}',
    '{"info": {"id": 3, "amount": 9}, "status": "failed"}',
    '{"status": "failed", "type": "deployment", "description": "nightly"}',
    '{"isError": false, "content": [{"type": "text", "text": "a"}]}',
    "Status Code: 200. Response: {\"response\": \"ok\", \"code\": 200}",
    'Status Code: 200. Response: {"reports": [{"comment": "500 failed logins, error 403"}]}',
    "<html><head><title>500 Days of Summer</title></head></html>",
    "<html><head><title>Fahrenheit 451 - a novel</title></head></html>",
    "<html><head><title>Forbidden Planet (1956)</title></head></html>",
    "<html><head><title>Trains of 1904</title></head><body>Service unavailable on Sundays.</body></html>",
    '[{"error": "Oslo is closed"}, "Rome"]',
    '[{"status": "failed"}, {"status": "failed"}]',
    '{"loc": ["Oslo", "Rome"], "total": 2}',
    '{"job": {"status": "failed"}, "total": 2}',
    '{"job": {"status": "error"}, "total": 2}',
    '{"job": {"ok": false}, "total": 2}',
    '{"success": true, "seats": 3}',
    '{"payment": "failed"}',
    '{"price": 450, "message": "Reserved."}',
    '{"Code": 404, "Title": "A plane"}',
    '{"code": 450, "message": ""}',
    '{"code": "0404", "message": "A train of the north"}',
    '{"status": "off", "message": "The heating of the train"}',
    '{"status": "²²²", "message": "x"}',
    '{"status": 600, "message": "x"}',
    '{"error_code": 200, "seats": 3}',
    '{"mean": "3.1", "error": "0.02"}',
    '{"mean": 7, "error": 3}',
    '{"error": " none ", "seats": 3}',
    '"Error" is what the screen said.',
    'Error bars, in the words of "Tufte"',
    '{"title": "Sorry", "message": "Too many requests, slow down.", "trains": [1]}',
    '{"note": {"title": "Sorry", "message": "Too many requests, slow down."}, "trains": [1]}',
    '{"total": 2, "log": [{"error": "disk full"}, {"error": "disk hot"}]}',
    '{"host": {"log": [{"error": "disk full"}, {"error": "disk hot"}]}, "total": 2}',
    "0 of 12 trains were not found.",
    "Killed in action: a film.",
    "'Owls' is a song.",
    "Try again is what the coach said.",
    "Unknown waters and other stories of the sea.",
    "notes: file exists in two versions",
    "Unknown function keys are ignored by the terminal.",
    "Response error rates by month",
    "./log/app.log\n./log/error.log\n",
    "src/errors.py:12:    raise ValueError('no such file or directory: ' + name)\n",
    "tar: Removing leading `/' from member names\n/etc/hosts\n",
    "find: '/proc/4242': No such file or directory\n17\n",
    "'a' and 'b'\n'c'",
    "[errors] of the past",
    '{"valid": false, "reason": "Invalid day"}',
    '{"found": false, "message": "Train not found"}',
    "In a log:\nTraceback (most recent call last):\n  File \"t.py\"\nKeyError: 12\nThis is a KeyError.",
    "<error>0</error><trains>3</trains>",
    "<error>None</error>",
    "Failed: 0, passed: 12",
    '{"url": "x.org", "status_code": 404, "response_time": 0.3}',
    '{"code": 404, "body": "a room"}',
    "Unknown tool marks on the bronze, said the curator",
]  # fmt: skip


@pytest.mark.parametrize(("category", "text"), PAPER + ERRORS)
def test_an_error_gets_its_category(category, text):
    assert classify_feedback(text) is category


@pytest.mark.parametrize("text", NO_ERRORS)
def test_what_only_talks_of_errors_is_all_right(text):
    assert classify_feedback(text) is ALL_RIGHT


@pytest.mark.parametrize(
    "wrapped",
    [json.dumps, "Status Code: 200. Response: {}".format, lambda s: json.dumps({"response": s})],
    ids=["string", "status line", "field"],
)
def test_answers_inside_answers_are_looked_into_three_levels_deep(wrapped):
    text, found = "Error: only 3 seats are left", []
    for _ in range(5):
        found.append(classify_feedback(text).is_error)
        text = wrapped(text)
    assert found == [True] * 4 + [False]


@pytest.mark.parametrize(
    "rule",
    [*error_rules.MESSAGES, *error_rules.ALONE, *error_rules.SHELL, *error_rules.EXCEPTIONS, *error_rules.REASONS],
    ids=lambda r: r.example,
)
def test_every_rule_of_the_tables_matches_its_example(rule):
    assert rule.pattern.match(rule.example)


@pytest.mark.parametrize(
    "rule", [*error_rules.MESSAGES, *error_rules.ALONE, *error_rules.SHELL], ids=lambda r: r.example
)
def test_the_example_of_a_rule_is_classified_as_the_rule_says(rule):
    assert classify_feedback(rule.example) is rule.category


@pytest.mark.parametrize(
    "of_length",
    [
        lambda n: '{"a": [' + '{"title": "error", "text": "no error: x"}, ' * (n // 43),
        lambda n: "[" * n,
        lambda n: '{"error": ' * (n // 10),
        lambda n: '"' * n,
        lambda n: "`" + "a" * n,
        lambda n: "a: " * (n // 3),
        lambda n: "error " * (n // 6),
        lambda n: "\n" * n + "x",
        lambda n: "x()" * (n // 3),
        lambda n: "{'a': " * (n // 6),
        lambda n: "Missing the the " * (n // 16),
        lambda n: "<html><title " * (n // 13),
        lambda n: "Status Code: 200. Response: " * (n // 28),
        lambda n: "\\" * n,
        lambda n: "{" + ", ".join(f'"key{i}": "value"' for i in range(n // 20)) + "}",
        lambda n: json.dumps(
            {f"a{i}": {f"b{j}": {f"c{k}": 0 for k in range(20)} for j in range(20)} for i in range(n // 4000)}
        ),
        lambda n: json.dumps({f"a{i}": json.dumps({"b": ["x"] * 1000}) for i in range(n // 7000)}),
        lambda n: "ls: x: " + "no such " * (n // 8),
        lambda n: "Error " + "in x " * (n // 5),
        lambda n: "a." * (n // 2),
        lambda n: '{"content": "' + " " * n + 'x"}',
    ],
    ids=lambda of_length: repr(of_length(8000)[:12]),
)
def test_time_is_linear_in_the_length_of_a_feedback(of_length):
    long, short = (seconds(classify_feedback, of_length(n), times=5) for n in (1_000_000, 125_000))
    assert long < 24 * short + 0.005  # of eight times the length; quadratic would be 64 times


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 1, \"b\": [None, True], 'c': 'it\\'s'}", {"a": 1, "b": [None, True], "c": "it's"}),
        ('{"a": {"b": "cut of', {"a": {"b": "cut of"}}),
        ('{"a": 1, "b', {"a": 1}),
        ('{error: "x"}', {"error": "x"}),
        ("{]", {}),
        ("", None),
        ("}", None),
        ('"a", "b"', "a"),
        ("{'a': {'b': 1, 'c': [2]}, 3: 4, 'd", {"a": {"b": 1, "c": [2]}, "3": 4}),
        ('{"a": {"b"}, "c": 1}', {"a": {}, "c": 1}),
        ('{"a": 1}} x', {"a": 1}),
        ('{{"a": 1}: 2}', {}),
        ('{"a": "say \\"x\\"\\n", ', {"a": 'say "x"\n'}),
        ('{"a": ²', {"a": "²"}),
        ('{"a": ' + "9" * 5000, {"a": "9" * 5000}),
    ],
)
def test_a_broken_answer_is_read_as_far_as_it_goes(text, value):
    assert read_loosely(text) == value


def tool(name: str) -> ToolSpec:
    return ToolSpec(name, "", {}, ())


def test_call_categories_look_at_call_tool_list_and_feedback():
    trajectory = Trajectory(
        id="t",
        tools=(tool("find_train"), tool("ask_to_user"), tool("finish")),
        messages=(
            Message("user", "When is the next train?"),
            Message("assistant", "find_train(day=", is_call=True),
            Message("tool", "fine"),
            Message("assistant", "find_trains()", is_call=True),
            Message("tool", "fine"),
            Message("assistant", 'ask_to_user(question="Where to?")', is_call=True),
            Message("tool", "Error: I do not know"),
            Message("assistant", "Let me think."),
            Message("assistant", "find_train()", is_call=True),
            Message("tool", "find_train() missing 1 required positional argument: 'day'"),
            Message("assistant", "find_train(day=1)", is_call=True),
            Message("tool", '{"trains": [], "error": null}'),
            Message("assistant", 'finish(answer="At nine.")', is_call=True),
        ),
    )
    expected = [FAILURE, TOOL_HALLUCINATION, ALL_RIGHT, PARAMETER_MISSING, ALL_RIGHT, ALL_RIGHT]
    assert call_categories(trajectory) == expected
    assert erroneous_calls(trajectory) == [True, True, False, True, False, False]


def test_a_verdict_of_the_data_decides_over_the_words_of_the_feedback():
    answers = [("[7]", True), ("find() missing 1 required positional argument: 'x'", True), ("KeyError: 'x'", False)]
    calls = [Message("assistant", "find()", is_call=True, trained=number != 2) for number in range(3)]
    feedback = [Message("tool", text, failed=failed) for text, failed in answers]
    turns = (message for pair in zip(calls, feedback, strict=True) for message in pair)
    trajectory = Trajectory("t", (ToolSpec("find", "", {}, ()),), (Message("user", "?"), *turns))
    assert call_categories(trajectory) == [FAILURE, PARAMETER_MISSING, ALL_RIGHT]
    assert erroneous_calls(trajectory) == [True, True, True]  # the last one has weight 0 in the data


@pytest.mark.parametrize(
    ("category", "statuses"),
    [
        (ALL_RIGHT, [200, 302, 399]),
        (FAILURE, [400, 404, 422, 501]),
        (OTHER, [401, 402, 403, 407, 451]),
        (INSTABILITY, [408, 425, 429, 500, 502, 599]),
    ],
)
def test_the_status_of_a_server_is_a_refusal_a_fault_or_a_wrong_request(category, statuses):
    for status in statuses:
        assert classify_feedback(f"Status Code: {status}") is category, status
        assert classify_feedback(json.dumps({"status": status, "message": "x"})) is category, status


def test_a_line_of_more_than_300_characters_is_content():
    assert classify_feedback("Invalid value ".ljust(300, "x")) is FAILURE
    assert classify_feedback("Invalid value ".ljust(301, "x")) is ALL_RIGHT


def test_a_question_to_the_user_that_is_no_call_of_the_tool_is_judged_by_its_feedback():
    missing = "ask_to_user() missing 1 required positional argument: 'question'"
    trajectory = Trajectory(
        "t",
        (tool("ask_to_user"),),
        (
            Message("user", "Hello"),
            Message("assistant", "ask_to_user()", is_call=True),
            Message("tool", missing),
            Message("assistant", 'ask_to_user(question="Where to?")', is_call=True),
            Message("tool", missing),  # whatever the user says
        ),
    )
    assert call_categories(trajectory) == [ErrorCategory.PARAMETER_MISSING, ErrorCategory.ALL_RIGHT]


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("<returncode>127</returncode>\n<output>\nbash: fzf: command not found\n</output>", True),
        ("<returncode>0</returncode>\n<output>\nls: x: No such file or directory\n</output>", False),
        ("EXIT CODE: 1\nnothing to see", True),
        ("Exit code: 0\nOutput:\nError: the title of a song", False),
        ("[exit 1] no match", True),
        ("3 files\n[exit 0]", False),
        ("Command exited with code 1.", True),
        ("✓ (exit 0)", False),
        ("error: externally-managed-environment (exit 1)", True),
        ("12 passed\n[The command completed with exit code 0.]\n[Current directory: /work]", False),
        ("1 failed\n[The command completed with exit code 1.]\n[Current directory: /work]", True),
        ("<exit_code>139</exit_code>", True),
        ("<exit-status>0</exit-status>\nfatal: a word", False),
        ("rc=1\nhost unreachable", True),
        ("exit code: -11 (segmentation fault)", True),
        ("Finished with exit code 3 in 0.4s", True),
        ("Test run exited with code 1", True),
        ("The exit code was 1.", True),
        ("Program terminated with non-zero exit code (1)", True),
        ("Command failed with exit code 1: npm test", True),
        ("Script failed: exit code 2", True),
        ("##[error]Process completed with exit code 1.", True),
        ("Command '['false']' returned non-zero exit status 1.", True),
        ("make: *** [Makefile:12: all] Error 2", True),
        ("npm ERR! code ELIFECYCLE\nnpm ERR! Exit status 1", True),
        ('{"output": "1 failed", "metadata": {"exit_code": 1, "seconds": 3}}', True),
        ('{"output": "Error count: 0", "metadata": {"exit_code": 0}}', False),
        ('{"code": 1, "stdout": "", "stderr": ""}', True),
        ('{"code": 1, "name": "Austria", "output": "wine"}', False),
        ("Your proposed edit has introduced new syntax error(s). Read the message.", True),
        ("Function main not found! Instead, here is the decompilation of _start", False),
        ("Function main not found", True),
        ("The exit code 3 is reserved for warnings.", False),
        ("The exit code is 4711; leave by the north door.", False),
        ("Your exit code for the car park: 4821", False),
        ("Exit codes: 0 means success, 1 means failure.", False),
        ("Return code 4 means that a file was not found; return code 0 means success.", False),
        ("A command exits with code 1 if nothing matches, see the manual.", False),
        ("Take exit 1 toward Main Street", False),
        ("It returned 5", False),
        ('{"Code": 1, "Stdout": "", "Stderr": ""}', True),
        ('{"exit_code": 1, "output": null, "stderr": null}', True),
        ("Exit code: 1\nOne.\nTwo.\nThree.", True),
        ('{"output": "2 files", "metadata": {"seconds": 3}}', False),
        ("Process exited with code 255", True),
        ("Process exited with code 256", False),
        ("Process finished with exit code -1073741819 (0xC0000005)", True),
        ("Process exited with code 3221225477", True),
        ("Two tests\nCommand exited with code 1.\nin /work\non x.org", True),
        ("Two tests\nCommand exited with code 1.\nis what they print\nwhere a file\nis missing.", False),
    ],
)
def test_a_stated_exit_code_says_whether_a_command_failed(text, failed):
    assert (classify_feedback(text) is not ALL_RIGHT) == failed


@pytest.mark.parametrize(
    ("category", "text"),
    [
        (INSTABILITY, "1 file\ncurl: (6) Could not resolve host: x.org\n[exit 6]"),
        (INSTABILITY, "<returncode>6</returncode>\n<output>\nx\ncurl: (6) Could not resolve host: x.org\n</output>"),
        (INSTABILITY, "ssh: x.org: Connection refused\nCommand failed with exit code 255: ssh x.org"),
        (INSTABILITY, "wget: x.org: Connection refused (exit 4)"),
        (INSTABILITY, "[exit 7] wget: x.org: Connection refused"),
        (FAILURE, "curl: (6) Could not resolve host: x.org\nls: cannot access 'x'\n[exit 2]"),
    ],
)
def test_a_command_that_failed_has_the_category_of_the_last_line_that_it_printed(category, text):
    assert classify_feedback(text) is category
