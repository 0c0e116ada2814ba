# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of a playbook cost, without the start of the playbook."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from tests.e2e.cloud import ROOT

from .frame import BenchmarkError
from .libvirt_host import Host

#: The first task, not counted: Ansible loads much of itself for the first that it runs.
WARM_UP = {"name": "Warm up", "ansible.builtin.ping": {}}
#: An environment with the collections that ours are compared with; see requirements/peers.txt.
BIN = ROOT / "build" / "venv" / "peers" / "bin"


def run_tasks(host: Host, tasks: list[dict], changed: bool) -> float:
    """Seconds from the start of the first of these tasks to the end of the last.

    :param changed: whether the tasks are to change something
    :raises BenchmarkError: if a task fails or does not do what it is to
    """
    path = Path(host.folder) / "playbook.yml"
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [WARM_UP, *tasks]}
    path.write_text(json.dumps([play]))
    done = host.run(
        str(BIN / "ansible-playbook"),
        str(path),
        PYTHONPATH="",
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
        ANSIBLE_LOCALHOST_WARNING="false",
        ANSIBLE_PYTHON_INTERPRETER=str(BIN / "python"),
    )
    result = json.loads(done.output[done.output.index("{") :])
    if bool(result["stats"]["localhost"]["changed"]) is not changed:
        raise BenchmarkError(f"The tasks should have changed={changed}:\n{done.output}")
    spans = [task["task"]["duration"] for task in result["plays"][0]["tasks"][1:]]
    return (_moment(spans[-1]["end"]) - _moment(spans[0]["start"])).total_seconds()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
