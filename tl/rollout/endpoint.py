"""Models behind an OpenAI-compatible HTTP server: a small client, and such a model as a `Policy`."""

import http.client
import json
import os
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, NamedTuple, TypeVar

from tl.calls import Call, CallSyntaxError, format_call
from tl.errors import UserError
from tl.files import spelled
from tl.forms import ARGUMENT_KEYS, drop_reasoning, read_calls
from tl.rollout.dialogue import Dialogue, Response, StopReason
from tl.schema import FINISH, ToolSpec
from tl.trajectory import Trajectory, call_text

KEY_VARIABLE = "OPENAI_API_KEY"  # environment variable with the key, for servers that want one
MAX_ERROR_CHARACTERS = 300  # of a server's message that an error repeats
MAX_ANSWER = 16 << 20  # bytes
MAX_WAIT = 60.0  # seconds before a retry, whatever the server asks for
MAX_FAILED = 3  # answers that are late or malformed, one after the other
TOO_LONG = (
    "the server finds some conversations too long for the model's context: these turns are wrong, and a smaller "
    "--max_new_tokens leaves them more room"
)
SHORTEST_SECRET = 8  # characters; shorter keys, such as "EMPTY", are words that keep no secret

_NO_ROOM = re.compile(  # what servers say of a conversation that is too long for the model
    r"context.?(length|window|size)|(prompt|input) is too long|input token count|maximum model length", re.IGNORECASE
)

T = TypeVar("T")


class EndpointError(UserError):
    """A failed request. `unreachable`: there was no answer at all, so the next request will fail as well. `late`: there
    was none in time, which may be due to this request. `refused`: the server rejected the request itself. `malformed`:
    the answer is not a chat completion, which may be due to it, too. `retry_after`: seconds after which it may succeed;
    None if it never will."""

    def __init__(
        self,
        message: str,
        *,
        unreachable: bool = False,
        late: bool = False,
        refused: bool = False,
        malformed: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(spelled(message))
        self.unreachable, self.late, self.refused, self.malformed = unreachable, late, refused, malformed
        self.retry_after = retry_after


class Reply(NamedTuple):
    """The model's next message (`content`, `tool_calls`), and why it ended; "length" if it was cut."""

    message: dict
    finish_reason: str


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirects, which would send the key and the conversation to another address."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server and one of its models.

    `url` is the base (`http://host:8000/v1`) or the whole address (`…/chat/completions`). Temporary failures are
    retried `retries` times with waits that double from `wait` seconds: connection errors, time-outs, answers that are
    not JSON or hold an `error`, status 408, 409, 429, 5xx. Redirects are not followed. No error message contains the
    key.
    """

    url: str
    model: str
    timeout: float = 120.0  # seconds from the request to the last byte of its answer
    retries: int = 4
    wait: float = 1.0  # seconds before the first retry
    key: str = field(default_factory=lambda: os.environ.get(KEY_VARIABLE, ""), repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urllib.parse.urlsplit(self.url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid or not (self.url.isascii() and self.url.isprintable()) or " " in self.url:
            shown = _without_user(self.url)
            raise EndpointError(f"an endpoint must be an http:// or https:// URL of ASCII characters, not {shown!r}")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise EndpointError(
                f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}: an endpoint's address ends with its "
                f"path and contains no user, because it appears in reports; put the key into {KEY_VARIABLE}"
            )
        object.__setattr__(self, "key", self.key.strip())
        if not (self.key.isascii() and self.key.isprintable() and " " not in self.key):
            raise EndpointError(
                f"the key in {KEY_VARIABLE} contains a space or a character that is not allowed in a header"
            )

    def chat(self, messages: Sequence[dict], tools: Sequence[dict] = (), **options: Any) -> Reply:
        """Requests the model's next message.

        `tools` are OpenAI function schemas, `options` further fields of the request such as `temperature`. Raises
        EndpointError if the server refuses, keeps failing, or does not answer with a chat completion.
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
            shown = self._without_key(json.dumps(answer))
            raise self._error(f"the answer is not a chat completion: {shown:.200}", malformed=True)
        return Reply(message, str(choice.get("finish_reason")))

    def _post(self, body: dict) -> Any:
        for left in range(self.retries, -1, -1):
            try:
                return self._post_once(body)
            except EndpointError as error:
                if not left or error.retry_after is None:
                    raise
                time.sleep(min(MAX_WAIT, max(error.retry_after, self.wait * 2 ** (self.retries - left))))

    def _post_once(self, body: dict) -> Any:
        url = self.url.rstrip("/")
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(
            url if url.endswith("/chat/completions") else f"{url}/chat/completions",
            json.dumps(body).encode(),
            headers,
        )
        try:
            status, header, said = _within(self.timeout, lambda: _exchange(request, self.timeout))
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", None) or error
            late = isinstance(cause, TimeoutError)
            raise self._error(f"{cause}", late=late, unreachable=not late, retry_after=0) from None
        except ValueError as error:  # of urllib, for an address or an answer that makes no sense
            raise self._error(f"no HTTP answer: {error}", malformed=True) from None
        if not 200 <= status < 300:
            words = self._words(said)
            if 300 <= status < 400:
                words = f"the server redirects to {header.get('Location', '?')}: use that address if you trust it"
            may_pass = status in (408, 409, 429) or status >= 500
            raise self._error(
                f"status {status}: {words or http.client.responses.get(status, '')}",
                refused=status in (400, 422),
                retry_after=_seconds(header.get("Retry-After")) if may_pass else None,
            )
        if len(said) > MAX_ANSWER:
            raise self._error(f"an answer of more than {MAX_ANSWER:,} bytes", malformed=True)
        try:
            answer = json.loads(said)
        except RecursionError:
            raise self._error("the answer is nested too deeply", malformed=True) from None
        except ValueError:
            raise self._error(f"the answer is not JSON: {self._words(said)}", malformed=True, retry_after=0) from None
        if isinstance(answer, dict) and answer.get("error") and not answer.get("choices"):
            raise self._error(f"status {status}, but an error: {self._words(said)}", retry_after=0)
        return answer

    def _words(self, said: bytes) -> str:
        """What the server says, as far as an error repeats it."""
        return self._without_key(said.decode(errors="replace")).strip()[:MAX_ERROR_CHARACTERS]

    def _error(self, problem: str, **kind: Any) -> EndpointError:
        return EndpointError(f"{self.url}: {self._without_key(problem)}", **kind)

    def _without_key(self, text: str) -> str:
        """A text without the key, which some servers repeat; it must not have been cut before."""
        return text.replace(self.key, f"[{KEY_VARIABLE}]") if len(self.key) >= SHORTEST_SECRET else text


def _without_user(url: str) -> str:
    """The address without user and query, which may hold secrets."""
    return url.rpartition("@")[2].partition("?")[0]


def _exchange(request: urllib.request.Request, timeout: float) -> tuple[int, Message, bytes]:
    """Status, headers and body, of which at most MAX_ANSWER + 1 bytes are read. `timeout` limits each wait."""
    try:
        response = _OPENER.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        try:
            said = response.read(MAX_ANSWER + 1)
            if response.length and len(said) <= MAX_ANSWER:
                raise http.client.IncompleteRead(said, response.length)
        except (OSError, http.client.HTTPException):
            if 200 <= response.status < 300:
                raise
            said = b""  # the status says enough
        return response.status, response.headers, said


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Returns or raises what `work` does, and raises TimeoutError if that takes longer. A socket's own time-out does
    not suffice: a server may send a byte at a time. The thread of `work` then continues unattended."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"no complete answer within {seconds:g} seconds") from None


def _seconds(retry_after: str | None) -> float:
    """The header as seconds; 0 if it is absent or a date."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0


class EndpointPolicy:
    """Answers dialogues through an endpoint, `parallel` at a time, greedily.

    Tool calls become text in our own form; text without tool calls is read by `texts_of`. If the server rejects
    `max_tokens`, `max_completion_tokens` is sent instead; if it rejects temperature 0, none is sent. A conversation
    that the server finds too long for the model is a wrong turn, as with a local model. Any other failure is no turn of
    the model. Once the server cannot be reached, or is late or gives no chat completion MAX_FAILED times in a row,
    nothing more is sent.
    """

    def __init__(self, endpoint: Endpoint, form: str, parallel: int, max_tokens: int) -> None:
        self.endpoint, self.form, self.parallel, self.max_tokens = endpoint, form, parallel, max_tokens
        self.options: dict[str, float] = {"temperature": 0.0, "max_tokens": max_tokens}
        self.unreachable = ""
        self.failed = 0  # requests in a row without a proper answer in time
        self.broken = ""  # why no request can succeed, such as a key that is refused

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
            may_pass = error.late or error.malformed  # with another request
            self.failed = self.failed + 1 if may_pass else 0
            if error.refused and _NO_ROOM.search(str(error)):
                warnings.warn(TOO_LONG, stacklevel=2)
                return Response(note=str(error), stop=StopReason.CONTEXT)
            if error.unreachable or self.failed >= MAX_FAILED:
                self.unreachable = str(error)
            if not error.refused and (not may_pass or self.unreachable):
                self.broken = str(error)
            return Response(note=str(error), stop=StopReason.POLICY)
        self.failed = 0
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
    """The options without the one that the server says it does not support; unchanged if it names none."""
    if "max_tokens" in options and "max_tokens" in said and ("max_completion_tokens" in said or "support" in said):
        renamed = {"max_tokens": "max_completion_tokens"}
        return {renamed.get(key, key): value for key, value in options.items()}
    if "temperature" in options and "temperature" in said:
        warnings.warn("the server rejects temperature 0: it samples at its own temperature", stacklevel=4)
        return {key: value for key, value in options.items() if key != "temperature"}
    return options


def _content(message: dict) -> str:
    """The text of a message, given as a string or as parts. Lone surrogates, which JSON can hold but no file, are
    replaced."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part["text"]) for part in content if isinstance(part, dict) and part.get("text"))
    return _storable(content) if isinstance(content, str) else ""


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _call_text(call: object) -> str:
    """The text of a tool call in a message, however malformed it is."""
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        return call_text("?", None)
    given = next((function[key] for key in ARGUMENT_KEYS if function.get(key) is not None), None)
    return call_text(_storable(function["name"]), _storable(given) if isinstance(given, str) else given)


def texts_of(message: dict, form: str = "auto", tools: Sequence[ToolSpec] = ()) -> list[str]:
    """The calls of an assistant's message as texts. Arguments that do not parse are kept as they are.

    Text without tool calls is read in the given form of `tl.forms`. If it contains no call, it is the final answer with
    form "auto"; with another form it should have been a call, and is kept as it is.
    """
    given = message.get("tool_calls") or message.get("function_call") or []
    texts = [_call_text(call) for call in (given if isinstance(given, list) else [given])]
    if texts:
        return texts
    content, _ = drop_reasoning(_content(message))
    try:
        return [format_call(call) for call in read_calls(content, form, tools)]
    except (CallSyntaxError, ValueError):
        said = content.strip()
        with suppress(ValueError):  # longer than a call may be
            return [format_call(Call(FINISH.name, {"answer": content}))] if form == "auto" and said else [said]
        return [said]
