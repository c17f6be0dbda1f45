"""Requests for `tools/database.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools._vocabulary import CITIES, FIRST_NAMES
from tools.database import ROOMS, TEAMS

TABLES = ("staff", "rooms", "offices")


@scenario(
    phrasings=(
        "Which tables does the database have?",
        "List the tables of the database.",
        "What tables are there in the company database?",
        "Show the tables.",
        "What can I query? List the tables.",
        "I need the names of all tables in the database.",
        "Give me an overview of the tables.",
    ),
    unseen=("Please show me the tables of the database.", "Tell me which tables there are."),
)
def tables(draw: Draw) -> Plan:
    yield {}
    yield call("list_tables")


@scenario(
    phrasings=(
        "Which columns does the table {table} have?",
        "List the columns of {table}.",
        "What are the columns of the table {table}?",
        "How is the table {table} built? Show its columns.",
        "Tell me the columns of {table}.",
        "What fields are in {table}?",
        "Describe the table {table}.",
    ),
    unseen=("Please name the columns of the table {table}.",),
    ask=Ask(
        "table",
        "table",
        phrasings=(
            "Which columns does the table have?",
            "List the columns of a table.",
            "What are the columns of the table?",
            "Describe a table for me.",
            "Tell me which fields the table has.",
        ),
        unseen=("Please name the columns of that table.",),
    ),
)
def columns(draw: Draw) -> Plan:
    table = draw.any(TABLES)
    yield {"table": table}
    yield call("list_table_columns", table=table)


@scenario(
    phrasings=(
        "How many rows does the table {table} have?",
        "Count the rows of {table}.",
        "How many entries are in the table {table}?",
        "How big is the table {table}?",
        "What is the number of entries in {table}?",
        "Give me the row count of {table}.",
        "Are there many rows in {table}? Count them.",
    ),
    unseen=("Tell me the number of rows in {table}.",),
)
def count(draw: Draw) -> Plan:
    table = draw.any(TABLES)
    yield {"table": table}
    yield call("count_rows", table=table)


@scenario(
    phrasings=(
        "Run the query {sql}",
        "Execute {sql}",
        "What does the query {sql} give?",
        "Use the database to answer {sql}",
        "Send {sql} to the database.",
        "I need the result of {sql}",
        "Please query the database with {sql}",
        "What comes out of {sql}",
    ),
    unseen=("Please run this SQL: {sql}", "Give me the rows of {sql}"),
    ask=Ask(
        "sql",
        "sql",
        phrasings=(
            "Run a query for me.",
            "Execute some SQL on the database.",
            "Use the database for me.",
            "Send a query to the database.",
            "What does my query give?",
        ),
        unseen=("Please run an SQL query.",),
    ),
)
def query(draw: Draw) -> Plan:
    sql = draw.one(
        [f"SELECT salary FROM staff WHERE name = '{name}'" for name in FIRST_NAMES]
        + [f"SELECT people FROM offices WHERE city = '{city}'" for city in CITIES]
        + [f"SELECT name FROM rooms WHERE seats > {seats}" for seats in range(1, 40)]
        + [f"SELECT name FROM staff WHERE salary > {salary}000" for salary in range(30, 90)]
    )
    yield {"sql": sql}
    yield call("run_query", sql=sql)


@scenario(
    phrasings=(
        "Run the query {sql} and give me at most {limit} rows.",
        "Execute {sql} but stop at {limit} rows.",
        "I need {limit} rows at most from {sql}",
        "Give me the first {limit} rows of {sql}",
        "Send {sql} to the database and return up to {limit} rows.",
        "Query {sql}, with a limit of {limit}.",
    ),
    unseen=("Please run {sql}, no more than {limit} rows.",),
)
def limited_query(draw: Draw) -> Plan:
    sql = draw.one([f"SELECT name FROM staff WHERE salary > {salary}000" for salary in range(30, 90)])
    limit = draw.any((1, 2, 3, 4))
    yield {"sql": sql, "limit": limit}
    yield call("run_query", sql=sql, limit=limit)


@scenario(
    phrasings=(
        "Add {name} to the table staff, team {team}.",
        "Insert a row into staff with the name {name} and the team {team}.",
        "{name} is new in the team {team}. Add a row to staff.",
        "We hired {name} for {team}. Put that into staff.",
        "Put {name}, team {team}, into the staff table.",
        "Please add {name} to staff, in the team {team}.",
        "staff needs a new row: name {name}, team {team}.",
    ),
    unseen=("Please insert {name} of the team {team} into staff.",),
)
def hire(draw: Draw) -> Plan:
    name, team = draw.one(FIRST_NAMES), draw.any(TEAMS)
    yield {"name": name, "team": team}
    yield call("insert_row", table="staff", values={"name": name, "team": team})


@scenario(
    phrasings=(
        "Insert a row into rooms with the name {room} and {seats} seats.",
        "Add the room {room} with {seats} seats to the table rooms.",
        "Put a room {room} with {seats} seats into the table rooms.",
        "rooms needs a new row: name {room}, seats {seats}.",
        "We have built {room}, it has {seats} seats. Add it to rooms.",
    ),
    unseen=("There is a new room {room} for {seats}. Insert a row with name and seats into rooms.",),
)
def new_room(draw: Draw) -> Plan:
    taken = {name for name, _ in draw.world("database").rows["rooms"]}
    room, seats = draw.one([room for room in ROOMS if room not in taken]), draw.any(range(2, 40))
    yield {"room": room, "seats": seats}
    yield call("insert_row", table="rooms", values={"name": room, "seats": seats})


@scenario(
    phrasings=(
        "List the tables and tell me how many rows the first one has.",
        "Look which tables there are and count the rows of the first.",
        "How large is the first table? List the tables first.",
        "Give me the tables and the number of rows of the first of them.",
        "Count the rows of whatever table comes first in the list of tables.",
    ),
    unseen=("How many rows has the first table? List the tables before you count.",),
)
def first_table(draw: Draw) -> Plan:
    yield {}
    names = yield call("list_tables")
    yield call("count_rows", table=names[0])
