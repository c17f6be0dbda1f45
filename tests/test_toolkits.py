"""Toolkits: Python file whose functions, or whose class's methods, are tools, loaded in the executor's processes."""

import json
import os
import socket
import subprocess
import threading
import venv
import warnings
from pathlib import Path

import pytest
from toolkits import quiet_executor

from tl.executor import Cause, Executor, InProcessExecutor, ToolkitError, pool
from tl.executor.driving import drive

FUNCTIONS = '''
"""A shelf of books."""
BOOKS = {"b1": 3}

def stock(book: str) -> int:
    """How many there are.

    Args:
        book: An id.
    """
    return BOOKS[book]

def sell(book: str, count: int = 1) -> dict:
    """Sell some."""
    BOOKS[book] -= count
    return {"left": BOOKS[book]}

def one_is_sold(session, answer) -> bool:
    return session.BOOKS["b1"] == 2 and "2" in answer

def _helper(anything): ...
'''
CLASS = '''
from dataclasses import dataclass

@dataclass
class Row:
    count: int = 0

class CounterError(RuntimeError):
    """Not a tool."""

class _Base:
    def value(self) -> int:
        """What it says."""
        return self.row.count

class _Hidden:
    def method(self): ...

class Counter(_Base):
    def __init__(self, seed: int = 0) -> None:
        self.row = Row(seed)

    def up(self, by: int) -> int:
        """Count."""
        if by < 0:
            raise CounterError("only up")
        self.row.count += by
        return self.row.count

def is_seven(session, answer) -> bool:
    return session.row.count == 7

def breaks(session, answer) -> bool:
    return session.nothing
'''


@pytest.fixture
def start(tmp_path):
    """Starts an executor with files of the given texts, named a.py, b.py, …"""
    started = []

    def start(*texts, **options):
        paths = [tmp_path / f"{'abc'[number]}.py" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        started.append(quiet_executor(*map(str, paths), workers=1, timeout=5, **options))
        return started[-1]

    yield start
    for executor in started:
        executor.close()


def check(session, name, answer):
    return drive([session.check_steps(name, answer)])[0]


def test_the_functions_of_a_file_are_tools_and_its_globals_the_state_of_an_episode(start):
    executor = start(FUNCTIONS)
    assert list(executor.specs) == ["stock", "sell"]
    assert executor.specs["stock"].parameters == {"book": {"type": "string", "description": "An id."}}
    with executor.session() as one, executor.session() as other:
        assert one.run('sell(book="b1")').text == '{"left": 2}'
        assert other.run('stock(book="b1")').text == "3"
        assert one.run('stock(book="b2")').text == "KeyError: 'b2'"
        assert check(one, "one_is_sold", "2 are left").right
        assert not check(one, "one_is_sold", "none").right
        assert not check(other, "one_is_sold", "2 are left").right


def test_the_methods_of_a_class_are_tools_and_its_instance_the_state_of_an_episode(start):
    executor = start(CLASS)
    assert list(executor.specs) == ["value", "up"]
    assert executor.checks == {"is_seven": "a", "breaks": "a"}
    with executor.session(seed=4) as session:
        assert session.run("up(by=3)").text == "7"
        assert session.run("up(by=-1)").text == "CounterError: only up"
        session.run('finish(answer="7")')
        assert check(session, "is_seven", "7").right  # after the end, too
        verdict = check(session, "breaks", "7")
    assert not verdict.right and "AttributeError" in verdict.problem and "breaks" in verdict.problem


ODD_CHECKS = '''
def up(by: int = 1) -> int:
    """Count."""
    return by

def pair(session, answer):
    return False, "it must be two"

def text(session, answer):
    return "wrong"

def forgotten(session, answer):
    answer == "2"

def of_numpy(session, answer):
    class bool_:
        """As numpy's."""
        def __bool__(self):
            return answer == "2"
    return bool_()
'''


def test_a_check_says_true_or_false_and_anything_else_is_told(start):
    with start(ODD_CHECKS).session() as session:
        for name, said in (("pair", "(False, 'it must be two')"), ("text", "'wrong'"), ("forgotten", "None")):
            verdict = check(session, name, "2")
            assert not verdict.right and f"it must return True or False, not {said}" in verdict.problem
        assert check(session, "of_numpy", "2") == (True, "") and check(session, "of_numpy", "3") == (False, "")


def test_a_folder_that_calls_cannot_read_is_told(start, tmp_path):
    isolation = start(FUNCTIONS).isolation
    if not (isolation["private directory"] and tmp_path.is_relative_to("/tmp")):
        pytest.skip("calls can read this folder here")
    with pytest.warns(RuntimeWarning, match=f"calls cannot read {tmp_path}, .* move it out of /tmp"):
        Executor([str(tmp_path / "a.py")], workers=1).close()


def test_the_trainer_does_not_load_what_its_executor_runs(start):
    executor = start(f"import os\nPID = os.getpid()\n\ndef where() -> int:\n    return os.getpid()\n{'#' * 10}")
    with executor.session() as session:
        assert session.run("where()").text != str(os.getpid())


def test_a_module_beside_the_file_and_data_beside_it_can_be_used(start, tmp_path):
    (tmp_path / "beside.py").write_text("WORD = 'hello'\n")
    (tmp_path / "data.txt").write_text("world")
    text = "from pathlib import Path\nimport beside\nTEXT = Path(__file__).with_name('data.txt').read_text()\n\n"
    executor = start(text + "def greet() -> str:\n    return f'{beside.WORD} {TEXT}'\n")
    with executor.session() as session:
        assert session.run("greet()").text == "hello world"


TOOL = "def tool() -> int:\n    return 1\n"


def test_a_file_a_folder_and_a_python_may_be_links(tmp_path):
    venv.create(tmp_path / "python", symlinks=True)
    [packages] = tmp_path.glob("python/lib/*/site-packages")
    (packages / "installed.py").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.py").write_text(f"import installed\n{TOOL}")
    for link, target in (("other", "python"), ("linked", "folder"), ("a.py", "folder/b.py")):
        (tmp_path / link).symlink_to(tmp_path / target)
    code = "import sys\nfrom tl.executor import Executor\nfor path in sys.argv[1:]: Executor([path], workers=1).close()"
    command = [tmp_path / "other/bin/python", "-W", "ignore", "-c", code, tmp_path / "linked/b.py", tmp_path / "a.py"]
    subprocess.run(command, cwd=Path(__file__).parents[1], check=True)


DATACLASS = "from dataclasses import dataclass\n\n@dataclass\nclass P:\n    unit: str\n"
BROKEN = [
    ("def tool(x: int) -> int\n    return x\n", r"a\.py, line 1: SyntaxError"),
    (f"import nonsense_module\n{TOOL}", r"a\.py, line 1: ModuleNotFoundError: No module named 'nonsense_module'"),
    (f"{TOOL}\n1 / 0\n", r"a\.py, line 4: ZeroDivisionError"),
    (f"{TOOL}\nraise SystemExit('no')\n", r"a\.py, line 4: SystemExit: no"),
    ("def tool(x) -> int:\n    return x\n", "function tool, parameter x: no type hint"),
    ("def tool(*args: int) -> int:\n    return 1\n", "function tool, parameter args: .*named parameters"),
    ("def tool(x: set) -> int:\n    return 1\n", "function tool, parameter x: no JSON type"),
    ("X = 1\n", "neither a public function nor a class"),
    ("async def tool() -> int:\n    return 1\n", "tool is async or a generator: a tool has to return its result"),
    (f"{TOOL}\ndef good(session, answer):\n    yield True\n", "good is async or a generator"),
    ("class A:\n    def a(self): ...\n\nclass B:\n    def b(self): ...\n", "which class has the tools, A, B"),
    (f"class P:\n    def label(self): ...\n\n{TOOL}", "methods of P or tool.* Call the class _P if it has no tools"),
    (f"{DATACLASS}    def label(self): ...\n", "P cannot be made without unit.*: call it _P if it has no tools"),
    ("def finish(answer: str) -> str: ...\n", "tools whose names are already taken: finish"),
    (f"import os\nos._exit(3)\n{TOOL}", r"a\.py exited with code 3"),
]


@pytest.mark.parametrize(("text", "problem"), BROKEN)
def test_a_file_that_cannot_be_used_is_told_with_place_and_reason(start, text, problem):
    with pytest.raises(ToolkitError, match=problem):
        start(text)


VALUES = '''
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, TypedDict

class Colour(Enum):
    RED = 1

class Place(NamedTuple):
    x: int

class Item(TypedDict):
    name: str

@lru_cache
def price(name: str) -> int:
    """What it costs."""
    return len(name)

cost = price
'''


def test_classes_of_values_are_no_toolkits_and_any_public_function_is_a_tool(start):
    executor = start(VALUES)
    assert list(executor.specs) == ["price", "cost"] and executor.specs["cost"].name == "cost"
    with executor.session(0, ["price", "cost"]) as session:
        assert [session.run(f'{name}(name="owl")').text for name in ("price", "cost")] == ["3", "3"]


def test_a_class_inside_the_class_is_no_tool(start):
    inner = "    class Colour(Enum):\n        RED = 1\n\n    @dataclass\n    class Row:\n        count: int = 0\n\n"
    method = "    def price(self) -> int:\n        return self.Row(7).count\n"
    executor = start(f"from dataclasses import dataclass\nfrom enum import Enum\n\nclass Shop:\n{inner}{method}")
    assert list(executor.specs) == ["price"]
    with executor.session() as session:
        assert session.run("price()").text == "7"


def test_tools_of_the_same_name_are_refused(start):
    with pytest.raises(ToolkitError, match="toolkit 'b' has tools whose names are already taken: tool"):
        start(TOOL, TOOL)
    with pytest.raises(ToolkitError, match="no file '/nowhere/tools.py'"):
        InProcessExecutor(["/nowhere/tools.py"])


def test_a_file_that_hangs_when_it_is_loaded_is_told(start, monkeypatch):
    monkeypatch.setattr(pool, "START_SECONDS", 1.5)
    with pytest.raises(ToolkitError, match=r"a\.py did not load within 1.5 seconds"):
        start(f"import time\ntime.sleep(60)\n{TOOL}")


def test_of_several_files_the_one_that_ends_the_process_is_named(start):
    with pytest.raises(ToolkitError, match=r"^the process that loads \S*b\.py exited with code 3"):
        start(TOOL, "import os\nos._exit(3)\n", TOOL)


def test_a_file_that_forks_prints_and_changes_a_module_when_it_is_loaded_changes_nothing_outside(start, capfd):
    executor = start(
        "import json, os\nprint('noise', flush=True)\nos.write(1, b'noise')\nos.fork()\n"
        f"json.dumps = json.loads = None\n{TOOL}"
    )
    assert json.loads("1") == 1
    with executor.session() as session:
        assert session.run("tool()").category.is_error  # its own results are its own affair
        assert session.run("finish(answer='x')").cause is Cause.OK
    assert capfd.readouterr().out == ""


def test_a_file_does_not_see_the_environment_of_the_trainer(start, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_TRAINER", "a-token")
    environ = f"open('/proc/{os.getpid()}/environ').read()"
    text = f"import os\ntry:\n    SEEN = {environ}\nexcept OSError as error:\n    SEEN = type(error).__name__\n"
    executor = start(f"{text}SEEN += str(dict(os.environ))\n\ndef seen() -> str:\n    return SEEN\n")
    if not executor.isolation["mount namespace"]:
        pytest.skip("this machine does not permit a mount namespace")
    with executor.session() as session:
        assert "a-token" not in session.run("seen()").text


@pytest.mark.parametrize("allowed", [False, True])
def test_a_tool_opens_connections_only_where_that_is_allowed(start, allowed):
    executor = start(
        "import socket\n\ndef fetch(port: int) -> str:\n"
        "    with socket.create_connection(('127.0.0.1', port), 2) as connection:\n"
        "        return connection.recv(9).decode()\n",
        allow_network=allowed,
    )
    if not allowed and not (executor.isolation["network namespace"] or executor.isolation["seccomp"]):
        pytest.skip("this machine does not isolate the network")
    with socket.create_server(("127.0.0.1", 0)) as server, executor.session() as session:
        thread = threading.Thread(target=_greet_once, args=(server,), daemon=True)
        thread.start()
        feedback = session.run(f"fetch(port={server.getsockname()[1]})")
    assert (feedback.text == "hello") is allowed
    assert feedback.category.is_error is not allowed


def _greet_once(server):
    with server.accept()[0] as connection:
        connection.sendall(b"hello")


def test_bash_never_gets_a_network():
    with warnings.catch_warnings(), pytest.raises(ToolkitError, match="'bash' is refused"):
        warnings.simplefilter("ignore")
        Executor(["bash"], workers=1, allow_network=True)


def test_calls_that_reached_outside_are_not_repeated_when_a_session_is_made_again(start):
    methods = "    def up(self) -> int:\n        self.n += 1\n        return self.n\n"
    hangs = f"import time\n\nclass Toolkit:\n    n = 0\n{methods}    def hang(self) -> int:\n        time.sleep(60)\n"
    for allowed, then in ((False, "2"), (True, "1")):
        executor = start(hangs, allow_network=allowed)
        executor.timeout = 1
        with executor.session() as session:
            assert session.run("up()").text == "1"
            assert session.run("hang()").cause is Cause.TIME_OUT
            assert session.run("up()").text == then


def test_a_folder_does_not_hide_a_toolkit_of_the_library(tmp_path, monkeypatch):
    (tmp_path / "bank").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "transfer_money" in InProcessExecutor(["bank"]).specs
