"""Files are written whole or not at all, and what is said about them and on the way is one line each."""

import resource
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tqdm import tqdm

from tl.__main__ import main
from tl.files import print_warnings, unwritable, write_whole


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow beyond a kilobyte, nor can one that pytest's own output goes to."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_text_that_does_not_fit_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "report.json"
    write_whole(path, "old")
    with full_disk(), pytest.raises(OSError, match=r"File too large: '.*report.json'"):
        write_whole(path, "x" * 2000)
    assert [*tmp_path.iterdir()] == [path] and path.read_text() == "old"


@pytest.mark.parametrize("there", [True, False])
def test_a_text_is_written_where_a_link_leads(tmp_path, there):
    (tmp_path / "disk").mkdir()
    if there:
        (tmp_path / "disk" / "big.json").write_text("old")
    link = tmp_path / "report.json"
    link.symlink_to(tmp_path / "disk" / "big.json")
    write_whole(link, "new")
    assert link.is_symlink() and (tmp_path / "disk" / "big.json").read_text() == "new"
    assert len([*tmp_path.rglob("*")]) == 3


def test_nothing_can_be_created_in_a_dead_link(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert unwritable(tmp_path / "gone") == unwritable(tmp_path / "gone" / "run") == tmp_path / "gone"
    assert unwritable(tmp_path / "new" / "run") is None


@pytest.fixture
def own_warnings(monkeypatch) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # which the program sets


def test_a_warning_is_a_line_of_its_own_above_a_progress_bar(capfd, own_warnings):
    print_warnings()
    with tqdm(total=2, leave=False) as bar:
        bar.update()
        warnings.warn("the disk is \x1bfull", stacklevel=1)
    lines = capfd.readouterr().err.replace("\r", "\n").splitlines()
    assert "warning: the disk is \\x1bfull" in lines


def test_a_warning_of_a_command_is_one_line(capfd, own_warnings, monkeypatch):
    monkeypatch.setattr("tl.cli.formats.main", lambda _: warnings.warn("no layers", stacklevel=1))
    main(["formats"])
    assert capfd.readouterr().err == "warning: no layers\n"
