# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that measure the driver beside nova, whose environment the benchmarks do not run in."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator

from tests.e2e.cloud import ROOT

from .frame import BenchmarkError


@contextlib.contextmanager
def beside_nova(program: str) -> Iterator[Callable[[str], float]]:
    """Run a program of this directory; yields what asks it.

    The program says "ready" once it is, and answers each line with the seconds that what the line
    names took. It ends when there are no more lines.

    :raises BenchmarkError: by what is yielded, if the program has ended
    """
    python = ROOT / "build" / "venv" / "nova-34" / "bin" / "python"
    command = (python, "-W", "ignore", "-B", "-u", ROOT / "tests" / "benchmarks" / program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "driver")}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def answer() -> str:
            said = process.stdout.readline().strip()
            if not said:
                raise BenchmarkError(f"{program} has failed: see above")
            return said

        def ask(line: str) -> float:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            return float(answer())

        answer()
        yield ask
        process.stdin.close()
