# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pass of the image cache manager over 500 instances, against that of nova's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

from tests.e2e.cloud import ROOT

from .frame import BenchmarkError, Machine, Result, ratio_of_medians

PAIRS = 5
LIMIT = 0.5


def measure(machine: Machine) -> Iterator[Result]:
    """Seconds that a pass takes where 500 disks lie over 20 cached images."""
    python = ROOT / "build" / "venv" / "nova-34" / "bin" / "python"
    command = (python, "-W", "ignore", "-B", "-u", ROOT / "tests" / "benchmarks" / "cache_pass.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "driver")}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as passes:

        def answer() -> str:
            said = passes.stdout.readline().strip()
            if not said:
                raise BenchmarkError(
                    "the passes of the image cache managers have failed: see above"
                )
            return said

        def one_pass(manager: str) -> float:
            passes.stdin.write(f"{manager}\n")
            passes.stdin.flush()
            return float(answer())

        answer()
        ratio, ours, novas = ratio_of_medians(
            lambda: one_pass("ours"), lambda: one_pass("novas"), PAIRS
        )
        passes.stdin.close()
    yield Result("cache_pass", ratio, "ratio", LIMIT, "nova's image cache manager", PAIRS)
    yield Result("cache_pass_seconds", ours, "s", None, "", PAIRS)
    yield Result("cache_pass_seconds_of_nova", novas, "s", None, "", PAIRS)
