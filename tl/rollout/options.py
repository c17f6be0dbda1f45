"""Flags that select the tools and tasks used by synthesis, evaluation and PPO."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tl.config import option
from tl.executor import Executor
from tl.executor.toolkits import files_of
from tl.files import sha256


@dataclass
class ToolOptions:
    """Flags for the tools that run, and their isolation."""

    tools: list[str] = option([], "Python files of tools, or names of toolkits in the built-in library")
    mcp: list[str] = option([], "commands that start MCP servers, for their tools; servers run with your permissions")
    tasks: list[str] = option([], "JSONL files of tasks for these tools; see docs/tools.md")
    allow_network: bool = option(False, "let tools open network connections; everything else stays isolated")
    require_isolation: bool = option(False, "fail if tools cannot run fully isolated; see docs/executor.md")

    def start_executor(self, default: Sequence[str]) -> Executor:
        """Starts an executor of these tools, or of the `default` toolkits if none are given. Raises what `Executor`
        raises."""
        return Executor(
            self.tools or (None if self.mcp else default),
            mcp=self.mcp,
            require_isolation=self.require_isolation,
            allow_network=self.allow_network,
        )

    def sources(self) -> dict[str, Any]:
        """What the tools' feedback depends on, if it is not the library's: the digests of their files, the servers, and
        whether there is a network. Modules that the files import are not covered."""
        files = [sha256(file) for name in self.tools for file in files_of(name)]
        given = {"tools": files, "mcp": self.mcp, "allow_network": self.allow_network}
        return {name: value for name, value in given.items() if value}

    def tool_lines(self, executor: Executor) -> list[str]:
        """Lines that say which tools run and what they may do."""
        toolkits = list(dict.fromkeys(executor.toolkit_of.values()))
        shown = ", ".join(toolkits[:12]) + (", …" if len(toolkits) > 12 else "")
        lines = [f"{len(executor.specs)} tools of {shown}"]
        if self.mcp:
            lines.append("MCP servers run with your permissions, outside the sandbox")
        if self.allow_network:
            lines.append("tools may open network connections; everything else stays isolated")
        return lines
