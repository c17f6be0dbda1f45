"""The client of OpenAI-compatible servers, against a real local one: what is sent, retries, failures half-way."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import Mock

import pytest

from tl.rollout import endpoint
from tl.rollout.dialogue import Dialogue, Response, StopReason, prediction_of
from tl.rollout.endpoint import Endpoint, EndpointError, EndpointPolicy, texts_of
from tl.schema import BUILT_INS
from tl.trajectory import Message

DIALOGUE = Dialogue(BUILT_INS, (Message("user", "Hello"),))


@pytest.fixture
def serve():
    """Starts a server whose `answer(body)` gives a message, or (status, text); returns its URL and what it was sent."""
    servers = []

    def start(answer):
        requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                requests.append((self.path, self.headers["Authorization"], body))
                said = answer(body)
                status, text = said if isinstance(said, tuple) else (200, json.dumps({"choices": [{"message": said}]}))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1", requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def in_turn(*answers):
    left = list(answers)
    return lambda body: left.pop(0)


def test_a_chat_sends_model_messages_tools_and_key(serve):
    url, requests = serve(lambda body: {"content": "Hi"})
    reply = Endpoint(url, "m", key="secret").chat([{"role": "user", "content": "a"}], [{"x": 1}], temperature=0.0)
    assert reply.message == {"content": "Hi"}
    expected = {"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": 0.0, "tools": [{"x": 1}]}
    assert requests == [("/v1/chat/completions", "Bearer secret", expected)]
    assert "secret" not in repr(Endpoint(url, "m", key="secret"))


@pytest.mark.parametrize(
    "trouble", [(500, "down"), (429, "slow"), (200, "not json"), (200, '{"error": {"message": "overloaded"}}')]
)
def test_what_may_pass_is_tried_again(serve, trouble):
    url, requests = serve(in_turn(trouble, trouble, {"content": "Hi"}))
    assert Endpoint(url, "m", wait=0.001).chat([]).message == {"content": "Hi"}
    assert len(requests) == 3


def test_a_refusal_is_final_and_repeats_what_the_server_says(serve):
    url, requests = serve(lambda body: (401, "bad key"))
    with pytest.raises(EndpointError, match="status 401: bad key"):
        Endpoint(url, "m", wait=0.001).chat([])
    assert len(requests) == 1


def test_a_server_that_keeps_failing_is_given_up(serve):
    url, requests = serve(lambda body: (503, "busy"))
    with pytest.raises(EndpointError, match="busy") as error:
        Endpoint(url, "m", retries=2, wait=0.001).chat([])
    assert len(requests) == 3 and not error.value.unreachable


def test_an_answer_that_is_no_chat_completion_is_an_error(serve):
    url, _ = serve(lambda body: (200, '{"choices": []}'))
    with pytest.raises(EndpointError, match="not a chat completion"):
        Endpoint(url, "m").chat([])


def test_an_answer_that_is_no_http_is_an_error_of_this_answer(serve, monkeypatch):
    url, _ = serve(lambda body: {"content": "Hi"})
    with monkeypatch.context() as patch, pytest.raises(EndpointError, match="no HTTP answer: length") as error:
        patch.setattr(endpoint, "_exchange", Mock(side_effect=ValueError("length must be non-negative")))
        Endpoint(url, "m").chat([])
    assert error.value.malformed and not error.value.unreachable


@pytest.mark.parametrize("status", [401, 200])
def test_a_key_is_left_out_also_where_the_servers_words_are_cut(serve, status):
    url, _ = serve(lambda body: (status, json.dumps({"said": "x" * 180 + "sk-secret-012345678" + "y" * 300})))
    with pytest.raises(EndpointError) as error:
        Endpoint(url, "m", wait=0.001, key="sk-secret-012345678").chat([])
    assert "sk-" not in str(error.value)


def test_nobody_there_is_unreachable():
    with pytest.raises(EndpointError) as error:
        Endpoint("http://127.0.0.1:9", "m", retries=1, wait=0.001).chat([])
    assert error.value.unreachable


def test_an_address_has_to_be_http():
    with pytest.raises(EndpointError, match="http"):
        Endpoint("file:///etc/passwd", "m")


def test_a_policy_gives_the_calls_of_each_dialogue(serve):
    call = {"id": "1", "function": {"name": "finish", "arguments": '{"answer": "Hi"}'}}
    url, requests = serve(lambda body: {"content": None, "tool_calls": [call]})
    turns = EndpointPolicy(Endpoint(url, "m"), "auto", 2, 99)([DIALOGUE] * 3)
    assert [turn.texts for turn in turns] == [('finish(answer="Hi")',)] * 3
    assert requests[0][2]["messages"] == [{"role": "user", "content": "Hello"}]
    assert [tool["function"]["name"] for tool in requests[0][2]["tools"]] == ["ask_to_user", "finish"]
    assert (requests[0][2]["temperature"], requests[0][2]["max_tokens"]) == (0.0, 99)


def picky(body):
    """A server of newer models: no `max_tokens`, no temperature."""
    for key, said in (("max_tokens", "Use 'max_completion_tokens' instead."), ("temperature", "Only the default.")):
        if key in body:
            return 400, f"Unsupported parameter: '{key}' is not supported. {said}"
    return {"content": "Hi"}


def test_a_server_that_refuses_an_option_is_asked_without_it_from_then_on(serve):
    url, requests = serve(picky)
    policy = EndpointPolicy(Endpoint(url, "m"), "auto", 1, 99)
    with pytest.warns(UserWarning, match="rejects temperature 0"):
        assert [turn.texts for turn in policy([DIALOGUE] * 2)] == [('finish(answer="Hi")',)] * 2
    sent = [{k for k in body if k in ("max_tokens", "max_completion_tokens", "temperature")} for *_, body in requests]
    new = "max_completion_tokens"
    assert sent == [{"max_tokens", "temperature"}, {new, "temperature"}, {new}, {new}]
    assert requests[-1][2][new] == 99


def test_an_error_that_stays_is_told_as_that_and_not_as_an_answer(serve):
    url, _ = serve(lambda body: (200, '{"error": {"message": "upstream is down"}}'))
    with pytest.raises(EndpointError, match="status 200, but an error: .*upstream is down") as error:
        Endpoint(url, "m", retries=1, wait=0.001).chat([])
    assert not error.value.malformed and not error.value.refused


@pytest.mark.parametrize("said", ["max_tokens is too large for this model", "the prompt was flagged"])
def test_another_refusal_changes_nothing(serve, said):
    url, requests = serve(lambda body: (400, said))
    [turn] = EndpointPolicy(Endpoint(url, "m"), "auto", 1, 99)([DIALOGUE])
    assert turn.stop is StopReason.POLICY and len(requests) == 1


@pytest.mark.parametrize(
    ("message", "texts"),
    [
        ({"content": "The answer is, since we first"}, ("The answer is, since we first",)),
        ({"content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"x": '}}]}, ('f({"x": )',)),
    ],
)
def test_a_turn_that_was_cut_is_no_answer(serve, message, texts):
    answer = {"choices": [{"message": message, "finish_reason": "length"}]}
    url, _ = serve(lambda body: (200, json.dumps(answer)))
    [turn] = EndpointPolicy(Endpoint(url, "m"), "auto", 1, 99)([DIALOGUE])
    assert turn == Response(texts, "did not stop within 99 tokens", StopReason.CUT)


def test_one_item_that_fails_does_not_stop_the_others(serve):
    url, _ = serve(in_turn((400, "flagged"), {"content": "Hi"}))
    turns = EndpointPolicy(Endpoint(url, "m"), "auto", 1, 99)([DIALOGUE] * 2)
    assert turns[0].stop is StopReason.POLICY and "flagged" in turns[0].note
    assert turns[1].texts == ('finish(answer="Hi")',)


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 4600 tokens.",
        '{"error": {"code": "context_length_exceeded"}}',
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "the request exceeds the available context size (4096 tokens), try increasing it",
        "prompt is too long: 208310 tokens > 200000 maximum",
    ],
)
def test_a_conversation_too_long_for_the_model_is_its_wrong_turn_as_with_a_local_one(serve, said):
    url, _ = serve(in_turn((400, said), {"content": "Hi"}))
    policy = EndpointPolicy(Endpoint(url, "m"), "auto", 1, 99)
    with pytest.warns(UserWarning, match="too long for the model's context"):
        turns = policy([DIALOGUE] * 2)
    assert turns[0].stop is StopReason.CONTEXT and said in turns[0].note and not turns[0].texts
    assert prediction_of(turns[0]).calls == () and prediction_of(turns[0]).problem
    assert turns[1].texts == ('finish(answer="Hi")',) and not policy.broken


def test_a_late_answer_is_that_items_problem_and_three_in_a_row_are_the_servers(serve, monkeypatch):
    url, _ = serve(lambda body: {"content": "Hi"})
    late, real = TimeoutError("no complete answer within 1 seconds"), endpoint._exchange
    outcomes = [late, None, late, late, late, None]

    def exchange(*arguments):
        problem = outcomes.pop(0)
        if problem:
            raise problem
        return real(*arguments)

    monkeypatch.setattr(endpoint, "_exchange", exchange)
    policy = EndpointPolicy(Endpoint(url, "m", retries=0), "auto", 1, 99)
    answered = [bool(turn.texts) for turn in policy([DIALOGUE] * 6)]
    assert answered == [False, True, False, False, False, False] and len(outcomes) == 1
    assert policy.broken == policy.unreachable != ""


@pytest.mark.parametrize("page", ["<html>Please log in.</html>", "data: {}", '{"choices": []}'])
def test_what_is_no_completion_is_no_turn_of_the_model_and_three_in_a_row_are_the_servers_fault(serve, page):
    good = {"content": "Hi"}
    url, requests = serve(in_turn((200, page), good, (200, page), (200, page), good, *[(200, page)] * 3))
    policy = EndpointPolicy(Endpoint(url, "m", retries=0), "auto", 1, 99)
    turns = policy([DIALOGUE] * 10)
    answered = [bool(turn.texts) for turn in turns]
    assert answered == [False, True, False, False, True, False, False, False, False, False]
    assert all(turn.stop is StopReason.POLICY and page in turn.note for turn in turns if not turn.texts)
    assert len(requests) == 8 and policy.broken == policy.unreachable == turns[-1].note


def test_once_the_server_is_gone_nothing_more_is_asked():
    policy = EndpointPolicy(Endpoint("http://127.0.0.1:9", "m", retries=0), "auto", 1, 99)
    turns = policy([DIALOGUE] * 50)
    assert all(turn.stop is StopReason.POLICY for turn in turns) and policy.unreachable


@pytest.mark.parametrize(
    ("message", "texts"),
    [
        ({"content": 'Action: f\nAction Input: {"x": 1}'}, ["f(x=1)"]),
        ({"content": "It is six."}, ['finish(answer="It is six.")']),
        (
            {"content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "six."}]},
            ['finish(answer="It is six.")'],
        ),
        ({"content": "It is six.", "tool_calls": None}, ['finish(answer="It is six.")']),
        ({"content": ""}, [""]),
        ({"content": "half \ud83d"}, ['finish(answer="half ?")']),
        ({"tool_calls": [{"function": {"name": "f", "arguments": '{"x": "\\ud83d"}'}}]}, ['f({"x": "\\ud83d"})']),
        ({"content": None}, [""]),
        ({"tool_calls": [{"function": {"name": "f", "arguments": "{x"}}]}, ["f({x)"]),
        ({"tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}, ["f(x=1)"]),
        ({"content": "so", "tool_calls": [{"function": {"name": n, "arguments": ""}} for n in "fg"]}, ["f()", "g()"]),
        ({"tool_calls": [None]}, ['"?"()']),
        ({"tool_calls": [{"name": "f", "arguments": "null"}]}, ["f()"]),
        ({"tool_calls": [{"function": {"name": "f", "arguments": '"{\\"x\\": 1}"'}}]}, ["f(x=1)"]),
        ({"tool_calls": [{"function": {"name": "f", "parameters": {"x": 1}}}]}, ["f(x=1)"]),
        ({"content": "so", "function_call": {"name": "f", "arguments": '{"x": "a\nb"}'}}, ['f(x="a\\nb")']),
        ({"content": '<think>hm</think><tool_call>{"name": "f", "arguments": {}}</tool_call>'}, ["f()"]),
        ({"content": "<think>hm</think>It is six."}, ['finish(answer="It is six.")']),
    ],
)
def test_what_a_message_says_as_texts(message, texts):
    assert texts_of(message) == texts
