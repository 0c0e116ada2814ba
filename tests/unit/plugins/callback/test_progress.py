# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback `progress` prints of each kind of result."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.polyvisor.compute.plugins.callback.progress import CallbackModule


class Screen:
    """Keeps the lines that it is given to show."""

    columns = 80

    def __init__(self):
        self.lines = []

    def display(self, msg, **_options):
        self.lines.append(msg)


def task(name, action="ansible.builtin.command"):
    return SimpleNamespace(name=name, action=action, get_name=lambda: name)


def result_of(of, **values):
    return SimpleNamespace(_task=of, _result=values)


@pytest.fixture
def callback(monkeypatch):
    made = CallbackModule()
    made._display = Screen()
    made._terminal = False
    monkeypatch.setattr(made, "get_option", {"slow_seconds": 5.0}.__getitem__)
    return made


def test_step_that_changed_something_gets_a_line(callback):
    step = task("polyvisor.compute.service : Write the unit")
    callback.v2_playbook_on_task_start(step, False)
    callback.v2_runner_on_ok(result_of(step, changed=True))
    assert callback._display.lines == ["  service : Write the unit: changed, 0.0 s"]


def test_quick_step_without_change_is_only_named(callback):
    step = task("Look")
    callback.v2_playbook_on_task_start(step, False)
    callback.v2_runner_on_ok(result_of(step, changed=False))
    assert callback._display.lines == ["  Look"]


def test_skipped_step_is_not_mentioned(callback):
    step = task("Delete the server")
    callback.v2_playbook_on_task_start(step, False)
    callback.v2_runner_on_skipped(result_of(step, skipped=True))
    assert callback._display.lines == []


def test_every_tenth_try_is_told(callback):
    step = task("Wait")
    callback.v2_playbook_on_task_start(step, False)
    for attempt in range(1, 12):
        callback.v2_runner_retry(result_of(step, attempts=attempt, retries=60))
    assert callback._display.lines == ["  Wait, try 10 of 60"]


def test_slow_step_without_change_gets_a_line(callback):
    step = task("Wait")
    callback.v2_playbook_on_task_start(step, False)
    callback._started -= 6
    callback.v2_runner_on_ok(result_of(step, changed=False))
    assert callback._display.lines[-1] == "  Wait: ok, 6.0 s"


def test_what_runs_now_is_erased_from_a_terminal(callback):
    callback._terminal = True
    step = task("Look")
    callback.v2_playbook_on_task_start(step, False)
    callback.v2_runner_on_ok(result_of(step, changed=False))
    assert callback._display.lines == ["\r\033[K  Look", "\r\033[K"]


def test_message_is_printed_as_it_is(callback):
    step = task("Show", "ansible.builtin.debug")
    callback.v2_playbook_on_task_start(step, False)
    callback.v2_runner_on_ok(result_of(step, msg="one\n  two", changed=False))
    assert callback._display.lines == ["one\n  two"]


def test_files_that_are_included_are_not_mentioned(callback):
    step = task("Go on", "ansible.builtin.include_tasks")
    callback.v2_playbook_on_task_start(step, False)
    callback.v2_runner_on_ok(result_of(step, include="more.yml", changed=False))
    callback.v2_playbook_on_include(SimpleNamespace())
    assert callback._display.lines == []


def test_reason_of_a_refusal_is_printed_once_and_as_it_is(callback):
    step = task("Say why", "ansible.builtin.fail")
    callback.v2_runner_on_failed(result_of(step, msg="no disk\nLog: /x", failed=True))
    assert callback._display.lines == ["\nFAILED: Say why", "no disk\nLog: /x"]
