"""Every format: a record of our own wording in its layout, and the real samples beside the repository."""

from __future__ import annotations

import csv
import json
from collections import Counter

import pytest

from benchmarks.fuzz import OPENAI, SAME, WEATHER, check, fuzz, turns
from tl.datasets import DataError, ReadReport, read, stream
from tl.datasets.formats import NAMES, format_of, read_one, single_records
from tl.datasets.mix import drawn, shares_of
from tl.datasets.preferences import read_pairs
from tl.mae import call_categories, erroneous_calls
from tl.schema import BUILT_INS, ToolSpec
from tl.trajectory import Message, Note, Trajectory

OSLO = 'weather(city="Oslo")'


def one(raw: object, name: str | None = None) -> tuple[Trajectory, dict[Note, int]]:
    notes: Counter[Note] = Counter()
    return read_one(raw, "", notes, name), {note: count for note, count in notes.items() if count}


def said(trajectory: Trajectory) -> list[str]:
    return [message.content for message in trajectory.messages if message.role != "system"]


RAIN = ["Oslo?", OSLO, "rain", 'finish(answer="Rain.")']


@pytest.mark.parametrize("case", SAME)
def test_one_conversation_reads_the_same_in_every_layout(case):
    name, raw = SAME[case]
    known = format_of(raw)
    assert known is not None and known.name == name
    trajectory, notes = one(raw)
    assert said(trajectory) == RAIN and erroneous_calls(trajectory) == [False, False]
    (spec,) = [tool for tool in trajectory.tools if tool not in BUILT_INS]
    assert (spec.name, spec.required) == ("weather", ("city",)) and spec.parameters["city"]["type"] == "string"
    assert Note.IMPLIED_TOOLS not in notes and Note.BROKEN_CALLS not in notes
    assert one(json.loads(json.dumps(raw)), name)[0] == trajectory


# ---- what is particular to a format


def test_sharegpt_feedback_after_prose_is_refused():
    with pytest.raises(ValueError, match="message 3: feedback without a call before it"):
        one(turns(("human", "Oslo?"), ("gpt", 'AI weather: {"city": "Oslo"}'), ("observation", "rain"), tools="[]"))


def test_hermes_json_mode_is_an_answer():
    system = "Answer in JSON.\n<schema>\n{'title': 'Film', 'type': 'object'}\n</schema>"
    trajectory, _ = one(turns(("system", system), ("human", "A film?"), ("gpt", '{"name": "Up"}')))
    assert trajectory.tools == BUILT_INS and said(trajectory)[-1] == 'finish(answer="{\\"name\\": \\"Up\\"}")'


def test_toolace_names_are_the_longest_declared_ones():
    tools = [
        {"name": n, "parameters": {"type": "dict", "properties": {}}} for n in ("Trends", "Market Trends (US) & More")
    ]
    calls = "[Market Trends (US) & More(n=1, q=[\"a)\"]), Trends(), No Such(x='y')]"
    trajectory, _ = one({"system": f"Invoke:\n{json.dumps(tools)}"} | turns(("user", "?"), ("assistant", calls)))
    assert said(trajectory)[1:] == ['"Market Trends (US) & More"(n=1, q=["a)"])', "Trends()", '"No Such"(x="y")']
    assert erroneous_calls(trajectory) == [False, False, True]


def test_toolace_names_may_hold_an_apostrophe():
    tools = [{"name": "Get User's Posts (beta)", "parameters": {"type": "dict", "properties": {"id": {"type": "int"}}}}]
    raw = turns(("user", "?"), ("assistant", "[Get User's Posts (beta)(id=3)]"), system=f"Tools:\n{json.dumps(tools)}")
    trajectory, _ = one(raw)
    assert said(trajectory)[1:] == ['"Get User\'s Posts (beta)"(id=3)'] and erroneous_calls(trajectory) == [False]


@pytest.mark.parametrize("raw", [{"history": OPENAI}, SAME["toolalpaca"][1] | {"functions": None}])
def test_a_list_of_tools_is_read_in_formats_that_have_none(raw):
    trajectory, notes = one(raw | {"tools": [WEATHER]})
    assert said(trajectory) == RAIN and trajectory.tools[0] == ToolSpec.from_openai(WEATHER)
    assert Note.IMPLIED_TOOLS not in notes


def test_messages_are_read_where_there_is_a_history_as_well():
    assert said(one({"messages": OPENAI, "tools": [WEATHER], "history": [OPENAI[0]]})[0]) == RAIN


def test_toolllama_steps_train_their_last_call_only():
    step = "Thought: hm\nAction: {}\nAction Input: {{}}"
    raw = turns(("user", "Go."), ("assistant", step.format("a")), ("function", "1"), ("assistant", step.format("b")))
    trajectory, notes = one(raw | {"id": "Step 2: Go."})
    assert erroneous_calls(trajectory) == [True, False] and notes[Note.WEIGHT_0] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("""{"name": "sms", "arguments": '{"text": "let's meet"}'}""", 'sms(text="let\'s meet")'),
        ("""{"name": "bmi", "arguments": {\n"kg": 70\n}}""", "bmi(kg=70)"),
        ("""{"name": "quote", "parameters": {}}""", "quote()"),
        ("""{"name": "tax", "arguments": '{"range": [1, Infinity]}'}""", None),
        ("""{"name": "mean", "arguments": '[5, 10]'}""", None),
        ("""{"name": "mail", "arguments": '{"to": "x"}'}}""", None),
    ],
)
def test_glaive_calls_are_read_or_stay_at_weight_0(text, expected):
    chat = f"USER: Go.\n\n\nASSISTANT: Sure. <functioncall> {text} <|endoftext|>"
    trajectory, notes = one({"system": "SYSTEM: You are kind.\n", "chat": chat})
    assert said(trajectory)[1] == (expected or text)
    assert erroneous_calls(trajectory) == [expected is None] and notes[Note.TEXT_BESIDE_CALL] == 1


def test_glaive_marks_count_at_the_start_of_a_line_only():
    trajectory, _ = one({"system": "", "chat": "USER: Say USER: x\n\nASSISTANT: USER: x <|endoftext|>"})
    assert said(trajectory) == ["Say USER: x", 'finish(answer="USER: x")']


def test_xlam_is_a_request_with_parallel_calls():
    tools = [{"name": "f", "description": "", "parameters": {"type": {"type": "str, optional", "default": "x"}, "n": {
        "type": "List[int]"}}}]  # fmt: skip
    answers = [{"name": "f", "arguments": {"type": "a"}}, {"name": "f", "arguments": {"n": [1]}}]
    raw = {"id": 3, "query": "Go.", "answers": json.dumps(answers), "tools": json.dumps(tools)}
    trajectory, _ = one(raw)
    assert said(trajectory) == ["Go.", 'f(type="a")', "f(n=[1])"] and trajectory.id == "3"
    assert {key: schema["type"] for key, schema in trajectory.tools[0].parameters.items()} == {
        "type": "string",
        "n": "array",
    }


def test_apibench_calls_are_python_source():
    code = "###Instruction: Tag a photo.\n###Output: {'api_call': 'x'}"
    raw = {"code": code, "api_call": "hub.load('repo', model='m', pretrained=True)", "api_data": {"description": "M."}}
    trajectory, notes = one(raw)
    assert said(trajectory) == ["Tag a photo.", 'hub.load(arg0="repo", model="m", pretrained=true)']
    assert trajectory.tools[0] == ToolSpec("hub.load", "M.", {"arg0": {}, "model": {}, "pretrained": {}}, ())
    assert notes == {Note.POSITIONAL: 1}
    with pytest.raises(ValueError, match="not one call with literal arguments"):
        one(raw | {"api_call": "load(device=device)"})


def test_apibank_is_a_dialogue_a_file_whose_exceptions_are_verdicts(tmp_path):
    def asked(output: object, exception: str | None) -> dict:
        result = {"api_name": "Weather", "input": {}, "output": output, "exception": exception}
        return {"role": "API", "api_name": "Weather", "param_dict": {"city": "Oslo"}, "result": result}

    lines = [
        {"role": "User", "text": "Oslo?"},
        {"role": "AI", "text": "Let me look."},
        asked(None, "no such token"),
        asked({"sky": "error-free"}, None),
        {"role": "AI", "text": "Fair."},
    ]
    path = tmp_path / "level-1.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    (trajectory,), report = read(path)
    assert said(trajectory)[1::2] == ['Weather(city="Oslo")'] * 2 + ['finish(answer="Fair.")']
    assert erroneous_calls(trajectory) == [True, False, False] and report.notes[Note.TEXT_BESIDE_CALL] == 1


def test_intercode_verdicts_come_from_the_environment():
    history = {"actions": ["ls x", "execute[cat y | wc]"], "observations": ["", "cat: y: No such file or directory"]}
    raw = {"environment": "ic_bash", "query": "Count.", "turn_history": history | {"valid_action": [False, True]}}
    trajectory, _ = one(raw)
    assert said(trajectory)[1::2] == ['bash(command="ls x")', 'bash(command="cat y | wc")']
    assert erroneous_calls(trajectory) == [True, False] and trajectory.tools[0].required == ("command",)
    history = {"actions": ["SHOW TABLES"], "observations": ["[('a',)]"], "valid_action": [True]}
    assert (
        said(one({"environment": "ic_sql", "query": "?", "turn_history": history})[0])[1] == 'sql(query="SHOW TABLES")'
    )


def test_a_map_of_records_is_read_record_by_record(tmp_path):
    raw = {"environment": "ic_bash", "query": "?", "turn_history": {"actions": [], "observations": []}}
    for name, content in (("a", {"0": raw, "1": raw}), ("b", {"meta": {"k": 1}, "logs": {"0": raw, "1": raw}})):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content, indent=1))
        assert [t.id for t in read(path)[0]] == [f"{path}, the file, '{n}'" for n in "01"]
    path.write_text(json.dumps({"train": [raw], "test": [raw]}))
    with pytest.raises(DataError, match="no `messages`, but train, test"):
        read(path)


def test_sweagent_histories_have_calls_or_commands():
    system = {"role": "system", "content": "You work in a shell."}
    demo = [{"role": "user", "content": "demo", "is_demo": True}]
    task = {"role": "user", "content": "Fix it."}
    function = {"name": "open", "arguments": '{"path": "a.py", "line": 3}'}
    calling = {"role": "assistant", "content": "Look.", "thought": "Look.", "action": "open a.py 3",
               "tool_calls": [{"id": "c", "function": function}]}  # fmt: skip
    answer = {"role": "tool", "content": "[File: a.py]", "tool_call_ids": ["c"]}
    trajectory, notes = one({"history": [system, *demo, task, calling, answer], "info": {}})
    assert said(trajectory) == ["Fix it.", 'open(path="a.py", line=3)', "[File: a.py]"]
    assert trajectory.tools[0] == ToolSpec("open", "", {"path": {}, "line": {}}, ()) and Note.REASONING not in notes
    acting = {"role": "assistant", "content": "Look.\n```\nls\n```", "thought": "Look.", "action": "ls\n"}
    output = {"role": "user", "content": "a.py\n(Current directory: /x)\nbash-$"}
    trajectory, _ = one({"history": [system, task, acting, output, acting]})
    assert said(trajectory) == ["Fix it.", 'bash(command="ls")', output["content"], 'bash(command="ls")']


def test_tau2_leaves_out_the_users_own_calls():
    def call(name: str, who: str) -> dict:
        return {"id": name, "name": name, "arguments": {}, "requestor": who}

    def result(name: str, who: str, error: bool) -> dict:
        return {"role": "tool", "id": name, "content": f"of {name}", "requestor": who, "error": error}

    messages = [
        {"role": "user", "content": "My phone is dead."},
        {"role": "assistant", "content": None, "tool_calls": [call("look", "assistant")]},
        result("look", "assistant", True),
        {"role": "assistant", "content": "Switch it on.", "tool_calls": None},
        {"role": "user", "content": None, "tool_calls": [call("press", "user")]},
        result("press", "user", False),
        {"role": "user", "content": "Done."},
        {"role": "assistant", "content": "Good."},
    ]
    run = {"id": "r", "messages": messages}
    ((place, raw),) = single_records("the file", {"simulations": [run], "info": {}})
    assert place == "the file, simulation 1"
    trajectory, notes = one(raw)
    expected = ["My phone is dead.", "look()", "of look", "Switch it on.", "Done.", 'finish(answer="Good.")']
    assert said(trajectory) == expected and notes[Note.FOREIGN_CALLS] == 1
    assert erroneous_calls(trajectory) == [True, False]


def test_agentinstruct_trains_where_its_loss_is_true():
    raw = turns(("human", "You have a shell."), ("gpt", "Ok."), ("human", "Count files."),
                ("gpt", "Think: list.\n\nAct: bash\n\n```bash\nls | wc -l\n```"), ("human", "The output of the OS:\n3"),
                ("gpt", "Think: three.\n\nAct: answer(3)"))  # fmt: skip
    for turn, loss in zip(raw["conversations"], [None, False, None, True, None, True], strict=True):
        turn["loss"] = loss
    trajectory, notes = one(raw)
    assert said(trajectory)[3:] == [
        'bash(command="ls | wc -l")',
        "3",
        'finish(answer="answer(3)")',
    ]
    assert [m.trained for m in trajectory.messages if m.role == "assistant"] == [False, True, True]
    assert notes[Note.WEIGHT_0] == 1


# ---- kinds that fresh records of these formats showed to be misread


def test_an_output_behind_its_mark_is_judged_without_it():
    act = "Think: look.\n\nAct: bash\n\n```bash\nfoo\n```"
    raw = turns(("human", "Go."), ("gpt", act), ("human", "The output of the OS:\nbash: foo: command not found"))
    for turn, loss in zip(raw["conversations"], [None, True, None], strict=True):
        turn["loss"] = loss
    trajectory, _ = one(raw)
    assert said(trajectory)[2] == "bash: foo: command not found" and erroneous_calls(trajectory) == [True]
    raw["conversations"][2]["value"] = "The output of the OS:\n"
    assert said(one(raw)[0])[2] == ""


def test_a_closing_tag_in_an_argument_does_not_end_the_call():
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "</tool_call>"}}\n</tool_call>'
    trajectory, notes = one(turns(("human", "Where?"), ("gpt", call), ("tool", "rain"), tools=json.dumps([WEATHER])))
    assert said(trajectory)[1] == 'weather(city="</tool_call>")' and Note.BROKEN_CALLS not in notes


@pytest.mark.parametrize(
    "call",
    [
        f"<function_call>{json.dumps({'name': 'weather', 'arguments': {'city': 'Oslo'}})}</function_call>",
        'Let me look. <function=weather>{"city": "Oslo"}</function>',
        '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Oslo"}}]',
        '<|assistant|>weather\n{"city": "Oslo"}',
    ],
)
def test_marks_of_other_models_are_calls_in_data_too(call):
    trajectory, notes = one(turns(("human", "Oslo?"), ("gpt", call), ("tool", "rain"), tools=json.dumps([WEATHER])))
    assert said(trajectory)[1] == OSLO and notes[Note.TEXT_CALLS] == 1


def test_intercode_may_have_no_output_at_all():
    history = {"actions": ["true", "false"], "observations": [None, None], "valid_action": [True, False]}
    trajectory, _ = one({"query": "Do it.", "turn_history": history})
    assert said(trajectory)[2::2] == ["", ""] and erroneous_calls(trajectory) == [False, True]


def test_tau2_results_of_parallel_calls_stand_in_one_message():
    calls = [{"id": i, "name": "weather", "arguments": {"city": i}, "requestor": "assistant"} for i in "ab"]
    results = [{"id": i, "role": "tool", "content": i, "requestor": "assistant", "error": i == "b"} for i in "ab"]
    messages = [{"role": "user", "content": "Go."}, {"role": "assistant", "tool_calls": calls},
                {"role": "tool", "tool_messages": results}]  # fmt: skip
    trajectory, _ = one({"id": "s", "messages": messages})
    assert said(trajectory)[2::2] == ["a", "b"] and erroneous_calls(trajectory) == [False, True]


def test_a_results_own_verdict_may_be_is_error():
    used = {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Oslo"}}
    for failed in (True, False):
        result = {"type": "tool_result", "tool_use_id": "t", "content": "rain", "is_error": failed}
        given = [("user", "Oslo?"), ("assistant", [used]), ("user", [result]), ("assistant", "Rain.")]
        trajectory, _ = one({"tools": [WEATHER], "messages": [{"role": r, "content": c} for r, c in given]})
        assert said(trajectory) == RAIN and erroneous_calls(trajectory) == [failed, False]


def test_tau_benchs_stop_mark_stays_what_the_user_says():
    trajectory, _ = one({"reward": 1, "traj": [*OPENAI, {"role": "user", "content": "Thanks. ###STOP###"}]})
    assert [(m.role, m.is_call, m.content) for m in trajectory.messages[-2:]] == [
        ("assistant", False, "Rain."),
        ("user", False, "Thanks. ###STOP###"),
    ]


def test_bfcl_multi_turn_has_its_calls_in_a_file_beside_it(tmp_path):
    question = {"id": "m_0", "question": [[{"role": "user", "content": q}] for q in ("Sort.", "Move.")],
                "involved_classes": ["Files"], "initial_config": {}}  # fmt: skip
    path = tmp_path / "multi_turn.json"
    path.write_text(json.dumps(question) + "\n")
    with pytest.raises(DataError, match="a question without its golden calls: put possible_answer/"):
        read(path)
    (tmp_path / "possible_answer").mkdir()
    golden = {"id": "m_0", "ground_truth": [["cd(folder='x')", "sort('a.txt')"], []]}
    (tmp_path / "possible_answer" / path.name).write_text(json.dumps(golden))
    (trajectory,), report = read(path)
    assert said(trajectory) == ["Sort.", 'cd(folder="x")', 'sort(arg0="a.txt")', "Move."]
    assert report.notes[Note.POSITIONAL] == 1


def test_bfcl_functions_beside_the_questions_name_positional_arguments(tmp_path):
    question = {
        "id": "multi_turn_base_7",
        "question": [[{"role": "user", "content": "Sort it."}]],
        "involved_classes": ["GorillaFileSystem", "TwitterAPI"],
        "excluded_function": ["cp"],
        "ground_truth": [["sort('a.txt')", "post_tweet(content='done')"]],
    }
    path = tmp_path / "multi_turn.json"
    path.write_text(json.dumps(question))
    trajectories, report = read(path)
    assert said(trajectories[0])[1:] == ['sort(arg0="a.txt")', 'post_tweet(content="done")']
    folder = tmp_path / "multi_turn_func_doc"
    folder.mkdir()
    docs = {
        "gorilla_file_system": [("sort", "file_name"), ("cp", "source"), ("ls", "a")],
        "posting_api": [("post_tweet", "content")],
    }
    for name, functions in docs.items():
        lines = [
            {"name": of, "description": "", "parameters": {"type": "dict", "properties": {key: {"type": "string"}}}}
            for of, key in functions
        ]
        (folder / f"{name}.json").write_text("\n".join(map(json.dumps, lines)))
    trajectories, report = read(path)
    assert said(trajectories[0])[1:] == ['sort(file_name="a.txt")', 'post_tweet(content="done")']
    assert [tool.name for tool in trajectories[0].tools if tool not in BUILT_INS] == ["sort", "ls", "post_tweet"]
    assert report.notes[Note.COMPANION_TOOLS] == 1 and not report.notes[Note.IMPLIED_TOOLS]


def test_apibanks_tools_are_in_a_list_above_the_dialogues(tmp_path):
    turns = [{"role": "User", "text": "Wake me."}]
    for name, given in (("AddAlarm", {"token": "t", "time": "7"}), ("ToolSearcher", {"keywords": "k"}), ("Gone", {})):
        turns.append({"role": "API", "api_name": name, "param_dict": given, "result": {"output": "ok"}})
    path = tmp_path / "samples" / "AddAlarm-level-2-1.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(map(json.dumps, turns)))
    trajectory = read(path)[0][0]
    assert [tool.required for tool in trajectory.tools if tool not in BUILT_INS] == [(), (), ()]  # implied
    source = "description = \"An alarm.\"\ninput_parameters = {'time': {'type': 'str', 'description': 'When.'}}"
    rows = [
        ["类名", "input_parameters", "api_info"],
        ["AddAlarm", "(token: str, time: datetime)", source],
        ["Quit", "(token: str, to: List[str])", "__import__('os').abort()"],
    ]
    with (tmp_path / "all_apis.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (trajectory,), report = read(path)
    alarm, searcher = (tool for tool in trajectory.tools if tool not in BUILT_INS)
    assert (alarm.name, alarm.description, alarm.required) == ("AddAlarm", "An alarm.", ("token", "time"))
    assert alarm.parameters["time"]["description"] == "When." and alarm.parameters["token"]["type"] == "string"
    assert searcher.required == ("keywords",)
    assert erroneous_calls(trajectory) == [False, False, True]  # a list that lacks a name
    assert report.notes[Note.COMPANION_TOOLS] == 1


def test_tools_lie_beside_the_data_under_its_name_or_that_of_tau_benchs_domain(tmp_path):
    messages = [OPENAI[0], {"role": "assistant", "tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]}]
    named, run = tmp_path / "mine.jsonl", tmp_path / "gpt-airline.json"
    named.write_text(json.dumps({"messages": messages}))
    run.write_text(json.dumps([{"task_id": 1, "reward": 1, "traj": messages}]))
    for path, tools in ((named, "mine_tools.json"), (run, "airline_tools.json")):
        (trajectory,), report = read(path)
        assert report.notes[Note.IMPLIED_TOOLS] == 1 and trajectory.tools[0].required == ()
        (tmp_path / tools).write_text(json.dumps([WEATHER]))
        (trajectory,), report = read(path)
        assert report.notes[Note.COMPANION_TOOLS] == 1 and trajectory.tools[0].required == ("city",)


def test_nl2bash_is_two_files_of_lines(tmp_path):
    (tmp_path / "all.nl").write_text("List files.\n\nCount them.\n")
    (tmp_path / "all.cm").write_text("ls\ncd\nls | wc -l\n")
    trajectories, report = read(tmp_path / "all.nl", "skip")
    assert [said(t) for t in trajectories] == [["List files.", 'bash(command="ls")'], ["Count them.",
                                               'bash(command="ls | wc -l")']]  # fmt: skip
    assert [bad.place for bad in report.bad] == ["line 2"]
    assert [said(t) for t in read(tmp_path / "all.cm", "skip")[0]] == [said(t) for t in trajectories]
    (tmp_path / "all.cm").write_bytes(b"ls\x0c.\n\nls \xe9\n")
    trajectories, report = read(tmp_path / "all.nl", "skip")
    assert said(trajectories[0])[1] == 'bash(command="ls\\f.")'
    assert [bad.reason for bad in report.bad][1:] == ["a byte that is not UTF-8"]
    with pytest.raises(ValueError, match="must be a string"):
        one({"nl": 10**400, "cm": 1.5})
    (tmp_path / "all.cm").unlink()
    with pytest.raises(DataError, match="all.cm must be in the same folder"):
        read(tmp_path / "all.nl")


def test_toolalpacas_training_set_is_a_list_of_apis_with_instances(tmp_path):
    api = {
        "Name": "Sky",
        "Function_Description": {"look": 'Look up.\nParameters: {"day": "integer. Which."}\nOutput: x'},
    }
    step = [[["look", '{"day": 1}', "Hm."], "Status Code: 404. Response: none"]]
    instances = [{"input": "?", "output": "No.", "intermediate_steps": step}, {"input": "!", "intermediate_steps": []}]
    path = tmp_path / "train_data.json"
    path.write_text(json.dumps([api | {"Instances": instances}]))
    first, second = read(path)[0]
    assert first.id == f"{path}, record 1, instance 1"
    assert said(first)[1] == "look(day=1)" and erroneous_calls(first) == [True, False] and said(second) == ["!"]
    assert first.tools[0].parameters == {"day": {"type": "integer", "description": "Which."}}


REFUSED = [
    ({"messages_display": "user: Hi\nassistant: None"}, "calls are missing"),
    ({"query": "?", "available_tools": [], "answer": {"answer_details": []}}, "cut after 100 characters"),
    ({"query": "?", "api_list": [], "query_id": 1}, "a query of ToolBench without its answer"),
    ({"id": "m", "ground_truth": [["f()"]]}, "golden calls without their questions"),
    ({"answer_generation": {"function": [], "valid_data": False}}, "no `train_messages`"),
    ({"prompt": "?", "completion": "x", "label": False}, "one to avoid"),
]


@pytest.mark.parametrize(("raw", "reason"), REFUSED)
def test_what_cannot_be_right_is_refused_with_its_reason(raw, reason):
    with pytest.raises(ValueError, match=reason):
        one(raw)


def test_a_format_may_be_named(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"system": "", "chat": "USER: Hi.\nASSISTANT: Hello.", "messages": []}))
    with pytest.raises(DataError, match="at least one message"):
        read(path)
    assert said(read(path, data_format="glaive")[0][0]) == ["Hi.", 'finish(answer="Hello.")']
    with pytest.raises(DataError, match="line 1: cannot be read as a record of xlam: KeyError"):
        read(path, data_format="xlam")
    with pytest.raises(DataError, match="--data_format must be auto or one of tau2, tau"):
        read(path, data_format="xml")


def test_a_pretty_printed_object_is_a_file_of_one_record(tmp_path):
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"tools": [WEATHER], "messages": OPENAI}, indent=2))
    assert said(read(path)[0][0]) == RAIN
    path.write_text(json.dumps(OPENAI, indent=1))
    assert said(read(path)[0][0]) == RAIN
    path.write_text("\n".join([json.dumps(OPENAI)] * 2))
    assert len(read(path)[0]) == 2


def test_preference_pairs_are_kept(tmp_path, shared):
    worse = [{"role": "assistant", "content": "Sun."}]
    asked = [OPENAI[0], {"role": "assistant", "content": "Where?"}, {"role": "user", "content": "There."}]
    path = tmp_path / "pairs.jsonl"
    raw = {"tools": [WEATHER], "prompt": asked, "chosen": OPENAI[1:], "rejected": worse}
    path.write_text("\n".join(map(json.dumps, [raw, raw | {"rejected": OPENAI[1:]}, {"chosen": worse}])))
    pairs, report = read_pairs([str(path)], "skip")
    ((chosen, rejected),) = pairs
    assert said(chosen)[3:] == RAIN[1:] and said(rejected)[3:] == ['finish(answer="Sun.")']
    assert [m.trained for m in rejected.messages if m.role == "assistant"] == [False, True]
    assert [bad.reason for bad in report.bad] == [
        "`chosen` and `rejected` are the same",
        "a pair needs `chosen` and `rejected`, this record has chosen",
    ]
    with pytest.raises(DataError, match="2 of 3 records are bad"):
        read_pairs([str(path)])
    assert len(read_pairs([str(shared / "data/formats/trl_preference.jsonl")])[0]) == 4


@pytest.mark.parametrize("key", ["messages", "question", "instruction"])
def test_a_preference_whose_request_is_elsewhere_is_refused(key, tmp_path):
    """It would train an answer to nothing."""
    request = OPENAI[:1] if key == "messages" else OPENAI[0]["content"]
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"system": "Be brief.", key: request, "chosen": "Rain.", "rejected": "Sun."}))
    for reader in (read, read_pairs):
        with pytest.raises(DataError, match="put the request into `prompt`"):
            reader([str(path)])


def test_a_list_of_tools_beside_a_file_of_pairs_is_theirs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": OPENAI[:1], "chosen": OPENAI[1:], "rejected": "Sun."}))
    (tmp_path / "pairs_tools.json").write_text(json.dumps([WEATHER]))
    ((chosen, _),), report = read_pairs([str(path)])
    assert chosen.tools == read(path)[0][0].tools and chosen.tools[0].description == WEATHER["description"]
    assert report.notes[Note.COMPANION_TOOLS] == 1


# ---- mixing


def test_a_mix_has_the_shares_that_the_scarcest_set_allows():
    sizes, shares = [1000, 30, 500], [0.4, 0.3, 0.3]
    chosen = drawn(sizes, shares, seed=1)
    assert Counter((at >= 1000) + (at >= 1030) for at in chosen) == {0: 40, 1: 30, 2: 30}
    assert chosen == sorted(set(chosen)) == drawn(sizes, shares, seed=1) != drawn(sizes, shares, seed=2)


def test_a_share_that_gives_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"the share 0.01 gives no trajectory: the files have 10, 10\. Raise it"):
        drawn([10, 10], [0.01, 0.99], seed=0)
    path, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    path.write_text(json.dumps({"messages": OPENAI}))
    bad.write_text('{"a": 1}')
    names = [f"{path}:0.5", f"{bad}:0.5"]
    with pytest.raises(DataError, match="1 of 2 records are bad"):
        list(stream(names, ReadReport()))
    with pytest.raises(DataError, match="the files have 1, 0"):
        list(stream(names, ReadReport(), "skip"))


def test_a_path_with_a_colon_that_exists_is_a_path(tmp_path):
    path = tmp_path / "data:0.5"
    path.write_text(json.dumps({"messages": OPENAI}))
    assert shares_of([str(path)]) == [(str(path), None)] and len(read(path)[0]) == 1
    assert shares_of(["x.json:0.25"]) == [("x.json", 0.25)]
    for names, wrong in ((["a:0.5", "b"], "b"), (["a:0", "b:1"], "a:0"), (["b:1", "a:1e999"], "a:1e999")):
        with pytest.raises(DataError, match=f"^{wrong}: give every file a share greater than 0"):
            shares_of(names)


# ---- real samples

SAMPLES = {  # file -> records read, refused, calls of the data's own, erroneous ones
    "apibank_level1.jsonl": (1, 0, 1, 0),
    "apibank_level2.jsonl": (1, 0, 3, 0),
    "apibench_huggingface_eval.json": (3, 0, 3, 0),
    "apibench_torchhub_eval.json": (4, 0, 4, 0),
    "axolotl_toolcalling.jsonl": (1, 0, 1, 0),
    "bfcl_multi_turn_base.json": (3, 0, 24, 0),
    "bfcl_multi_turn_base_answers.json": (0, 3, 0, 0),
    "glaive_v2_raw.json": (2, 0, 1, 0),
    "hermes_card.json": (2, 0, 1, 0),
    "hermes_fixture.jsonl": (2, 0, 2, 0),
    "intercode_bash.json": (4, 0, 23, 10),
    "intercode_sql.json": (3, 0, 14, 4),
    "llamafactory_v1_tools.jsonl": (9, 0, 19, 0),
    "mini_swe_agent.traj.json": (1, 0, 2, 0),
    "ms_swift_agent.jsonl": (1, 1, 2, 0),
    "openai_chat_plain.jsonl": (2, 0, 0, 0),
    "openai_chat_tools.jsonl": (3, 0, 3, 0),
    "openai_legacy_functions.jsonl": (1, 0, 5, 0),
    "overview_example.jsonl": (1, 0, 1, 0),
    "sharegpt_glaive_en.json": (10, 0, 12, 0),
    "sharegpt_glaive_zh.json": (6, 1, 6, 0),
    "sweagent_function_calling.traj": (1, 0, 11, 1),
    "sweagent_text.traj": (1, 0, 11, 1),
    "tau_bench_few_shot.jsonl": (0, 3, 0, 0),
    "tau_bench_trajectories.json": (2, 0, 11, 2),
    "toolace_raw_fixture.jsonl": (2, 0, 1, 0),
    "toolbench_answer_59.json": (1, 0, 5, 0),
    "tooleval_answers.json": (0, 3, 0, 0),
    "toolllama_steps.json": (3, 0, 12, 9),
    "torchtune_chat.json": (1, 0, 0, 0),
    "trl_preference.jsonl": (4, 0, 4, 0),
    "trl_toolcall.jsonl": (4, 0, 4, 0),
    "xlam_60k.json": (1, 0, 2, 0),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_real_samples_read_as_they_should(name, shared):
    trajectories, report = read(shared / "data/formats" / name, "skip")
    wrong = [(call, bad) for t in trajectories for call, bad in zip(t.calls(), erroneous_calls(t), strict=True)]
    own = [(call, bad) for (call, _), bad in wrong if not call.content.startswith("finish(answer=")]
    assert (len(trajectories), len(report.bad), len(own), sum(bad for _, bad in own)) == SAMPLES[name]
    if "overview" in name:
        assert said(trajectories[0])[1] == 'bash(command="wc -l /etc/passwd")'
        assert trajectories[0].tools[0].parameters == {"command": {"type": "string"}}


def test_real_glaive_calls_have_their_documented_reading(shared):
    path = shared / "data/formats/glaive_v2_calls.json"
    for entry in json.loads(path.read_text()):
        chat = f"USER: Go.\n\n\nASSISTANT: <functioncall>{entry['text']}<|endoftext|>"
        trajectory, _ = one({"system": "", "chat": chat})
        if isinstance(entry["reading"], dict):
            made = Message("assistant", trajectory.messages[-1].content, is_call=True)
            arguments = entry["reading"]["arguments"]
            record = {"messages": [{"role": "assistant", "tool_calls": [{"name": entry["reading"]["name"],
                                                                          "arguments": arguments}]}]}  # fmt: skip
            assert Trajectory.from_openai(record).messages == (made,)
        else:
            assert erroneous_calls(trajectory) == ["weight 0" in entry["reading"]]


def test_larger_real_sets(shared):
    data = shared / "data"
    (total, bad, calls, wrong) = (0, 0, 0, 0)
    for path in sorted((data / "intercode/results").glob("gpt-*/*multiturn*")):
        trajectories, report = read(path, "skip")
        total, bad = total + len(trajectories), bad + len(report.bad)
        calls += sum(len(t.calls()) for t in trajectories)
        wrong += sum(sum(erroneous_calls(t)) for t in trajectories)
    assert (total, bad, calls, wrong) == (347, 0, 2_097, 623)  # 330 and 293 by the environment's own verdict
    trajectories, report = read(data / "trajectories/api_bank_samples.json.gz", "skip")
    assert len(trajectories) == 263
    assert [bad.reason for bad in report.bad] == ["the messages must be a list with at least one message"]
    trajectories, report = read(data / "trajectories/tau_bench_gpt4o_airline.json.gz", "skip")
    assert (len(trajectories), report.bad) == (200, [])
    assert sum(map(len, map(call_categories, trajectories))) == 1_164


# ---- damaged records


@pytest.mark.long
def test_damaged_records_of_every_format_are_read_or_refused_and_nothing_else():
    counts = fuzz(2_000, seed=0, check=check)
    assert counts.keys() == set(NAMES) and all(count > 100 for count in counts.values())
