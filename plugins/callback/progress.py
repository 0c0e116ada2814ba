# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a person at a terminal wants to see of a long playbook."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: A line for each step that did something or took long, and messages as they are
description:
  - Meant for a person who follows a long playbook on one host. A step gets a line if it changed something or took
    O(slow_seconds) or longer, with the seconds that it took. What runs now stands in the last line of a terminal; where
    the output is no terminal, the other steps that ran are named, too, and every tenth try of one that waits.
  - Messages of M(ansible.builtin.debug) are printed as they are, line by line.
  - Of M(ansible.builtin.fail) and M(ansible.builtin.assert) the message is printed as it is, once.
  - Other failures, differences and the recap look as those of P(ansible.builtin.default#callback).
version_added: 1.0.0
author: polyvisor contributors (@polyvisor)
extends_documentation_fragment:
  - default_callback
  - result_format_callback
options:
  slow_seconds:
    description: Seconds from which on a step that changed nothing gets a line.
    type: float
    default: 5.0
    version_added: 1.0.0
    env:
      - name: POLYVISOR_PROGRESS_SLOW_SECONDS
"""

EXAMPLES = r"""
# ANSIBLE_STDOUT_CALLBACK=polyvisor.compute.progress ansible-playbook polyvisor.compute.demo -i localhost,
"""

import sys
import time

from ansible import constants as C
from ansible.plugins.callback.default import CallbackModule as Default

REFUSALS = tuple(
    prefix + name
    for prefix in ("", "ansible.builtin.", "ansible.legacy.")
    for name in ("fail", "assert")
)
MESSAGES = ("debug", "ansible.builtin.debug", "ansible.legacy.debug")


class CallbackModule(Default):
    """The default callback with less in it; public methods are Ansible's events."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "polyvisor.compute.progress"

    def __init__(self):
        super().__init__()
        self._terminal = sys.stdout.isatty()
        self._started = 0.0

    def _name(self, task):
        """What a person calls a task: without the collection's name."""
        return task.get_name().strip().replace("polyvisor.compute.", "")

    def _now(self, text):
        """Show `text` in the last line of a terminal, as what runs now."""
        if self._terminal:
            width = max(self._display.columns - 1, 20)
            self._display.display("\r\033[K" + text[:width], newline=False, screen_only=True)

    def _clear(self):
        """Take away what was shown as running."""
        if self._terminal:
            self._display.display("\r\033[K", newline=False, screen_only=True)

    def _done(self, result, color):
        """A line for a step that did something or took long."""
        seconds = time.monotonic() - self._started
        changed = result._result.get("changed", False)
        self._clear()
        if changed or seconds >= self.get_option("slow_seconds"):
            state = "changed" if changed else "ok"
            self._display.display(
                f"  {self._name(result._task)}: {state}, {seconds:.1f} s", color=color
            )
        elif not self._terminal:
            self._display.display(f"  {self._name(result._task)}", color=color)

    def v2_playbook_on_play_start(self, play):
        self._play = play
        self._display.display(play.get_name().strip(), color=C.COLOR_HIGHLIGHT)

    def _task_start(self, task, prefix=None):
        self._started = time.monotonic()
        self._last_task_name = task.get_name().strip()
        if task.action not in MESSAGES and "include" not in task.action:
            self._now("  " + self._name(task))

    def v2_runner_on_ok(self, result):
        if result._task.action in MESSAGES:
            self._clear()
            self._display.display(str(result._result.get("msg", "")))
        elif "include" not in result._task.action:
            self._handle_warnings(result._result)
            changed = result._result.get("changed", False)
            self._done(result, C.COLOR_CHANGED if changed else C.COLOR_OK)

    def v2_runner_item_on_ok(self, result):
        pass  # the step as a whole gets a line

    def v2_runner_on_skipped(self, result):
        self._clear()

    def v2_runner_item_on_skipped(self, result):
        pass

    def v2_playbook_on_include(self, included_file):
        pass

    def v2_runner_retry(self, result):
        attempts, retries = result._result["attempts"], result._result["retries"]
        line = f"  {self._name(result._task)}, try {attempts} of {retries}"
        if self._terminal:
            self._now(line)
        elif attempts % 10 == 0:
            self._display.display(line)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._clear()
        if result._task.action in REFUSALS and "msg" in result._result:
            self._display.display(f"\nFAILED: {self._name(result._task)}", color=C.COLOR_ERROR)
            self._display.display(str(result._result["msg"]), color=C.COLOR_ERROR)
        else:
            super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_item_on_failed(self, result):
        self._clear()
        super().v2_runner_item_on_failed(result)

    def v2_playbook_on_stats(self, stats):
        self._clear()
        super().v2_playbook_on_stats(stats)
