# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second run of the deployment: what it costs to find that nothing is to be done."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator

from .frame import BenchmarkError, Machine, Result, run_make

RUNS = 5


def measure(machine: Machine) -> Iterator[Result]:
    """Seconds and tasks of `make demo` where all stands already."""
    machine.demo()
    seconds, tasks = [], 0
    while len(seconds) < RUNS:
        start = time.perf_counter()
        output = run_make("demo")
        seconds.append(time.perf_counter() - start)
        recap = re.search(r"^localhost +: ok=(\d+) +changed=(\d+)", output, re.MULTILINE)
        if not recap or recap[2] != "0":
            raise BenchmarkError(f"the second run changed something:\n{output}")
        tasks = int(recap[1])
    yield Result("second_run_seconds", statistics.median(seconds), "s", None, "", RUNS)
    yield Result("second_run_tasks", tasks, "tasks", None, "", RUNS)
