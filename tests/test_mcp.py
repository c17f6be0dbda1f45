"""MCP servers: a real one of the official library, started by the test, well-behaved and not."""

import json
import os
import shlex
import sys
import time
import warnings

import pytest
from toolkits import quiet_executor

from tl.cli.synthesis import main as synthesis
from tl.executor import Cause, Executor, IsolationError, ToolkitError, servers
from tl.executor.driving import drive
from tl.executor.pool import START_SECONDS
from tl.mae import ErrorCategory
from tl.trajectory import Trajectory

pytest.importorskip("mcp")

SERVER = '''
import os, time
from typing import Annotated, Literal
from pydantic import BaseModel, Field
from mcp.server.mcpserver import MCPServer, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import BlobResourceContents, CallToolResult, EmbeddedResource, ResourceLink, TextResourceContents

class Place(BaseModel):
    city: str
    street: str | None = None

WIRE = os.dup(1)  # while a server runs, descriptor 1 leads elsewhere
server = MCPServer("test")
count = 0

@server.tool()
def up(by: Annotated[int, Field(description="How far.")] = 1) -> str:
    """Count up."""
    global count
    count += by
    return str(count)

@server.tool()
def where(place: Place, how: Literal["car", "bus"] = "bus") -> list:
    """Go there."""
    return [f"to {place.city}", "by " + how]

@server.tool()
def fails() -> str:
    """Fail."""
    raise ToolError("the door is locked")

@server.tool()
def picture() -> list:
    """Text and a picture."""
    return ["a dot", Image(data=b"123", format="png")]

@server.tool()
def resources() -> list:
    """A text, a link, a file."""
    return [
        EmbeddedResource(resource=TextResourceContents(uri="file:///a.txt", text="the text")),
        ResourceLink(uri="file:///b.txt", name="b"),
        EmbeddedResource(resource=BlobResourceContents(uri="file:///c.bin", blob="AAAA")),
    ]

@server.tool()
def structure() -> CallToolResult:
    """No text."""
    return CallToolResult(content=[], structured_content={"city": "Köln"})

@server.tool()
def environment() -> str:
    """Names of variables, and the process."""
    return f"{sorted(os.environ)} {os.getpid()}"

@server.tool()
def misbehave(how: str) -> str:
    """Do what no server should do."""
    if how == "die":
        os._exit(3)
    if how == "hang":
        time.sleep(600)
    if how == "garbage":
        os.write(WIRE, b"no json\\n\\xff\\xfe{]\\n")
    if how == "other ids":
        os.write(WIRE, b'{"jsonrpc": "2.0", "id": 99, "result": {}}\\n{"jsonrpc": "2.0", "id": "x", "result": {}}\\n')
    if how == "huge line":
        os.write(WIRE, b"x" * (1 << 20) + b"\\n")
    if how == "flood":
        while True:
            os.write(WIRE, b"x" * (1 << 16))
    answers = {"no content": '"result": {}', "own error": '"error": {"code": -32000, "message": "the door is locked"}'}
    for number in range(99 if how in answers else 0):  # one of them is the number of this call
        os.write(WIRE, f'{{"jsonrpc": "2.0", "id": {number}, {answers[how]}}}\\n'.encode())
    return "still here"

server.run("stdio")
'''


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    path = tmp_path_factory.mktemp("server") / "server.py"
    path.write_text(SERVER)
    return shlex.join([sys.executable, str(path)])


@pytest.fixture(scope="module")
def executor(command):
    os.environ["SECRET_OF_THE_TRAINER"] = "a-token"
    with Executor(mcp=[command], workers=1, timeout=4, memory=256 << 20) as executor:
        del os.environ["SECRET_OF_THE_TRAINER"]
        yield executor


def test_the_tools_of_a_server_are_listed_with_their_schemas(executor, command):
    results = ["picture", "resources", "structure"]
    assert list(executor.specs) == ["up", "where", "fails", *results, "environment", "misbehave"]
    by = executor.specs["up"].parameters["by"]
    assert (by["type"], by["default"], by["description"]) == ("integer", 1, "How far.")
    where = executor.specs["where"]
    assert where.required == ("place",) and where.parameters["how"]["enum"] == ["car", "bus"]
    place = where.parameters["place"]  # behind a reference, with a union in it
    assert place["properties"]["city"]["type"] == "string" and "anyOf" in place["properties"]["street"]
    assert set(executor.toolkit_of.values()) == {command}


def test_results_are_feedback_and_each_episode_has_a_server_of_its_own(executor):
    with executor.session() as one, executor.session() as other:
        assert [one.run("up()").text, one.run("up(by=5)").text, other.run("up()").text] == ["1", "6", "1"]
        assert one.run('where(place={"city": "Oslo"})').text == "to Oslo\nby bus"
        picture = one.run("picture()")
        assert picture.text == "a dot\n[image image/png]" and picture.cause is Cause.OK
        assert one.run("resources()").text == "the text\nfile:///b.txt\n[resource file:///c.bin]"
        assert one.run("structure()").text == '{"city": "Köln"}'


def test_errors_are_errors(executor):
    with executor.session() as session:
        failed = session.run("fails()")
        assert "the door is locked" in failed.text and failed.category.is_error
        assert session.run('where(place={"street": "x"})').category.is_error  # the server's own check
        assert session.run("up(to=1)").cause is Cause.UNEXPECTED_KEYWORD
        assert session.run("where()").cause is Cause.MISSING_ARGUMENT
        assert session.run("down()").cause is Cause.UNKNOWN_TOOL
        assert session.run("up()").text == "1"


def test_a_server_does_not_get_the_trainers_environment(executor):
    with executor.session() as session:
        assert "SECRET" not in session.run("environment()").text


@pytest.mark.parametrize("how", ["garbage", "other ids", "huge line"])
def test_what_is_no_answer_is_overlooked(how, executor):
    with executor.session() as session:
        assert session.run(f'misbehave(how="{how}")').text == "still here"


def test_an_answer_that_breaks_the_protocol_is_no_failure_of_the_call_and_a_servers_own_error_no_end_of_it(executor):
    with executor.session() as session:
        session.run("up()")
        assert session.run('misbehave(how="no content")').category is ErrorCategory.TOOL_INSTABILITY
        assert session.run('misbehave(how="own error")').text == "MCPError: the door is locked"
        assert session.run("up()").text == "2"


@pytest.mark.parametrize("how", ["die", "hang", "flood"])
def test_a_server_that_dies_hangs_or_floods_is_tool_instability_and_the_next_call_has_a_new_one(how, executor):
    with executor.session() as session:
        session.run("up()")
        assert session.run(f'misbehave(how="{how}")').category is ErrorCategory.TOOL_INSTABILITY
        assert session.run("up()").text == "1"  # calls that reached outside are not repeated


def test_a_server_ends_with_its_episode(executor):
    with executor.session() as session:
        pid = int(session.run("environment()").text.split()[-1])
        os.kill(pid, 0)
    assert ends(pid)


HANGS = '''
import os, pathlib, sys, time

folder = pathlib.Path(sys.argv[1])
(folder / "pid").write_text(str(os.getpid()))
if (folder / "lock").exists():
    time.sleep(300)  # until another process lets go of it

from mcp.server.mcpserver import MCPServer
server = MCPServer("test")

@server.tool()
def die() -> str:
    """Leave a lock behind."""
    (folder / "lock").touch()
    os._exit(3)
server.run("stdio")
'''
EMPTY = "from mcp.server.mcpserver import MCPServer; MCPServer('test').run('stdio')"


@pytest.fixture
def hanging(tmp_path):
    """The command of a server that hangs when it is started again, and the file with its process id."""
    (tmp_path / "server.py").write_text(HANGS)
    return shlex.join([sys.executable, str(tmp_path / "server.py"), str(tmp_path)]), tmp_path / "pid"


def test_a_server_that_hangs_when_it_is_started_again_ends_with_its_session(hanging, monkeypatch):
    command, pid = hanging
    with Executor(mcp=[command], workers=1) as executor, executor.session() as session:
        assert session.run("die()").category is ErrorCategory.TOOL_INSTABILITY
        first = int(pid.read_text())
        monkeypatch.setattr("tl.executor.START_SECONDS", 4.0)
        assert session.run("die()").cause is Cause.INFRASTRUCTURE
        assert int(pid.read_text()) != first and ends(int(pid.read_text()))


def test_a_server_that_lists_no_tools_is_ended_and_told(hanging, monkeypatch):
    command, pid = hanging
    pid.with_name("lock").touch()
    monkeypatch.setattr(servers, "LIST_SECONDS", 3.0)
    with pytest.raises(ToolkitError, match="it did not list its tools within 3 seconds"):
        servers.Servers([command], 1 << 30, lambda command: None)
    assert ends(int(pid.read_text()))
    assert servers.LIST_SECONDS < START_SECONDS


def ends(pid):
    """Whether a process ends within ten seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("nonsense-program --x", "MCP server 'nonsense-program --x' cannot be used: FileNotFoundError"),
        (f"{sys.executable} -c 'print(1)'", "cannot be used"),
        (shlex.join([sys.executable, "-c", "raise OSError('no disk')"]), "; it said: OSError: no disk"),
        (shlex.join([sys.executable, "-c", EMPTY]), "has no tools"),
        (" ", "the command of an MCP server is empty"),
    ],
)
def test_a_server_that_cannot_be_used_is_told(given, problem):
    with pytest.raises(ToolkitError, match=problem):
        Executor(mcp=[given], workers=1)


def test_servers_clash_with_each_other_and_with_isolation(command):
    with pytest.raises(ToolkitError, match="has tools whose names are already taken: .*up"):
        Executor(mcp=[command, command + " x"], workers=1)
    with pytest.raises(IsolationError, match="MCP servers run outside of the isolation"):
        Executor(mcp=[command], workers=1, require_isolation=True)
    with pytest.raises(ToolkitError, match="allow_network is for toolkits"):
        Executor(mcp=[command], workers=1, allow_network=True)


SHELF = '''
"""A shelf."""
import os
books = 3

def sell(count: int) -> int:
    """Sell some."""
    global books
    books -= count
    if books < 0:
        os._exit(1)
    return books

def one_is_left(session, answer) -> bool:
    return session.books == 1 and "1" in answer
'''


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    path = tmp_path_factory.mktemp("shelf") / "shelf.py"
    path.write_text(SHELF)
    return str(path)


@pytest.fixture(scope="module")
def both(shelf, command):
    with quiet_executor(shelf, mcp=[command], workers=1, timeout=4) as executor:
        yield executor


def test_a_file_and_a_server_are_one_episode_in_order_and_each_keeps_its_state(both, command):
    assert list(both.specs)[:3] == ["sell", "up", "where"]
    assert set(both.toolkit_of.values()) == {"shelf", command} and both.checks == {"one_is_left": "shelf"}
    with both.session() as one, both.session() as other:
        calls = ["up()", "sell(count=2)", "up(by=2)", "sell(count=0)"]
        assert [one.run(call).text for call in calls] == ["1", "1", "3", "1"]
        assert [other.run(call).text for call in calls[:2]] == ["1", "1"]
        assert one.run("down()").cause is Cause.UNKNOWN_TOOL and one.run("up(").cause is Cause.FORMAT_ERROR
        assert one.run("finish(answer='1')").cause is Cause.OK and one.finished
        assert drive([one.check_steps("one_is_left", "1 is left")])[0].right
        with pytest.raises(RuntimeError, match="the episode has finished"):
            one.run("up()")


def test_a_file_that_crashes_and_a_server_that_dies_leave_each_other_alone(both):
    with both.session() as session:
        session.run("sell(count=2)")
        session.run("up()")
        assert session.run("sell(count=5)").cause is Cause.WORKER_DIED
        assert session.run("up()").text == "2"
        assert session.run('misbehave(how="die")').category is ErrorCategory.TOOL_INSTABILITY
        assert session.run("up()").text == "1"


def test_an_episode_has_only_the_tools_that_it_names_and_its_server_ends_with_it(both):
    with both.session(tools=["sell", "environment"]) as session:
        assert session.run("up()").cause is Cause.UNKNOWN_TOOL
        pid = int(session.run("environment()").text.split()[-1])
    assert ends(pid)


def test_a_file_and_a_server_with_a_tool_of_the_same_name_are_refused(tmp_path, command):
    path = tmp_path / "lift.py"
    path.write_text("def up() -> int:\n    return 1\n")
    with pytest.raises(ToolkitError, match="has tools whose names are already taken: up"):
        quiet_executor(str(path), mcp=[command], workers=1)


def test_golden_calls_of_a_file_and_a_server_become_one_trajectory(shelf, command, tmp_path, capsys):
    task = {"query": "Sell 2, then count.", "calls": ["sell(count=2)", "up(by=2)"], "answer": "1 is left, counted 2."}
    tasks, out = tmp_path / "tasks.jsonl", tmp_path / "out.jsonl"
    tasks.write_text(json.dumps(task | {"check": "one_is_left"}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert synthesis(["--tools", shelf, "--mcp", command, "--tasks", str(tasks), "--out", str(out)]) == 0
    [trajectory] = map(Trajectory.from_openai, map(json.loads, out.read_text().splitlines()))
    assert [m.content for m in trajectory.messages if m.role == "tool"] == ["1", "2"]
