"""How long one waits for the first line of `python train_sft.py --dry_run`. Target: 5 s.

python -m benchmarks.first_line
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "train_sft.py"


def seconds_to_first_line() -> tuple[float, float]:
    """By the clock, and those that the processor worked on it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(SCRIPT), "--dry_run", "--out", f"{folder}/run"]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            line = process.stdout.readline()
            clock = time.perf_counter() - start
            worked = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            process.kill()
        if not line:
            raise SystemExit(f"{' '.join(command)} printed nothing")
        return clock, sum(map(int, worked)) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="number of measurements (default: %(default)s)")
    measured = [seconds_to_first_line() for _ in range(parser.parse_args().rounds)]
    for name, seconds in zip(("clock", "processor"), zip(*measured, strict=True), strict=True):
        print(f"{name:<10} {statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")
    print(f"{len(measured)} rounds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
