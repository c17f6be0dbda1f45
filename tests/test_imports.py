"""What may import what: the executor's side stays free of torch, the product of anything but its six packages."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
WITHOUT_TORCH = ["tl", "tl.calls", "tl.schema", "tl.trajectory", "tl.mae", "tl.executor", "tl.synthesis", "tools"]
PACKAGES = {"torch", "sentencepiece", "safetensors", "numpy", "tqdm", "tl", "tools"}
OPTIONAL = {REPO / "tl/report/charts.py": {"matplotlib"}}  # an extra, whose absence costs the pictures only
SCRIPTS = {"train_sft", "train_ppo"}  # of one another: evaluate.py trains for its ablation


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_module_imports_no_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO).returncode == 0


def imported(path: Path, top_level_only: bool = False) -> set[str]:
    """The top-level packages that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def product_files() -> list[Path]:
    return [*REPO.glob("*.py"), *(REPO / "tl").rglob("*.py"), *(REPO / "tools").rglob("*.py")]


def test_product_imports_only_its_packages():
    for path in product_files():
        foreign = imported(path) - PACKAGES - SCRIPTS - OPTIONAL.get(path, set()) - sys.stdlib_module_names
        assert not foreign, f"{path.relative_to(REPO)} imports {foreign}"


def test_tools_know_nothing_of_tl():
    for path in (REPO / "tools").rglob("*.py"):
        if path.name != "__main__.py":
            assert "tl" not in imported(path), path
