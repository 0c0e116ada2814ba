# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The support matrix: what works on which system, and the test that proves it.

``docs/support-matrix.yml`` holds it as data: a list of operations, and for each system the test
(``classname::name`` as the test's JUnit report names it) and the kind of evidence: ``real`` (the
real component), ``simulator`` (a server that speaks its documented protocol) or ``stand-in``
(something else in its place). A claim with ``tier: full`` is proved by `make test-full` alone.

    matrix.py check REPORTS   fails where the matrix claims more than the reports show
    matrix.py render          writes the page of the documentation
    matrix.py rendered        fails where that page is out of date
"""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs" / "support-matrix.yml"
PAGE = ROOT / "docs" / "docsite" / "rst" / "support_matrix.rst"
EVIDENCE = ("real", "simulator", "stand-in")
FULL = "POLYVISOR_TEST_FULL" in os.environ


def claims(matrix: dict) -> list[tuple[str, str, dict]]:
    """Every claim of the matrix as (operation, system, {test, evidence})."""
    return [
        (row["operation"], system, row[system])
        for row in matrix["operations"]
        for system in matrix["systems"]
        if system in row
    ]


def results(reports: Path) -> dict[str, bool]:
    """Test id to "it ran and passed", of every JUnit report in a directory.

    A test with parameters counts as passed only if each of its cases did; the id leaves the
    parameters out.
    """
    passed: dict[str, bool] = {}
    for report in sorted(reports.glob("*.xml")):
        for case in ET.parse(report).iter("testcase"):
            name = case.get("name", "").partition("[")[0]
            test = f"{case.get('classname')}::{name}"
            fine = not any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
            passed[test] = passed.get(test, True) and fine
    return passed


def due(claim: dict) -> bool:
    """Whether this run of the tests is to prove a claim."""
    return FULL or claim.get("tier") != "full"


def unproved(matrix: dict, passed: dict[str, bool]) -> list[str]:
    """What is wrong with the matrix's claims, a line each."""
    problems = []
    for operation, system, claim in claims(matrix):
        if not due(claim):
            continue
        where = f"{operation} on {system}"
        if claim["evidence"] not in EVIDENCE:
            problems.append(f"{where}: evidence {claim['evidence']!r} is none of {EVIDENCE}")
        if claim["test"] not in passed:
            problems.append(f"{where}: {claim['test']} did not run")
        elif not passed[claim["test"]]:
            problems.append(f"{where}: {claim['test']} did not pass")
    return problems


def page(matrix: dict) -> str:
    """The matrix as a page of reStructuredText."""
    lines = [
        ".. This page is made from docs/support-matrix.yml by `make docs`.",
        "",
        ".. _ansible_collections.polyvisor.compute.docsite.support_matrix:",
        "",
        "Support matrix",
        "==============",
        "",
        "What works, and how it is known. *real*: a test does it on the real component;",
        "*simulator*: against a server that speaks the documented protocol; *stand-in*: with",
        "something else in the place of hardware that the tests have not. A claim without a test",
        "that ran and passed fails the test run. What *slow tier* stands beside, ``make test-full``",
        "proves, and ``make test`` does not.",
        "",
    ]
    for system, title in matrix["systems"].items():
        lines += [
            title,
            "-" * len(title),
            "",
            ".. list-table::",
            "   :header-rows: 1",
            "   :widths: 45 15 40",
            "",
            "   * - Operation",
            "     - Evidence",
            "     - Test",
        ]
        for operation, of_system, claim in claims(matrix):
            if of_system == system:
                tier = ", slow tier" if claim.get("tier") == "full" else ""
                lines += [
                    f"   * - {operation}",
                    f"     - {claim['evidence']}{tier}",
                    f"     - ``{claim['test']}``",
                ]
        lines.append("")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    matrix = yaml.safe_load(DATA.read_text())
    if arguments[:1] == ["check"] and len(arguments) == 2:
        problems = unproved(matrix, results(Path(arguments[1])))
        for problem in problems:
            print(problem)
        asked = sum(due(claim) for *_where, claim in claims(matrix))
        left = len(claims(matrix)) - asked
        print(f"{asked - len(problems)} passed, {len(problems)} failed, {left} of the slow tier")
        return 1 if problems else 0
    if arguments == ["render"]:
        PAGE.write_text(page(matrix))
        return 0
    if arguments == ["rendered"]:
        if PAGE.read_text() == page(matrix):
            return 0
        print(f"{PAGE.relative_to(ROOT)} is out of date: run `make docs`")
        return 1
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
