"""What may import what: the floors of the house, the executor's side free of torch, nothing but the six packages."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
WITHOUT_TORCH = ["tl", "tl.calls", "tl.schema", "tl.trajectory", "tl.mae", "tl.executor", "tl.synthesis", "tools"]
PACKAGES = {"torch", "sentencepiece", "safetensors", "numpy", "tqdm", "tl", "tools"}
OPTIONAL = {  # extras: pictures, tokenizer.json, MCP servers
    REPO / "tl/report/charts.py": {"matplotlib"},
    REPO / "tl/llama/byte_level.py": {"tokenizers"},
    REPO / "tl/executor/servers.py": {"mcp", "anyio"},  # anyio comes with mcp
}
FLOORS = (  # from the ground up: a room imports its own floor and those below
    {"calls", "declarations", "schema", "config", "errors", "files", "assets"},
    {"forms"},
    {"trajectory"},
    {"losses", "ppo", "pkt", "irm", "mae", "metrics", "llama"},
    {"templates"},
    {"prompt", "datasets"},
    {"executor"},
    {"rollout"},
    {"synthesis"},
    {"evaluation"},
    {"training"},
    {"rl"},
    {"experiments", "report"},
    {"cli", "__main__", "assets.tiny"},  # assets.tiny: the generator of the embedded model, beside what it made
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_module_imports_no_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO).returncode == 0


def imported(path: Path) -> set[str]:
    """The modules that a file imports, here or within a function, by their full names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            names |= submodules or {node.module}
    return names


def product_files() -> list[Path]:
    return [*REPO.glob("*.py"), *(REPO / "tl").rglob("*.py"), *(REPO / "tools").rglob("*.py")]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in product_files()}


def room_of(module: str) -> str:
    """The room of `tl` that a module lies in."""
    return "assets.tiny" if module.startswith("tl.assets.tiny.") else module.split(".")[1]


def within_tl() -> dict[str, set[str]]:
    """Each module of `tl` -> those that it imports."""
    return {
        m: {i for i in imported(p) if i in MODULES and i != "tl"} for m, p in MODULES.items() if m.startswith("tl.")
    }


def test_every_room_has_a_floor():
    assert {room_of(module) for module in within_tl()} == FLOOR_OF.keys()


def test_nothing_imports_upward():
    upward = [
        f"{module} imports {below}"
        for module, others in within_tl().items()
        for below in others
        if below.startswith("tl.") and FLOOR_OF[room_of(below)] > FLOOR_OF[room_of(module)]
    ]
    assert upward == []


def test_no_module_imports_itself_by_a_detour():
    TopologicalSorter(within_tl()).prepare()  # raises CycleError, which names them


def test_the_llama_knows_nothing_else_of_the_project_but_what_its_errors_are():
    foreign = {i for m, others in within_tl().items() if room_of(m) == "llama" for i in others if room_of(i) != "llama"}
    assert foreign == {"tl.errors"}


def test_product_imports_only_its_packages():
    for path in product_files():
        packages = {name.split(".")[0] for name in imported(path)}
        foreign = packages - PACKAGES - OPTIONAL.get(path, set()) - sys.stdlib_module_names
        assert not foreign, f"{path.relative_to(REPO)} imports {foreign}"


def test_tools_know_nothing_of_tl():
    for path in (REPO / "tools").rglob("*.py"):
        if path.name != "__main__.py":
            assert "tl" not in {name.split(".")[0] for name in imported(path)}, path
