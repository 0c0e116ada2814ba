# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the benchmarks, print a table, write build/bench.json.

python -m tests.benchmarks [NAME]    NAME: a benchmark, such as server

Exit status: 0 if all is within its limits, 1 if something is over its limit, 2 if a benchmark
could not be run or does not exist. What was measured is printed and written in any case.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from .frame import FAILURES, Machine, Result, explain, say, table

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parents[1] / "build" / "bench.json"


def benchmarks() -> dict[str, Callable[[Machine], Iterator[Result]]]:
    """Every benchmark by its name: what a file bench_<name>.py calls `measure`."""
    names = sorted(path.stem for path in HERE.glob("bench_*.py"))
    return {
        name.removeprefix("bench_"): importlib.import_module(f"{__package__}.{name}").measure
        for name in names
    }


def measure(names: list[str]) -> tuple[list[Result], bool]:
    """Run benchmarks one after the other: what was measured, and whether all went well."""
    known = benchmarks()
    results: list[Result] = []
    failed: list[str] = []
    try:
        with contextlib.ExitStack() as cleanup:
            machine = Machine(cleanup)
            for name in names:
                say(f"{name}: {known[name].__doc__.splitlines()[0]}")
                try:
                    results.extend(known[name](machine))
                except FAILURES as error:
                    failed.append(f"{name} could not be run: {explain(error)}")
                    say(failed[-1])
    except FAILURES as error:
        failed.append(f"Not all was undone: {explain(error)}")
        say(failed[-1])
    return results, not failed


def main(arguments: list[str]) -> int:
    known = benchmarks()
    unknown = [name for name in arguments if name not in known]
    if unknown:
        say(f"No benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    # What is under way is undone when the run is told to stop, not only when it is interrupted.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    results, complete = measure(arguments or list(known))
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps([result.as_dict() for result in results], indent=2) + "\n")
    print(table(results, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR")))
    if not complete:
        return 2
    return 0 if all(result.within_limit for result in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
