# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the benchmarks, print a table, write build/bench.json.

python -m tests.benchmarks [NAME]    NAME: a benchmark, such as server_boot
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from .frame import Result, table

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parents[1] / "build" / "bench.json"


def benchmarks() -> dict[str, Callable[[], Iterator[Result]]]:
    """Every benchmark by its name, without the prefix."""
    found = {}
    for path in sorted(HERE.glob("bench_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for name, function in vars(module).items():
            if name.startswith("bench_"):
                found[name.removeprefix("bench_")] = function
    return found


def main(arguments: list[str]) -> int:
    known = benchmarks()
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    results: list[Result] = []
    for name in arguments or known:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results.extend(known[name]())
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps([result.as_dict() for result in results], indent=2) + "\n")
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
