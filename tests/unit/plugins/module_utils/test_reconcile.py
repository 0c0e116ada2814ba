# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a plan to an outcome: check mode, races, and steps that fail."""

from __future__ import annotations

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils import _reconcile
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    ModuleError,
    OperationFailed,
    Refused,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import (
    Plan,
    Step,
    reconcile,
)


class Lamps:
    """A row of lamps to be switched on; some fail, and others may switch them on too."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.on: list[str] = []
        self.broken: dict[str, ModuleError] = {}
        self.others: dict[str, list[str]] = {}
        self.quiet: set[str] = set()
        self.undoable = True
        self.looks = 0

    def plan(self) -> Plan:
        self.looks += 1
        before = {"on": list(self.on)}
        after = {"on": list(self.names)}
        steps = [self._step(name) for name in self.names if name not in self.on]
        return Plan(before, after, steps, {"lit": len(self.on)})

    def _step(self, name: str) -> Step:
        undo = (lambda: self.on.remove(name)) if self.undoable else None
        return Step(name, lambda: self._switch(name), undo, name in self.quiet)

    def _switch(self, name: str) -> None:
        self.on += self.others.pop(name, [])
        if name in self.on:
            raise OperationFailed(f"{name} is on")
        if name in self.broken:
            raise self.broken[name]
        self.on.append(name)


def test_steps_are_carried_out_in_order():
    lamps = Lamps("a", "b")
    outcome = reconcile(lamps.plan, check_mode=False)
    assert lamps.on == ["a", "b"]
    assert outcome.as_result() == {
        "changed": True,
        "actions": ["a", "b"],
        "diff": {"before": {"on": []}, "after": {"on": ["a", "b"]}},
        "lit": 2,
    }


def test_check_mode_tells_the_same_and_does_nothing():
    lamps = Lamps("a", "b")
    foretold = reconcile(lamps.plan, check_mode=True).as_result()
    assert lamps.on == []
    assert foretold["lit"] == 0
    done = reconcile(lamps.plan, check_mode=False).as_result()
    assert {**foretold, "lit": 2} == done


def test_nothing_to_do_is_no_change_and_looks_once():
    lamps = Lamps("a")
    lamps.on = ["a"]
    result = reconcile(lamps.plan, check_mode=False).as_result()
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]
    assert lamps.looks == 1


def test_quiet_step_is_done_and_is_no_change():
    lamps = Lamps("a")
    lamps.quiet = {"a"}
    assert not reconcile(lamps.plan, check_mode=True).as_result()["changed"]
    assert not reconcile(lamps.plan, check_mode=False).as_result()["changed"]
    assert lamps.on == ["a"]


def test_step_that_another_run_has_done_is_no_failure():
    lamps = Lamps("a", "b", "c")
    lamps.others = {"b": ["b"]}
    outcome = reconcile(lamps.plan, check_mode=False)
    assert sorted(lamps.on) == ["a", "b", "c"]
    assert outcome.actions == ["a", "c"]


def test_all_done_by_another_run_is_no_change():
    lamps = Lamps("a", "b")
    lamps.others = {"a": ["a", "b"]}
    result = reconcile(lamps.plan, check_mode=False).as_result()
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_step_that_fails_is_told_and_the_others_are_taken_back():
    lamps = Lamps("a", "b", "c")
    lamps.broken = {"c": OperationFailed("c is broken", 7)}
    with pytest.raises(ModuleError, match="^c is broken$"):
        reconcile(lamps.plan, check_mode=False)
    assert lamps.on == []


def test_what_cannot_be_taken_back_is_told():
    lamps = Lamps("a", "b")
    lamps.undoable = False
    lamps.broken = {"b": OperationFailed("b is broken")}
    with pytest.raises(ModuleError, match="not taken back: a. Run again"):
        reconcile(lamps.plan, check_mode=False)
    assert lamps.on == ["a"]


def test_undo_that_fails_is_told():
    lamps = Lamps("a", "b")
    lamps.broken = {"b": OperationFailed("b is broken")}
    plan = lamps.plan()

    def stuck() -> None:
        raise OperationFailed("a is stuck")

    plan.steps[0] = Step("a", plan.steps[0].apply, stuck)
    plans = iter([plan])
    with pytest.raises(ModuleError, match="a is stuck.*not taken back: a"):
        reconcile(lambda: next(plans, lamps.plan()), check_mode=False)


def test_refusal_in_the_middle_takes_back_what_was_done():
    lamps = Lamps("a", "b")
    lamps.broken = {"b": Refused("b is in use")}
    with pytest.raises(ModuleError, match="b is in use"):
        reconcile(lamps.plan, check_mode=False)
    assert lamps.on == []


def test_quiet_step_that_fails_is_a_failure():
    """A plan made anew does not show that it is still to be done."""
    lamps = Lamps("a", "b")
    lamps.quiet = {"b"}
    lamps.broken = {"b": OperationFailed("b is broken")}
    with pytest.raises(ModuleError, match="b is broken"):
        reconcile(lamps.plan, check_mode=False)


def test_step_that_is_busy_is_tried_again():
    lamps = Lamps("a")
    lamps.broken = {"a": OperationFailed("a is being seen to", busy=True)}
    plan = lamps.plan

    def mended_after_a_while() -> Plan:
        if lamps.looks == 3:
            lamps.broken = {}
        return plan()

    assert reconcile(mended_after_a_while, check_mode=False).actions == ["a"]


def test_step_that_stays_busy_is_a_failure(monkeypatch):
    monkeypatch.setattr(_reconcile, "_PATIENCE", 0.2)
    lamps = Lamps("a")
    lamps.broken = {"a": OperationFailed("a is being seen to", busy=True)}
    with pytest.raises(ModuleError, match="being seen to"):
        reconcile(lamps.plan, check_mode=False)


def test_race_that_never_ends_is_given_up():
    lamps = Lamps("a")
    names = iter("bcdefghij")

    def plan() -> Plan:
        lamps.names = (next(names),)
        lamps.broken = {lamps.names[0]: OperationFailed("no")}
        return lamps.plan()

    with pytest.raises(ModuleError, match="no"):
        reconcile(plan, check_mode=False)
    assert lamps.looks < 10
