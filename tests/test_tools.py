"""The tool library: what every toolkit promises."""

import json
import sqlite3
import time

import pytest

from tl.calls import Call, parse_call
from tl.executor import InProcessExecutor, toolkits
from tl.executor.toolkits import ToolkitError, library_names, load_file, load_toolkit
from tl.schema import ToolSpec
from tools.__main__ import main

EVERY_TOOL = [(toolkit, tool) for toolkit in library_names() for tool in load_toolkit(toolkit).specs]


@pytest.mark.parametrize(("toolkit", "tool"), EVERY_TOOL)
def test_the_schema_of_every_tool_derives_from_its_function(toolkit, tool):
    spec = load_toolkit(toolkit).specs[tool]
    assert spec.name == tool
    assert spec.description
    assert all(parameter.get("description") for parameter in spec.parameters.values())
    assert ToolSpec.from_openai(spec.to_openai()) == spec


@pytest.mark.parametrize("toolkit", library_names())
def test_a_toolkit_says_what_it_is(toolkit):
    assert load_toolkit(toolkit).about
    assert load_toolkit(toolkit).example[0] in load_toolkit(toolkit).specs


@pytest.mark.parametrize("toolkit", library_names())
def test_the_same_seed_makes_the_same_world_and_another_seed_another(toolkit):
    def world(seed):
        state = vars(load_toolkit(toolkit).make(seed))
        return {key: value for key, value in state.items() if not key.startswith("_") and key != "random"}

    assert world(5) == world(5)
    assert world(5) != world(6)


@pytest.mark.parametrize("toolkit", library_names())
def test_a_new_episode_is_ready_in_a_few_milliseconds(toolkit):
    make = load_toolkit(toolkit).make
    start = time.perf_counter()
    for seed in range(10):
        make(seed)
    assert (time.perf_counter() - start) / 10 < 0.02


def test_no_two_toolkits_have_a_tool_of_the_same_name():
    names = [tool for _, tool in EVERY_TOOL]
    assert len(names) == len(set(names))


def test_some_names_of_tools_begin_alike():
    names = {tool for _, tool in EVERY_TOOL}
    assert {"get_paper", "get_paper_details", "get_papers_by_keywords"} <= names


def test_an_unknown_toolkit_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ToolkitError, match="no toolkit named 'nonsense'.*weather"):
        load_toolkit("nonsense")


@pytest.fixture
def broken_toolkit(monkeypatch, tmp_path):
    """A toolkit that fails to start, as if its file had been dropped in."""
    for path in toolkits.LIBRARY.glob("*.py"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "broken.py").write_text(
        "class Toolkit:\n    def __init__(self):\n        raise OSError('no disk')\n\n"
        "    def read(self) -> str:\n        ...\n"
    )
    monkeypatch.setattr(toolkits, "LIBRARY", tmp_path)
    load_file.cache_clear()
    yield tmp_path / "broken.py"
    load_file.cache_clear()


def test_a_broken_toolkit_is_reported_by_name_and_the_others_work(broken_toolkit):
    executor = InProcessExecutor()
    reason = f"toolkit 'broken' cannot be used: {broken_toolkit}, line 3: OSError: no disk"
    assert executor.broken == {"broken": reason}
    assert "get_weather" in executor.specs


def test_a_broken_toolkit_that_is_asked_for_is_an_error(broken_toolkit):
    with pytest.raises(ToolkitError, match="no disk"):
        InProcessExecutor(["broken"])


def test_paging_hands_out_a_cursor_until_the_last_page():
    papers = load_toolkit("papers").make(0)
    paper_id = next(key for key, paper in papers.papers.items() if paper["citations"] % 6 == 5)
    first = papers.get_citations(paper_id)
    second = papers.get_citations(paper_id, cursor=first["next_cursor"])
    assert (len(first["citing"]), len(second["citing"]), second["next_cursor"]) == (3, 2, None)
    assert not set(first["citing"]) & set(second["citing"])


def test_an_order_lowers_the_stock_of_its_own_episode_only():
    shop = load_toolkit("shop").make(2)
    product_id = max(shop.products, key=lambda key: shop.products[key]["stock"])
    before = shop.get_product_stock(product_id)["stock"]
    shop.create_order(product_id, 2)
    assert shop.get_product_stock(product_id)["stock"] == before - 2
    assert load_toolkit("shop").make(2).get_product_stock(product_id)["stock"] == before


def test_a_service_with_an_outage_fails_once_and_then_works():
    weather = load_toolkit("weather").make(7)
    with pytest.raises((ConnectionError, TimeoutError)):
        weather.get_weather("Oslo")
    assert "temperature" in weather.get_weather("Oslo")


def test_the_list_of_toolkits_has_a_line_for_each(capsys):
    main([])
    header, *lines, total = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == library_names()
    assert sum(int(line.split()[1]) for line in lines) == len(EVERY_TOOL) >= 60
    assert len(lines) >= 12
    assert header.startswith("toolkit") and total.startswith(f"{len(lines)} toolkits with {len(EVERY_TOOL)} tools")


def test_the_name_of_a_tool_shows_its_toolkit(capsys):
    main(["get_paper_details"])
    assert capsys.readouterr().out.startswith("papers: ")


@pytest.mark.parametrize("toolkit", library_names())
def test_the_description_of_a_toolkit_shows_its_tools_and_runs_its_example(toolkit, capsys):
    main([toolkit])
    text = capsys.readouterr().out
    assert all(f"def {tool}(" in text for tool in load_toolkit(toolkit).specs)
    example = text[text.index("\n>>> ") :].splitlines()
    assert "in isolation" in example[2] if load_toolkit(toolkit).needs_isolation else json.loads(example[2])


def test_the_example_of_a_toolkit_is_a_call(capsys):
    main(["weather"])
    call = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(">>> "))
    assert parse_call(call.removeprefix(">>> ")) == Call("get_weather", {"city": "Oslo"})


def test_a_file_is_described_whatever_its_example_is(tmp_path, capsys):
    method = "    def example(self, x: int) -> int:\n        return 1 // x\n"
    (tmp_path / "tool.py").write_text(f"class Shop:\n{method}")
    main([str(tmp_path / "tool.py")])
    assert capsys.readouterr().out.startswith("tool: ")
    (tmp_path / "fails.py").write_text(
        f"class Shop:\n{method.replace('example', 'f')}    example = ('f', {{'x': 0}})\n"
    )
    main([str(tmp_path / "fails.py")])
    assert capsys.readouterr().out.endswith(">>> f(x=0)\nZeroDivisionError: integer division or modulo by zero\n")


def test_the_command_names_an_unknown_toolkit(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["nonsense"])
    assert exit_info.value.code == 2
    assert "no toolkit named 'nonsense'" in capsys.readouterr().err


@pytest.fixture
def database():
    return load_toolkit("database").make(1)


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH DATABASE '/tmp/stolen.db' AS x",
        "VACUUM INTO '/tmp/stolen.db'",
        "DROP TABLE staff",
        "PRAGMA writable_schema = 1",
        "INSERT INTO offices VALUES ('Oslo', 1)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    ],
)
def test_a_query_can_only_read(database, sql):
    before = database.rows["offices"]
    with pytest.raises(sqlite3.DatabaseError, match="not authorized|prohibited|authorization denied"):
        database.run_query(sql)
    assert database.count_rows("offices") == len(before)


def test_an_endless_query_is_interrupted(database):
    tables = ", ".join(f"staff AS s{n}" for n in range(12))
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        database.run_query(f"SELECT count(*) FROM {tables}")
    assert database.run_query("SELECT 1") == [[1]]


def test_a_huge_value_is_refused(database):
    with pytest.raises(sqlite3.DataError, match="too big"):
        database.run_query("SELECT zeroblob(1000000000)")


def test_the_file_area_fails_as_an_operating_system_does():
    files = load_toolkit("files").make(1)
    with pytest.raises(FileNotFoundError, match=r"\[Errno 2\] No such file or directory: 'docs/none.txt'"):
        files.read_file("docs/none.txt")
    with pytest.raises(IsADirectoryError):
        files.read_file("docs")
    one, other, *_ = files.files
    with pytest.raises(FileExistsError):
        files.move_file(one, other)
