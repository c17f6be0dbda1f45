"""Models behind an OpenAI-compatible HTTP server: a small client, and such a model as a `Policy`."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tl.calls import Call, CallSyntaxError, format_call
from tl.forms import ARGUMENT_KEYS, drop_reasoning, read_calls
from tl.rollout.dialogue import Dialogue, Response, StopReason
from tl.schema import FINISH, ToolSpec
from tl.trajectory import Trajectory, call_text

KEY_VARIABLE = "OPENAI_API_KEY"  # environment variable with the key, for servers that want one
MAX_ERROR_CHARACTERS = 300  # of a server's message that an error repeats


class EndpointError(RuntimeError):
    """A request that failed for good. `unreachable`: there was no answer at all, so the next one will fail as well.
    `refused`: the server did not like the request itself."""

    def __init__(self, message: str, unreachable: bool = False, refused: bool = False) -> None:
        super().__init__(message)
        self.unreachable, self.refused = unreachable, refused


class Reply(NamedTuple):
    """The model's next message (`content`, perhaps `tool_calls`), and why it ends there, "length" where it was cut."""

    message: dict
    finish_reason: str


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server and one of its models.

    `url` is the base (`http://host:8000/v1`) or the whole address (`…/chat/completions`). What may pass is tried again,
    `retries` times with waits that double from `wait` seconds: connection errors, time-outs, status 408, 409, 429, 5xx.
    """

    url: str
    model: str
    timeout: float = 120.0  # seconds
    retries: int = 4
    wait: float = 1.0  # seconds before the first retry
    key: str = field(default_factory=lambda: os.environ.get(KEY_VARIABLE, ""), repr=False)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise EndpointError(f"an endpoint is an http:// or https:// address, not {self.url!r}")

    def chat(self, messages: Sequence[dict], tools: Sequence[dict] = (), **options: Any) -> Reply:
        """What the model says next.

        `tools` are OpenAI function schemas, `options` further fields of the request such as `temperature`.
        Raises EndpointError when the server refuses, keeps failing, or answers something else than a chat completion.
        """
        request = {"model": self.model, "messages": list(messages), **options}
        if tools:
            request["tools"] = list(tools)
        answer = self._post(request)
        try:
            choice = answer["choices"][0]
            message = choice["message"]
        except (KeyError, IndexError, TypeError):
            message = None
        if not isinstance(message, dict):
            raise EndpointError(f"{self.url}: the answer is no chat completion: {json.dumps(answer):.200}")
        return Reply(message, str(choice.get("finish_reason")))

    def _post(self, body: dict) -> Any:
        for left in range(self.retries, -1, -1):
            wait = self.wait * 2 ** (self.retries - left)
            try:
                return self._post_once(body)
            except urllib.error.HTTPError as error:
                wait = max(wait, _seconds(error.headers.get("Retry-After")))
                said = error.read(MAX_ERROR_CHARACTERS).decode(errors="replace").strip()
                problem = EndpointError(
                    f"{self.url}: status {error.code}: {said or error.reason}", refused=error.code in (400, 422)
                )
                may_pass = error.code in (408, 409, 429) or error.code >= 500
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                problem, may_pass = EndpointError(f"{self.url}: {reason}", unreachable=True), True
            except ValueError as error:
                problem, may_pass = EndpointError(f"{self.url}: the answer is not JSON: {error}"), True
            if not (left and may_pass):
                raise problem
            time.sleep(wait)

    def _post_once(self, body: dict) -> Any:
        url = self.url.rstrip("/")
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(
            url if url.endswith("/chat/completions") else f"{url}/chat/completions",
            json.dumps(body).encode(),
            headers,
        )
        with urllib.request.urlopen(request, timeout=self.timeout) as response:
            return json.loads(response.read())


def _seconds(retry_after: str | None) -> float:
    """The header as seconds; 0 where it is absent or a date."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0


class EndpointPolicy:
    """Answers dialogues through an endpoint, `parallel` at a time, greedily.

    Tool calls become texts of our own form; text without tool calls is read as `texts_of` says. A server that refuses
    `max_tokens` is asked with `max_completion_tokens`, one that refuses temperature 0 with its own. Once the server
    cannot be reached, nothing more is asked.
    """

    def __init__(self, endpoint: Endpoint, form: str, parallel: int, max_tokens: int) -> None:
        self.endpoint, self.form, self.parallel, self.max_tokens = endpoint, form, parallel, max_tokens
        self.options: dict[str, float] = {"temperature": 0.0, "max_tokens": max_tokens}
        self.unreachable = ""

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Response]:
        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(self._answer, dialogues))

    def _answer(self, dialogue: Dialogue) -> Response:
        if self.unreachable:
            return Response(note=self.unreachable, stop=StopReason.POLICY)
        record = Trajectory("", dialogue.tools, dialogue.messages).to_openai()
        try:
            message, reason = self._chat(record)
        except EndpointError as error:
            if error.unreachable:
                self.unreachable = str(error)
            return Response(note=str(error), stop=StopReason.POLICY)
        if reason == "length":
            said = [_content(message)] if _content(message) else texts_of(message)
            return Response(tuple(said), f"did not stop within {self.max_tokens} tokens", StopReason.CUT)
        return Response(tuple(texts_of(message, self.form, dialogue.tools)))

    def _chat(self, record: dict) -> Reply:
        while True:
            options = self.options
            try:
                return self.endpoint.chat(record["messages"], record["tools"], **options)
            except EndpointError as error:
                accepted = _accepted(options, str(error)) if error.refused else options
                if accepted == options:
                    raise
                self.options = accepted


def _accepted(options: dict[str, float], said: str) -> dict[str, float]:
    """The options without the one that the server says it does not support; the same ones where it says nothing."""
    if "max_tokens" in options and "max_tokens" in said and ("max_completion_tokens" in said or "support" in said):
        renamed = {"max_tokens": "max_completion_tokens"}
        return {renamed.get(key, key): value for key, value in options.items()}
    if "temperature" in options and "temperature" in said:
        warnings.warn("the server refuses temperature 0: its answers are drawn at its own", stacklevel=4)
        return {key: value for key, value in options.items() if key != "temperature"}
    return options


def _content(message: dict) -> str:
    """What it says in words, as a text or as parts; without halves of characters, which JSON can hold and no file."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part["text"]) for part in content if isinstance(part, dict) and part.get("text"))
    return content.encode(errors="replace").decode() if isinstance(content, str) else ""


def _without_reasoning(message: dict) -> str:
    return drop_reasoning(_content(message))[0]


def _call_text(call: object) -> str:
    """A call of the server's, whatever its arguments are."""
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        return call_text("?", None)
    given = next((function[key] for key in ARGUMENT_KEYS if function.get(key) is not None), None)
    return call_text(function["name"], given)


def texts_of(message: dict, form: str = "auto", tools: Sequence[ToolSpec] = ()) -> list[str]:
    """The calls of an assistant's message as texts. One whose arguments do not parse keeps them as they are.

    Text without tool calls is read in the given form of `tl.forms`. Where it holds no call, it is the final answer with
    the form "auto"; with another form it is a turn that should be a call of that form, and stays as it is.
    """
    single = message.get("function_call")
    texts = [_call_text(call) for call in message.get("tool_calls") or ([single] if single else [])]
    if texts:
        return texts
    content = _without_reasoning(message)
    try:
        return [format_call(call) for call in read_calls(content, form, tools)]
    except (CallSyntaxError, ValueError):
        answers = form == "auto" and content.strip()
        return [format_call(Call(FINISH.name, {"answer": content})) if answers else content.strip()]
