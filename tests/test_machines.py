"""Machines: programs among files of their own, as root of a root folder that nobody else sees."""

import time

import pytest

from tl.executor.machines import File, MachineError, Machines

FILES = [File("/data/one.txt", b"one\n", 0o600, 1e9), File("/data/empty"), File("/etc/passwd", b"root:x:0:0::/:\n")]


@pytest.fixture
def machine(machines):
    with machines.open(FILES) as opened:
        yield opened


def bash(machine, command, **settings):
    return machine.run(["/bin/bash", "-c", command], **settings)


def test_files_have_their_content_mode_and_time(machine):
    assert (
        bash(machine, "cat one.txt; stat -c '%a %Y' one.txt; ls -A empty", cwd="/data").output
        == "one\n600 1000000000\n"
    )


def test_programs_are_root_and_write_anywhere_but_to_the_systems_programs(machine):
    assert bash(machine, "whoami; touch /new /etc/new && ls /etc/new").output == "root\n/etc/new\n"
    assert bash(machine, "touch /usr/new").code == 1


def test_what_one_program_writes_the_next_one_reads_and_other_machines_do_not(machine, machines):
    bash(machine, "echo two > /two")
    assert bash(machine, "cat /two").output == "two\n"
    with machines.open() as other:
        assert "No such file" in bash(other, "cat /two").output


@pytest.mark.parametrize(
    "command",
    [
        "ls /work || ls /home",
        "cat /proc/1/cmdline",
        "echo x > /proc/sys/kernel/hostname",
        "mount -t tmpfs none /data",
        "unshare -r true",
        "chown 1234 /data/one.txt",
        "exec 3<> /dev/tcp/127.0.0.1/22",
        "mknod /disk b 8 0",
        "head -c 200m /dev/zero > /big",
    ],
)
def test_nothing_of_the_host_is_reached(machine, command):
    assert bash(machine, command).code != 0


def test_both_streams_are_one_and_stdin_is_empty(machine):
    assert bash(machine, "echo out; echo err >&2; cat; exit 3") == (bash(machine, "echo out; echo err; exit 3"))


def test_a_program_is_stopped_in_time_with_all_it_started(machine):
    start = time.monotonic()
    assert bash(machine, "sleep 50 & sleep 50", seconds=0.3).code is None
    assert time.monotonic() - start < 5 and bash(machine, "pgrep sleep").code == 1


def test_a_program_that_is_not_there(machine):
    assert machine.run(["nowhere"]).code == 127 and "nowhere" in machine.run(["nowhere"]).output
    assert bash(machine, "pwd", cwd="/nowhere").code == 127


def test_a_flood_of_output_is_cut(machine):
    assert len(bash(machine, "head -c 9m /dev/zero | tr '\\0' a").output) < 1_100_000


def test_a_machine_whose_programs_take_all_memory_ends_and_says_so():
    try:
        machines = Machines(own_root=True, workers=1, memory=64 << 20)
    except MachineError as error:
        pytest.skip(str(error))
    with machines, machines.open() as machine:
        hogs = "for i in 1 2 3 4; do (x=$(head -c 40m /dev/zero | tr '\\0' a); sleep 5) & done; wait"
        with pytest.raises(MachineError, match="has ended"):
            bash(machine, hogs)
        with pytest.raises(MachineError):
            bash(machine, "true")


def test_where_programs_cannot_be_isolated_no_machine_is_made():
    with pytest.raises(MachineError, match="does not allow programs to be isolated .*mount namespace"):
        Machines(own_root=True, workers=1, mode="no namespaces")
