# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is wanted and what is there to what has to be done; shared by all systems."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    ModuleError,
    OperationFailed,
)

# How often to start over because of others, and how many seconds to wait for them.
_TURNS = 5
_PATIENCE = 20.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Step(NamedTuple):
    """One thing to do.

    :param undo: takes it back if a later step fails
    :param quiet: it changes nothing that a user would call a change
    """

    name: str
    apply: Callable[[], None]
    undo: Callable[[], None] | None = None
    quiet: bool = False


class Plan:
    """What a resource is, what it will be, and the steps that lead there.

    :param before: the resource as it is, in the shape of ``after``
    :param after: the resource as it will be
    :param facts: what else the module returns, as far as it is known before the steps
    """

    def __init__(
        self,
        before: dict[str, Any],
        after: dict[str, Any],
        steps: Iterable[Step],
        facts: dict[str, Any],
        warnings: Iterable[str] = (),
    ) -> None:
        self.before = before
        self.after = after
        self.steps = list(steps)
        self.facts = facts
        self.warnings = list(warnings)


def _changes(steps: list[Step]) -> list[str]:
    """The names of the steps that count as a change."""
    return [step.name for step in steps if not step.quiet]


class Outcome(NamedTuple):
    """What a module reports.

    :param actions: the names of the steps that were carried out, or would be in check mode
    """

    before: dict[str, Any]
    after: dict[str, Any]
    actions: list[str]
    facts: dict[str, Any]
    warnings: list[str]

    def as_result(self) -> dict[str, Any]:
        """The keys of a module's result."""
        return {
            "changed": bool(self.actions),
            "actions": self.actions,
            "diff": {"before": self.before, "after": self.after},
            **self.facts,
        }


class _Patience:
    """How long to put up with others that work on the same thing."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + _PATIENCE
        self._pause = _FIRST_PAUSE
        self._turns = _TURNS

    def wait(self) -> bool:
        """Let some time pass, more from call to call; False when it is enough."""
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return time.monotonic() < self._deadline

    def take_turn(self) -> bool:
        """Whether to try once more at once."""
        self._turns -= 1
        return self._turns > 0


def reconcile(make_plan: Callable[[], Plan], check_mode: bool) -> Outcome:
    """Carry out a plan, and make it anew where somebody else was faster.

    A step that fails because another run has just done the same is no failure: where a plan made
    after it differs from what was left to do, that plan is carried out instead. One that fails
    because another run is at it is tried again for some seconds.

    :param make_plan: looks at the resource and says what to do; changes nothing
    :raises OperationFailed: if a step fails and would have to be done again; what the steps
        before it did has been taken back as far as they can
    """
    plan = make_plan()
    before = plan.before
    if check_mode:
        return Outcome(before, plan.after, _changes(plan.steps), plan.facts, plan.warnings)
    done: list[Step] = []
    patience = _Patience()
    while True:
        left = list(plan.steps)
        try:
            while left:
                left[0].apply()
                done.append(left.pop(0))
            break
        except OperationFailed as error:
            may_pass = patience.wait() if error.busy else patience.take_turn()
            plan = make_plan()
            unmoved = _changes(plan.steps) == _changes(left)
            if not may_pass or (unmoved and not error.busy):
                raise _taken_back(done, error) from error
        except ModuleError as error:
            raise _taken_back(done, error) from error
    actions = _changes(done)
    final = make_plan() if done else plan
    if not actions:
        before = plan.after
    return Outcome(before, plan.after, actions, final.facts, final.warnings)


def _taken_back(done: list[Step], error: ModuleError) -> ModuleError:
    """Undo what was done, last first, and add to the error what could not be undone."""
    kept = [step.name for step in done if not step.undo and not step.quiet]
    message = str(error)
    for step in reversed(done):
        if not step.undo:
            continue
        try:
            step.undo()
        except OperationFailed as failure:
            kept.append(step.name)
            message += f" (and to undo {step.name!r} failed: {failure})"
    if kept:
        message += f" Done before that and not taken back: {', '.join(kept)}. Run again to go on."
    return ModuleError(message)
