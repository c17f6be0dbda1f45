"""Calls written in Python: read from the syntax tree, never evaluated."""

import ast
import operator
import re
import warnings
from collections.abc import Sequence

from tl.calls import JSON, MAX_DIGITS, Call, CallSyntaxError, parse_call
from tl.forms.values import fail, named_call
from tl.schema import ToolSpec

_RAVEN = re.compile(r"(?:Call|Initial Answer):\s*(.*?)(?:<bot_end>|\n(?:Thought|Reflection):|\Z)", re.DOTALL)
_NAME = re.compile(r"\w+(\.\w+)*")
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_JSON_WORDS = {"true": True, "false": False, "null": None}
_TOO_LARGE = 10**MAX_DIGITS


def read_python_calls(text: str, tools: Sequence[ToolSpec] = ()) -> list[Call]:
    """Calls in the form "python" of `read_calls`. Arguments are constants, or arithmetic on numbers.

    Raises CallSyntaxError.
    """
    if found := _RAVEN.match(text):
        text = found[1].strip()
    try:
        return [parse_call(text)]
    except CallSyntaxError as error:
        first_error = error
    try:
        return [parse_call(line) for line in text.splitlines() if line.strip()]
    except CallSyntaxError:
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unknown escapes
            statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise first_error from None
    return [call for statement in statements for call in _calls_of_node(statement, tools)]


def _calls_of_node(node: ast.AST, tools: Sequence[ToolSpec]) -> list[Call]:
    if isinstance(node, ast.Expr):
        return _calls_of_node(node.value, tools)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [call for element in node.elts for call in _calls_of_node(element, tools)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):  # ['f(x=1)']
        return [parse_call(node.value)]
    if not isinstance(node, ast.Call):
        fail("text that is not a call")
    name = ast.unparse(node.func)
    if not _NAME.fullmatch(name):
        fail("the name of a tool expected")
    declared = next((list(tool.parameters) for tool in tools if tool.name == name), [])
    if len(node.args) > len(declared):
        fail("a positional argument for which no parameter is declared")
    arguments = {key: _constant(value) for key, value in zip(declared, node.args, strict=False)}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            fail("starred arguments, or a keyword given twice")
        arguments[keyword.arg] = _constant(keyword.value)
    return [named_call(name, arguments)]


def _constant(node: ast.AST) -> JSON:
    """The value of a literal, or of arithmetic on numbers such as 1/6."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
        return node.value
    if isinstance(node, ast.Name) and node.id in _JSON_WORDS:
        return _JSON_WORDS[node.id]
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_constant(element) for element in node.elts]
    if isinstance(node, ast.Dict):
        return {_key(key): _constant(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _number(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        try:
            return _OPERATORS[type(node.op)](_number(node.left), _number(node.right))
        except ArithmeticError as error:
            fail(str(error))
    return fail("an argument that is not a literal")


def _key(node: ast.AST | None) -> str:
    key = _constant(node) if node is not None else None
    return key if isinstance(key, str) else fail("a key that is not a string")


def _number(node: ast.AST) -> int | float:
    """An operand. Its number of digits is bounded, so that a long product takes linear time."""
    value = _constant(node)
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) >= _TOO_LARGE:
        fail(f"a number of at most {MAX_DIGITS} digits expected")
    return value
