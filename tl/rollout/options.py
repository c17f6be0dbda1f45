"""The flags with which tools of one's own come into synthesis, evaluation and PPO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tl.config import option
from tl.executor import Executor


@dataclass
class ToolOptions:
    """Which tools run, and how."""

    tools: list[str] = option([], "Python files with tools of your own, or toolkits of the library by name")
    mcp: list[str] = option(
        [], "commands that start MCP servers, whose tools run instead of --tools; a server runs with your own rights"
    )
    tasks: list[str] = option([], "JSON-lines files of tasks for these tools, see docs/tools.md")
    allow_network: bool = option(False, "let the tools open connections; everything else stays isolated")
    require_isolation: bool = option(False, "refuse to run tools without full isolation, see docs/executor.md")

    def start_executor(self, default: Sequence[str]) -> Executor:
        """The executor of these tools, without any of the `default` toolkits. Raises what `Executor` raises."""
        return Executor(
            self.tools or (None if self.mcp else default),
            mcp=self.mcp,
            require_isolation=self.require_isolation,
            allow_network=self.allow_network,
        )

    def tool_lines(self, executor: Executor) -> list[str]:
        """Which tools run, and what they may do, as text."""
        toolkits = list(dict.fromkeys(executor.toolkit_of.values()))
        shown = ", ".join(toolkits[:12]) + (", …" if len(toolkits) > 12 else "")
        lines = [f"{len(executor.specs)} tools of {shown}"]
        if self.mcp:
            lines.append("MCP servers run with your rights, outside of the isolation")
        if self.allow_network:
            lines.append("the tools may open connections; everything else stays isolated")
        return lines
