"""A model as teacher: what of its work is kept, and a run that can be interrupted. The endpoint is a local server."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tl.__main__ import main
from tl.calls import format_call, parse_call
from tl.datasets import read
from tl.executor import InProcessExecutor
from tl.mae import erroneous_calls
from tl.rollout.endpoint import Endpoint, EndpointError
from tl.rollout.episodes import MAX_TURNS
from tl.synthesis import LIBRARY, make_episodes
from tl.synthesis.episodes import REFUSAL
from tl.synthesis.tasks import task_of
from tl.synthesis.teacher import INSTRUCTIONS, teach


class Server:
    """An OpenAI-compatible server. `answer(messages, tools)` gives a message, or a status and a text."""

    def __init__(self, answer):
        requests = self.requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                requests.append(body)
                said = answer(body["messages"], body["tools"])
                status, text = said if isinstance(said, tuple) else (200, json.dumps({"choices": [{"message": said}]}))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def start():
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def made():
    return make_episodes(12, seed=5)


@pytest.fixture(scope="module")
def executor():
    return InProcessExecutor(LIBRARY)


def calling(text):
    """A message that makes the call."""
    call = parse_call(text)
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}


def solving(made):
    """A teacher that knows the solutions by request."""
    scripts = {episode.task.request: [format_call(call) for call in episode.task.solution] for episode in made}

    def answer(messages, tools):
        request = next(message["content"] for message in messages if message["role"] == "user")
        return calling(scripts[request][sum(message["role"] == "assistant" for message in messages)])

    return answer


@pytest.fixture
def run(start, executor):
    """Has a teacher serve episodes; gives the trajectories kept, the faults of the others, and the server."""

    def run(made, answer):
        server, faults = start(answer), Counter()
        requests = [task_of(episode).request(executor) for episode in made]
        endpoint = Endpoint(server.url, "big-model", wait=0.001, key="secret")
        return list(teach(requests, endpoint, faults)), faults, server

    return run


def first(made, kind):
    return next(episode for episode in made if episode.spec.kind == kind)


def test_a_good_teacher_gives_the_trajectories_of_the_scripted_one(run, made):
    kept, faults, _ = run(made, solving(made))
    assert not faults
    by_id = {trajectory.id: trajectory for trajectory in kept}
    assert len(by_id) == len(kept) == len(made)
    for episode in made:
        if episode.spec.kind != "error":
            assert by_id[episode.trajectory.id] == episode.trajectory


def test_the_teacher_is_told_the_rules_which_are_not_kept(run, made):
    kept, _, server = run(made[:1], solving(made))
    body = server.requests[0]
    assert body["model"] == "big-model"
    assert body["messages"][0] == {"role": "system", "content": INSTRUCTIONS}
    assert body["tools"] == [tool.to_openai() for tool in made[0].trajectory.tools]
    assert kept[0].messages[0].role == "user"


def test_a_wrong_call_gets_its_real_error_and_stays_in_the_trajectory(run, made):
    episode, solve = first(made, "plain"), solving(made)

    def answer(messages, tools):
        wrong_first = [*messages[:2], *messages[4:]]
        return calling("no_such_tool(x=1)") if len(messages) == 2 else solve(wrong_first, tools)

    (trajectory,), _, _ = run([episode], answer)
    assert trajectory.messages[2].content == "name no_such_tool is not defined"
    assert erroneous_calls(trajectory) == [True] + [False] * len(episode.task.solution)


def test_plain_text_is_the_final_answer(run, made):
    (trajectory,), _, _ = run([first(made, "refusal")], lambda *_: {"content": REFUSAL})
    assert trajectory.messages[-1].content == f'finish(answer="{REFUSAL}")'


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        ("plain", "no_such_tool(x=1)", "no finish"),
        ("plain", 'finish(answer="")', "no real answer"),
        ("plain", 'finish(answer="I am unable to do that.")', "no real answer"),
        ("plain", 'finish(answer="It is 1234567 degrees.")', "a wrong answer"),
        ("refusal", 'finish(answer="It is 7 degrees.")', "an answer where none can be had"),
    ],
)
def test_what_execution_does_not_bear_out_is_left_out_and_counted(run, made, kind, text, fault):
    kept, faults, server = run([first(made, kind)], lambda *_: calling(text))
    assert kept == []
    assert faults == {fault: 1}
    assert len(server.requests) == (MAX_TURNS if fault == "no finish" else 1)


def test_an_endpoint_that_refuses_the_key_ends_the_run(run, made):
    with pytest.raises(EndpointError, match="status 401: invalid api key"):
        run(made, lambda *_: (401, "invalid api key"))


def solving_after(first, made):
    """Answers the first request with ``first``, and solves the others."""
    solve, asked = solving(made), []

    def answer(*arguments):
        asked.append(arguments)
        return first if len(asked) == 1 else solve(*arguments)

    return answer


def test_a_request_that_the_endpoint_refuses_is_left_out_and_the_others_go_on(run, made):
    with pytest.warns(UserWarning, match="left out: .*content filter"):
        kept, faults, _ = run(made, solving_after((400, "content filter"), made))
    assert len(kept) == len(made) - 1 and faults == {"the endpoint gave no turn": 1}


def test_an_answer_that_is_no_completion_is_never_a_turn_in_the_data(run, made):
    with pytest.warns(UserWarning, match="left out: .*not a chat completion"):
        kept, faults, _ = run(made, solving_after((200, '{"choices": []}'), made))
    assert len(kept) == len(made) - 1 and faults == {"the endpoint gave no turn": 1}
    with pytest.raises(EndpointError, match="not a chat completion"):
        run(made, lambda *_: (200, '{"choices": []}'))


def test_an_overloaded_endpoint_is_tried_again(run, made):
    failures = [(500, "overloaded"), (429, "slow down"), (503, "")]
    solve = solving(made)
    kept, faults, _ = run(made, lambda *arguments: failures.pop() if failures else solve(*arguments))
    assert len(kept) == len(made) and not faults


# ---- the command


def command(server, out, size=8, model="big-model", seed=5):
    flags = ["--teacher", server.url, "--teacher_model", model, "--out", str(out)]
    return main(["synthesis", "--size", str(size), "--seed", str(seed), *flags])


def test_an_interrupted_run_goes_on_where_it_was(start, tmp_path):
    made = make_episodes(8, seed=5)
    server = start(solving(made))
    out = tmp_path / "taught.jsonl"
    assert command(server, out) == 0
    lines, asked = out.read_text().splitlines(keepends=True), len(server.requests)
    out.write_text("".join(lines[:5]) + lines[5][:40])
    assert command(server, out) == 0
    assert sorted(out.read_text().splitlines(keepends=True)) == sorted(lines)
    missing = {json.loads(line)["id"] for line in lines[5:]}
    again = sum(len(episode.task.solution) for episode in made if episode.trajectory.id in missing)
    assert len(server.requests) - asked == again
    assert len(read(out)[0]) == 8


def test_the_records_of_two_teachers_and_of_other_requests_do_not_mix(start, tmp_path, capsys):
    server, out = start(solving(make_episodes(2, seed=5))), tmp_path / "taught.jsonl"
    assert command(server, out, size=2) == 0
    kept, asked = out.read_text(), len(server.requests)
    assert [json.loads(line)["made_with"] for line in kept.splitlines()] == [{"teacher_model": "big-model"}] * 2
    assert command(server, out, size=2, model="weak-model") == 2
    assert "was made with other settings: teacher_model: big-model -> weak-model. Delete it" in capsys.readouterr().err
    lines = [json.loads(line) for line in kept.splitlines()]
    lines[0]["messages"][0]["content"] = edited = "Something else?"
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert command(server, out, size=2) == 2
    assert "not written by the same command for the same requests" in capsys.readouterr().err
    assert edited in out.read_text() and len(server.requests) == asked


@pytest.mark.parametrize(
    "content", ['[{"id": "a"}]', "notes", '{"id": "other"}\n', "\x1f\x8b", '{"id": "other"}\n{"id": "a']
)
def test_a_file_that_this_command_did_not_write_stays_as_it_is(start, tmp_path, content, capsys):
    server = start(solving(make_episodes(2, seed=5)))
    out = tmp_path / "mine.json"
    out.write_text(content)
    assert command(server, out, size=2) == 2
    assert out.read_text() == content and not server.requests
    assert "choose another name" in capsys.readouterr().err


def test_a_bad_key_ends_the_command_with_one_line(start, tmp_path, capsys):
    server = start(lambda *_: (401, "invalid api key"))
    assert command(server, tmp_path / "taught.jsonl") == 2
    assert "status 401: invalid api key" in capsys.readouterr().err


def test_nothing_worth_keeping_is_said(start, tmp_path, capsys):
    server = start(lambda *_: calling('finish(answer="")'))
    assert command(server, tmp_path / "taught.jsonl") == 0
    assert "left out: " in capsys.readouterr().out
