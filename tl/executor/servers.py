"""The tools of MCP servers (Model Context Protocol, over stdin and stdout), by the official client, the package `mcp`.

A server is a program of the user's that runs with the user's rights, outside of any isolation; an episode has servers
of its own. The client runs in the session's process, as the tools of a file do.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

from tl.calls import JSON
from tl.executor.library import Catalogue, Tool
from tl.executor.toolkits import ToolkitError
from tl.mae import classify_feedback
from tl.schema import ToolSpec

LIST_SECONDS = 20.0  # less than the pool waits before it kills the client, which would leave the server behind
INSTALL = "MCP servers need the package mcp: pip install mcp==2.3.0"


class Servers(Catalogue):
    """The tools of the servers that `commands` start, which are started once to list them.

    `memory`: bytes that the client of an episode may take. `loading` is called with each command before it starts.
    Raises `ToolkitError` for a server that cannot be used.
    """

    def __init__(self, commands: Sequence[str], memory: int, loading: Callable[[str], object]) -> None:
        super().__init__()
        self._memory = memory
        self._cwd = os.getcwd()
        try:
            import anyio  # a dependency of mcp
            import mcp  # noqa: F401 - imported once, before sessions are forked
        except ImportError:
            raise ToolkitError(INSTALL) from None
        for command in commands:
            if not command.strip():
                raise ToolkitError("the command of an MCP server is empty: name the program that starts it")
            loading(command)
            with TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
                try:
                    specs = {spec.name: spec for spec in map(ToolSpec.from_openai, anyio.run(self._list, command, log))}
                    if not specs:
                        raise ToolkitError(f"MCP server {command!r} has no tools")
                    self.add(command, specs)
                except ToolkitError:
                    raise
                except Exception as error:
                    reason = f"{_innermost(error)!r}{_last_line(log)}"
                    raise ToolkitError(f"MCP server {command!r} cannot be used: {reason}") from error

    async def _list(self, command: str, log: TextIO) -> list[dict]:
        import anyio

        declared: list[dict] = []
        with anyio.move_on_after(LIST_SECONDS):
            async with self._client(command, log) as client:
                cursor = None
                while True:
                    page = await client.list_tools(cursor=cursor)
                    declared += [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools]
                    cursor = page.next_cursor
                    if not cursor:
                        return declared
        raise TimeoutError(f"it did not list its tools within {LIST_SECONDS:g} seconds")

    def _client(self, command: str, log: TextIO) -> Any:
        """Of a server that starts when the client is entered, and whose stderr is `log`."""
        from mcp import Client, StdioServerParameters, stdio_client

        program, *arguments = shlex.split(command)
        server = StdioServerParameters(command=program, args=arguments, cwd=self._cwd, encoding_error_handler="replace")
        return Client(stdio_client(server, log))

    def open(self, seed: int, names: Collection[str] | None = None) -> OpenServers:
        """A new episode with the `chosen` tools."""
        return OpenServers(self, self._client, names, self._memory)


class OpenServers:
    """The servers of one episode and their tools. They end with the process that they are opened in."""

    def __init__(self, catalogue: Catalogue, client: Any, names: Collection[str] | None, memory: int) -> None:
        from anyio.from_thread import start_blocking_portal

        chosen = catalogue.chosen(names)
        self._open = ExitStack()  # never closed
        self._portal = self._open.enter_context(start_blocking_portal())
        self._clients = {
            command: self._open.enter_context(self._portal.wrap_async_context_manager(client(command, sys.stderr)))
            for command in dict.fromkeys(catalogue.toolkit_of[name] for name in chosen)
        }
        _limit_memory(memory)
        self.tools = {
            name: Tool(catalogue.specs[name], partial(self._run, catalogue.toolkit_of[name], name)) for name in chosen
        }

    def _run(self, command: str, tool: str, /, **arguments: JSON) -> str:
        """What the server says, as text. Once it has ended, so does this process: the next call has a new one."""
        from mcp import MCPError, types

        try:
            result = self._portal.call(self._clients[command].call_tool, tool, arguments)
        except MCPError as error:
            # Servers have errors of their own with the client's code.
            if (error.code, error.message) == (types.CONNECTION_CLOSED, "Connection closed"):
                os._exit(1)
            raise
        except (ValueError, RuntimeError) as error:  # of the client
            raise ConnectionError(f"the server gave no proper answer: {error}") from error
        text = "\n".join(map(_text, result.content))
        if not result.content and result.structured_content is not None:
            text = json.dumps(result.structured_content, ensure_ascii=False)
        is_known = not result.is_error or classify_feedback(text).is_error
        return text if is_known else f"Error: {text}"

    def check(self, name: str, answer: str) -> bool:
        """Servers have no checks."""
        raise KeyError(name)


def _text(part: Any) -> str:
    """A part of a result: text as it is, also that of a resource; a link's address; anything else by its name."""
    of = getattr(part, "resource", part)
    if isinstance(text := getattr(of, "text", None), str):
        return text
    if part.type == "resource_link":
        return str(part.uri)
    kind = getattr(part, "mime_type", None) or getattr(of, "uri", "")
    return f"[{part.type} {kind}]".replace(" ]", "]")


def _limit_memory(memory: int) -> None:
    """From here on this process may take `memory` bytes more. Its servers, which are running, keep their own limits."""
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))


def _last_line(log: TextIO) -> str:
    """The end of what a server has written to stderr, to be appended to an error."""
    log.seek(0)
    *_, last = log.read().strip().split("\n")
    return f"; it said: {last:.300}" if last else ""


def _innermost(error: BaseException) -> BaseException:
    """What went wrong, out of the groups that asynchronous code wraps it in."""
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
