"""The text of a call: what is read, what is refused and where, and that what is written reads back."""

import ast
import gzip
import json
import random
import time

import pytest
from growth import seconds

from tl.calls import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_LENGTH,
    Call,
    CallSyntaxError,
    format_call,
    format_name,
    parse_call,
    parse_literal,
    same_value,
)

# ---- reading


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("f()", "f", {}),
        ("  f ( )\n", "f", {}),
        ("f(a=1,)", "f", {"a": 1}),
        ('search(query="a cat", limit=3)', "search", {"query": "a cat", "limit": 3}),
        ("f(\n  a = 1,\n  b = 2\n)", "f", {"a": 1, "b": 2}),
        ("preferred-routes_get(id=1)", "preferred-routes_get", {"id": 1}),
        ("api.v2.search()", "api.v2.search", {}),
        ("2v_get()", "2v_get", {}),
        ("getÄpfel(größe=1)", "getÄpfel", {"größe": 1}),
        ('f(from="x", class="y", None=1, true=2)', "f", {"from": "x", "class": "y", "None": 1, "true": 2}),
        ("f(code:=1, :edoc=2)", "f", {"code:": 1, ":edoc": 2}),
        ("f(X-Api-Key=1, $top=2, @type=3, a/b=4, 0=5)", "f", {"X-Api-Key": 1, "$top": 2, "@type": 3, "a/b": 4, "0": 5}),
        ('f("page[size]"=1, \'a=b\'=2, ""=3)', "f", {"page[size]": 1, "a=b": 2, "": 3}),
        ('"get weather (new)"(a=1)', "get weather (new)", {"a": 1}),
    ],
)
def test_names_keywords_and_spacing(text, name, arguments):
    assert parse_call(text) == Call(name, arguments)


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("true", True),
        ("True", True),
        ("false", False),
        ("False", False),
        ("null", None),
        ("None", None),
        ("0", 0),
        ("-0", 0),
        ("+7", 7),
        ("-12", -12),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e-3", -0.0005),
        ("1e5", 100000.0),
        ("2E+3", 2000.0),
        ("9" * 300, int("9" * 300)),
        ('""', ""),
        ("''", ""),
        ('"it\'s"', "it's"),
        ("'say \"hi\"'", 'say "hi"'),
        ('"a)b(c,d=e]{}#"', "a)b(c,d=e]{}#"),
        ('"tab\there, nul\0there"', "tab\there, nul\0there"),
        (r'"\"\'\\\/\b\f\n\r\t\a\v"', "\"'\\/\b\f\n\r\t\a\v"),
        (r'"\x41\u00e9\U0001F600\0\101\18"', "Aé😀\0A\x018"),
        (r'"\ud83d\ude00"', "😀"),
        ("'日本 😀'", "日本 😀"),
        ("[]", []),
        ("[1, [2, [3,],],]", [1, [2, [3]]]),
        ("()", []),
        ("(1, 'a')", [1, "a"]),
        ("(1,)", [1]),
        ("(1)", 1),
        ("((1))", 1),
        ("{}", {}),
        ("{'a': {\"b\": [None, true]},}", {"a": {"b": [None, True]}}),
        ('{"": 0}', {"": 0}),
    ],
)
def test_json_and_python_literals(literal, value):
    argument = parse_call(f"f(a={literal})").arguments["a"]
    assert (argument, type(argument)) == (value, type(value))
    assert parse_literal(f" {literal} ") == value


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "name of a tool"),
        ("   ", 3, "name of a tool"),
        ("(a=1)", 0, "name of a tool"),
        ("f", 1, "'(' expected"),
        ("a tool", 2, "'(' expected"),
        ("f{a=1}", 1, "'(' expected"),
        ("f(", 2, "keyword"),
        ("f(a", 2, "positional"),
        ("f(a=", 4, "ends where a value"),
        ("f(a=1", 5, "ends before ')'"),
        ("f(a=1, ", 7, "keyword"),
        ("f(a=[1, 2", 9, "ends before ']'"),
        ("f(,)", 2, "keyword"),
        ("f(a=1,,)", 6, "keyword"),
        ("f(a=1 b=2)", 6, "',' or ')'"),
        ("f(a=1; b=2)", 5, "',' or ')'"),
        # arguments that are not key=value
        ("f(1)", 2, "positional"),
        ('f("x")', 2, "positional"),
        ("f([1])", 2, "positional"),
        ('f({"a": 1})', 2, "positional"),
        ("f(a=1, 2)", 7, "positional"),
        ("f(*a)", 2, "starred"),
        ("f(a=1, **b)", 7, "starred"),
        ("f(a=1, a=2)", 7, "twice"),
        ('f(a=1, "a"=2)', 7, "twice"),
        # more than a call
        ("f(a=1) g(b=2)", 7, "text after"),
        ("f()()", 3, "text after"),
        ("f().x", 3, "text after"),
        ("f(a=1)\nf(a=1)", 7, "text after"),
        ("Call: f(a=1)", 6, "'(' expected"),
        ("[f(a=1)]", 0, "name of a tool"),
        ("```f()```", 0, "name of a tool"),
        # values that are not literals
        ("f(a=NaN)", 4, "NaN is not a literal"),
        ("f(a=-Infinity)", 4, "a value expected"),
        ("f(a=inf)", 4, "inf is not a literal"),
        ("f(a=1e999)", 4, "out of range"),
        ("f(a=g(1))", 4, "g is not a literal"),
        ("f(a=b)", 4, "b is not a literal"),
        ("f(a=1/6)", 5, "',' or ')'"),
        ("f(a=1 + 2)", 6, "',' or ')'"),
        ("f(a==1)", 4, "a value expected"),
        ("f(a=TRUE)", 4, "TRUE is not a literal"),
        ("f(a=Truee)", 4, "Truee is not a literal"),
        ("f(a=-)", 4, "a value expected"),
        ("f(a=--1)", 4, "a value expected"),
        ("f(a=007)", 5, "',' or ')'"),
        ("f(a=1_000)", 5, "',' or ')'"),
        ("f(a=0x1F)", 5, "',' or ')'"),
        ("f(a=1.2.3)", 7, "',' or ')'"),
        ("f(a=1e)", 5, "',' or ')'"),
        ("f(a=١)", 4, "a value expected"),  # a digit, but not an ASCII one
        ("f(a={1, 2})", 5, "a string expected as key"),
        ("f(a={1: 2})", 5, "a string expected as key"),
        ("f(a={b: 2})", 5, "a string expected as key"),
        ('f(a={"b"})', 8, "':' expected"),
        ('f(a={"b": 1, "b": 1})', 13, "same key twice"),
        ("f(a=[1 2])", 7, "',' or ']'"),
        ("f(a=[1)", 6, "',' or ']'"),
        ("f(a=[,])", 5, "a value expected"),
        # strings
        ('f(a="x)', 4, "a string without end"),
        ('f(a="x\\', 6, "an escape without end"),
        ('f(a="x\ny")', 6, "a line break in a string"),
        ("f(a='x\ry')", 6, "a line break in a string"),
        ('f(a="""x""")', 6, "',' or ')'"),
        ('f(a="x" "y")', 8, "',' or ')'"),
        ('f(a=b"x")', 4, "b is not a literal"),
        (r'f(a="\d+")', 5, "unknown escape"),
        (r'f(a="\N{DASH}")', 5, "unknown escape"),
        (r'f(a="\u12")', 5, "4 hexadecimal digits"),
        (r'f(a="\u 123")', 5, "4 hexadecimal digits"),
        (r'f(a="\U00110000")', 5, "beyond Unicode"),
        (r'f(a="x\ud83d")', 6, "lone surrogate"),
        (r'f(a="\ude00\ud83d")', 5, "lone surrogate"),
        (r'f(a="\ud83d\u0041")', 5, "lone surrogate"),
        ('f(a="\ud83d")', 5, "lone surrogate"),
        ("f(a='\x00", 4, "a string without end"),
    ],
)
def test_anything_else_is_an_error_that_says_where(text, position, message):
    with pytest.raises(CallSyntaxError) as caught:
        parse_call(text)
    assert message in caught.value.message
    assert caught.value.position == position
    assert str(position) in str(caught.value)


@pytest.mark.parametrize("text", ["", "1 2", "[1", "f(a=1)", "{'a': 1} x", "NaN"])
def test_a_literal_alone_must_be_exactly_one(text):
    with pytest.raises(CallSyntaxError):
        parse_literal(text)


# ---- caps


def test_depth_is_capped():
    deep = "f(a=" + "[" * MAX_DEPTH + "]" * MAX_DEPTH + ")"
    assert format_call(parse_call(deep)) == deep
    with pytest.raises(CallSyntaxError, match="nested deeper"):
        parse_call("f(a=" + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1) + ")")
    for opener in ("[", "(", '{"a":', "[{'a':("):
        with pytest.raises(CallSyntaxError, match="nested deeper"):
            parse_call("f(a=" + opener * 100_000)


def test_digits_are_capped():
    assert parse_call(f"f(a={'9' * MAX_DIGITS})").arguments["a"] == int("9" * MAX_DIGITS)
    for digits in (
        "9" * (MAX_DIGITS + 1),
        "9" * 100_000,
        "1." + "0" * 100_000,
        "-" + "9" * 100_000,
        "1e" + "9" * 9_000,
    ):
        with pytest.raises(CallSyntaxError):
            parse_call(f"f(a={digits})")


def test_length_is_capped_and_a_long_text_is_refused_at_once():
    text = 'f(a="' + "x" * (MAX_LENGTH - 7) + '")'
    assert len(text) == MAX_LENGTH
    assert format_call(parse_call(text)) == text
    start = time.process_time()
    for unit in ("x", "[", '"', "\\", "\n", "f(", "\ud800", "😀"):
        with pytest.raises(CallSyntaxError, match="longer than"):
            parse_call(unit * (5_000_000 // len(unit)))
    assert time.process_time() - start < 8 * 0.1


@pytest.mark.parametrize(
    "unit",
    ["x", " ", "\\n", "\\u00e9", "é", '", b{}="', '" ,"', "', "],
    ids=["plain", "spaces", "escapes", "code points", "accents", "keywords", "positional", "apostrophes"],
)
def test_time_is_linear_in_the_length(unit):
    def taken(n: int) -> float:
        text = f'f(a="{"".join(unit.format(i) if "{}" in unit else unit for i in range(n // len(unit)))}")'
        return seconds(parse_call, text, CallSyntaxError)

    assert taken(200_000) < 20 * taken(25_000) + 0.002  # of eight times the length; quadratic would be 64 times


# ---- writing


def test_a_call_is_written_on_one_line_with_json_literals():
    call = Call("api.v2.search", {"from": "a\nb", "code:": [True, None, 1.5], "n": {"é": "☃"}, "a b": -3})
    assert format_call(call) == 'api.v2.search(from="a\\nb", code:=[true, null, 1.5], n={"é": "☃"}, "a b"=-3)'


def test_every_kind_of_line_end_is_escaped():
    call = Call("f", {"a": "x\n\r\x0b\x0c\x1c\x85\u2028\u2029y", "\u2028": 1})
    assert len(format_call(call).splitlines()) == 1
    assert parse_call(format_call(call)) == call


@pytest.mark.parametrize(
    ("name", "written"),
    [("from", "from"), ("code:", "code:"), ("a-b.c", "a-b.c"), ("a b", '"a b"'), ("a=b", '"a=b"'), ("", '""')],
)
def test_a_name_is_quoted_only_where_it_must_be(name, written):
    assert format_name(name) == written


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ((1, 2), "tuple"),
        ({1: 2}, "the key 1"),
        ([{"a": {2}}], "set"),
        (b"x", "bytes"),
        ("\ud800", "surrogate"),
        ({"\ud800": 1}, "surrogate"),
        (10**MAX_DIGITS, "digits"),
        ("x" * MAX_LENGTH, "characters"),
        (json.loads("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)), "nested deeper"),
    ],
)
def test_what_would_not_read_back_is_not_written(value, reason):
    with pytest.raises(ValueError, match=reason):
        format_call(Call("f", {"a": value}))


@pytest.mark.parametrize("name", ["\ud800", 3, None])
def test_a_name_that_would_not_read_back_is_not_written(name):
    with pytest.raises(ValueError):
        format_call(Call(name, {}))
    with pytest.raises(ValueError):
        format_call(Call("f", {name: 1}))


# ---- random calls

LETTERS = "ab_1 .-:=()[]{}\"'\\/,*#\n\t\0é日😀\u2028\x7f"


def random_text(rng: random.Random) -> str:
    return "".join(rng.choices(LETTERS, k=rng.randrange(8)))


def random_value(rng: random.Random, depth: int = 0):
    kind = rng.randrange(8 if depth < 3 else 6)
    if kind == 6:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {random_text(rng): random_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return (
        None,
        rng.random() < 0.5,
        rng.randrange(-(10**20), 10**20),
        rng.gauss(0, 1) * 10.0 ** rng.randrange(-300, 300),
        random_text(rng),
        rng.randrange(10),
    )[kind]


def identical(a, b) -> bool:
    """Equal, and with the same types at every level: 1, 1.0 and True are different here."""
    return repr(a) == repr(b)


def test_random_calls_read_back_identical():
    rng = random.Random(0)
    for _ in range(5_000):
        call = Call(random_text(rng), {random_text(rng): random_value(rng) for _ in range(rng.randrange(4))})
        assert identical(parse_call(format_call(call)), call)


def test_values_written_by_json_and_by_python_are_read_as_the_same():
    rng = random.Random(1)
    for _ in range(5_000):
        value = random_value(rng)
        indent = rng.choice([None, 2])
        assert identical(parse_literal(json.dumps(value, indent=indent)), value)  # ASCII, with surrogate pairs
        assert identical(parse_literal(repr(value)), value)


def python_reading(text: str):
    """The value that Python's own parser sees in a literal, tuples as lists; None-like failure raises."""

    def plain(value):
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise ValueError("a key that is not a string")
            return {key: plain(item) for key, item in value.items()}
        if value is not None and not isinstance(value, bool | int | float | str):
            raise ValueError("not a JSON type")
        return value

    return plain(ast.literal_eval(text))


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_whatever_is_accepted_without_json_words_means_what_it_means_in_python():
    rng = random.Random(2)
    parts = [
        "1",
        "0",
        "-",
        ".",
        "e",
        ",",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ":",
        "'",
        '"',
        "\\x41",
        "\\0",
        "a",
        " ",
        "None",
    ]
    accepted = 0
    for _ in range(40_000):
        text = "".join(rng.choices(parts, k=rng.randrange(1, 7)))
        try:
            value = parse_literal(text)
        except CallSyntaxError:
            continue
        accepted += 1
        assert identical(python_reading(text.strip()), value), text
    assert accepted > 500


def test_nothing_but_a_syntax_error_comes_out_of_100_000_random_texts():
    rng = random.Random(3)
    parts = [
        *"fab(){}[]=,:.-+*'\"\\#\n\t\0 é😀\ud800\ude00٣",
        "true",
        "None",
        "NaN",
        "1e9",
        "\\u",
        "\\ud83d",
        "\\x",
        "0",
    ]
    valid = ['f(a=1, b="x")', "g(x=[1, {'a': (2,)}], code:=-1.5e3)", '"n n"(k="\\ud83d\\ude00")']
    parsed = 0
    for i in range(100_000):
        if i % 2:
            text = "".join(rng.choices(parts, k=rng.randrange(12)))
        else:
            text = rng.choice(valid)
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice([*parts, ""]) + text[at + rng.randrange(3) :]
        try:
            call = parse_call(text)
        except CallSyntaxError as error:
            assert 0 <= error.position <= len(text)
            continue
        parsed += 1
        assert parse_call(format_call(call)) == call
    assert parsed > 1_000


# ---- equality of values


def test_equality_of_json_values_is_an_equivalence_that_keeps_booleans_apart():
    values = [None, True, False, 0, 1, 1.0, "1", "", [], {}, [1], [1.0], [True], {"a": 1}, {"a": True}, {"b": 1}]
    groups = [(4, 5), (10, 11)]  # 1 and 1.0, [1] and [1.0]; all others differ
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            together = i == j or any(i in group and j in group for group in groups)
            assert same_value(a, b) == together, (a, b)


# ---- real names


def test_every_tool_and_parameter_name_of_the_real_sets_reads_back(shared):
    names = set()

    def collect(node):
        if isinstance(node, dict):
            names.update(node)
            for key, value in node.items():
                if key in ("name", "Action") and isinstance(value, str):
                    names.add(value)
                collect(value)
        elif isinstance(node, list):
            for item in node:
                collect(item)
        elif isinstance(node, str) and "following tools:" in node:
            collect(json.JSONDecoder().raw_decode(node[node.index("[", node.index("following tools:")) :])[0])

    data = shared / "data"
    for path in [*data.glob("rotbench/*/*.gz"), *data.glob("tool[ae]*/*.json*"), *data.glob("bfcl/*/*.jsonl")]:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
        records = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)
        collect(records)
    assert len(names) > 5_000
    assert {"code:", ":edoc", "preferred-routes_get", "return_err_outputpersistent=False"} <= names
    for name in names:
        call = Call(name, {name: name})
        assert parse_call(format_call(call)) == call
