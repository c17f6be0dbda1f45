"""Servers that misbehave: the evaluation goes on, in bounded time and space, and nobody else learns the key."""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest.mock import Mock, call

import pytest

import evaluate
from tl.rollout import endpoint
from tl.rollout.endpoint import KEY_VARIABLE, Endpoint, EndpointError

KEY = "sk-0123456789abcdef"
NO_LENGTH = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


def whole(body: str | bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An answer as it goes over the wire."""
    data = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + data


def message(**fields: Any) -> bytes:
    return whole(json.dumps({"choices": [{"message": fields}]}))


GOOD = message(content="Hi")


@pytest.fixture
def serve():
    """Starts a server whose `answer(connection, request)` writes what it likes; returns its URL and the requests."""
    listeners = []

    def start(answer: bytes | Callable[[socket.socket, bytes], None]) -> tuple[str, list[bytes]]:
        requests: list[bytes] = []
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def one(connection: socket.socket) -> None:
            with connection, connection.makefile("rb") as file:
                head = b"".join(iter(file.readline, b"\r\n"))
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                requests.append(head + file.read(int(lengths[0].split(b":")[1]) if lengths else 0))
                with suppress(OSError):  # the client has had enough
                    connection.sendall(answer) if isinstance(answer, bytes) else answer(connection, requests[-1])

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1", requests

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def in_turn(*answers: bytes) -> Callable[[socket.socket, bytes], None]:
    left = list(answers)
    return lambda connection, _: connection.sendall(left.pop(0))


def refusal(url: str, **settings: Any) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        Endpoint(url, "m", **({"wait": 0.001, "retries": 1, "key": KEY} | settings)).chat([])
    return caught.value


# ---- the key


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_the_key_does_not_follow_a_redirect(serve, status):
    elsewhere, stolen = serve(GOOD)
    url, _ = serve(whole("", status, f"Location: {elsewhere}/chat/completions"))
    assert f"{elsewhere}/chat/completions: use that address if you trust it" in str(refusal(url))
    assert stolen == []


def test_a_key_is_stripped_as_files_with_keys_end_in_a_new_line(serve, monkeypatch):
    url, requests = serve(GOOD)
    monkeypatch.setenv(KEY_VARIABLE, f" {KEY}\r\n")
    Endpoint(url, "m").chat([])
    assert f"Authorization: Bearer {KEY}\r\n".encode() in requests[0]


@pytest.mark.parametrize("key", ["two words of it", "sk-abc\x00def", "sk-abc\rdef", "schlüssel"])
def test_a_key_that_no_header_may_hold_is_refused_and_not_repeated(key):
    with pytest.raises(EndpointError, match=KEY_VARIABLE) as caught:
        Endpoint("http://localhost/v1", "m", key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [f"https://me:{KEY}@host/v1", f"https://{KEY}@host/v1", f"https://host/v1?key={KEY}", f"https://host/v1#{KEY}"],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(url):
    with pytest.raises(EndpointError, match=KEY_VARIABLE) as caught:
        Endpoint(url, "m")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "https://host:99999/v1", "http://host:x/v1", f"ftp://me:{KEY}@host/v1"])
def test_an_address_that_is_none_is_refused_and_shows_no_secret(url):
    with pytest.raises(EndpointError, match="http:// or https:// URL") as caught:
        Endpoint(url, "m")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        whole(f"Incorrect API key provided: {KEY}.", "401 Unauthorized"),
        whole(json.dumps({"error": KEY})),
        whole("", "302 Found", f"Location: http://elsewhere/?key={KEY}"),
    ],
)
def test_a_key_that_the_server_repeats_is_not_told(serve, answer):
    url, _ = serve(answer)
    error = str(refusal(url))
    assert KEY not in error and f"[{KEY_VARIABLE}]" in error


def test_the_key_of_local_servers_is_a_word_like_others(serve):
    url, _ = serve(whole("the prompt is EMPTY", "400 Bad Request"))
    assert "prompt is EMPTY" in str(refusal(url, key="EMPTY"))


def test_what_a_server_says_cannot_steer_the_terminal(serve):
    url, _ = serve(whole("\x1b]0;owned\x07\x1b[2Jno \u202esuch model", "404 Not Found"))
    assert r"\x1b]0;owned\x07\x1b[2Jno \u202esuch model" in str(refusal(url))


# ---- answers


MALFORMED = {
    "no JSON": (whole("<html>busy</html>"), "not JSON"),
    "too deep": (whole("[" * 100_000), "nested too deeply"),
    "an empty list": (whole('{"choices": []}'), "not a chat completion"),
    "a list": (whole("[1, 2]"), "not a chat completion"),
    "no message": (whole('{"choices": [{"message": 5}]}'), "not a chat completion"),
    "half a character there": (whole('{"choices": ["\\ud83d"]}'), "not a chat completion"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_answer_is_told_as_that(serve, what):
    answer, reason = MALFORMED[what]
    url, _ = serve(answer)
    error = refusal(url)
    assert error.malformed and not error.unreachable and reason in str(error)


DEEP = "[" * 5_000 + "]" * 5_000
ODD = {
    "tool calls that are no list": message(tool_calls=5),
    "a call that is no object": message(tool_calls=["x", None]),
    "half a character as a name": message(tool_calls=[{"function": {"name": "\ud83d", "arguments": "{}"}}]),
    "half a character": message(tool_calls=[{"function": {"name": "f\ud83d", "arguments": {"x\ud83d": "\ud83d"}}}]),
    "half a character in words": message(content="so \ud83d"),
    "deep arguments": message(tool_calls=[{"function": {"name": "f", "arguments": DEEP}}]),
    "deep words": message(content=DEEP),
    "over a million characters": message(content="a" * 1_100_000),
    "a million characters of arguments": message(
        tool_calls=[{"function": {"name": "f", "arguments": "1" * 1_100_000}}]
    ),
    "content that is a number": message(content=5),
    "parts that are none": message(content=[5, {"text": 5}, {"type": "image"}]),
    "huge numbers": message(tool_calls=[{"function": {"name": "f", "arguments": '{"x": 1e999, "y": NaN}'}}]),
}


def test_the_evaluation_scores_odd_answers_leaves_out_malformed_ones_and_goes_on(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(endpoint, "time", Mock())
    answers = [*ODD.values()]
    for place, (answer, _) in enumerate(MALFORMED.values()):
        answers.insert(3 * place, answer)  # never three in a row
    given: dict[bytes, bytes] = {}  # the answer to a request, the same when it is tried again
    url, _ = serve(
        lambda connection, request: connection.sendall(given.setdefault(request, answers[len(given) % len(answers)]))
    )
    report = tmp_path / "report.json"
    flags = ["--endpoint", url, "--endpoint_model", "m", "--suite", "held-out", "--batch_size", "1"]
    flags += ["--limit", str(len(answers)), "--report", str(report)]
    with pytest.warns(UserWarning, match="not a chat completion"):
        assert evaluate.main(flags) == 1, "some items are missing"
    (suite,) = json.loads(report.read_text())["suites"].values()
    assert len(given) == len(answers) and len(suite["missing"]) == len(MALFORMED)
    assert [item["scores"]["strict"]["cf"] for item in suite["items"]] == [False] * len(ODD)
    assert all(item["reason"] for item in suite["items"])


# ---- bounds


def test_a_connection_that_breaks_is_tried_again(serve):
    url, requests = serve(in_turn(GOOD[:-5], whole("busy" * 99, "503 Busy")[:-99], b"", GOOD))
    assert Endpoint(url, "m", wait=0.001).chat([]).message == {"content": "Hi"}
    assert len(requests) == 4


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: ", NO_LENGTH, b"HTTP/1.1 500 X\r\n\r\n"])
def test_a_server_that_drips_gets_the_time_of_one_request(serve, start):
    def drip(connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(b" ")
            time.sleep(0.02)

    url, _ = serve(drip)
    begin = time.monotonic()
    error = refusal(url, timeout=0.2, retries=0)
    assert error.late and not error.unreachable and "no complete answer within 0.2 seconds" in str(error)
    assert time.monotonic() - begin < 5


def test_no_more_is_read_than_an_answer_may_have(serve, monkeypatch):
    monkeypatch.setattr(endpoint, "MAX_ANSWER", 1 << 20)
    sent = 0

    def flood(connection: socket.socket, _: bytes) -> None:
        nonlocal sent
        connection.sendall(NO_LENGTH)
        while True:
            sent += connection.send(b" " * 65_536)

    url, _ = serve(flood)
    error = refusal(url)
    assert error.malformed and "more than 1,048,576 bytes" in str(error)
    assert sent < 64 << 20  # what fits into buffers; the server goes on until the connection is closed


def test_a_server_does_not_say_how_long_we_wait(serve, monkeypatch):
    monkeypatch.setattr(endpoint, "time", clock := Mock())
    url, _ = serve(whole("later", "429 Too Many", "Retry-After: " + "9" * 400))
    refusal(url, retries=2)
    assert clock.sleep.mock_calls == [call(endpoint.MAX_WAIT)] * 2
