# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the role mini_cloud chooses its ports on a machine where some are taken."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "roles/mini_cloud/files/choose_ports.py"
_OWN = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def port() -> Iterator[int]:
    """A port of the loopback on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def choose(
    preferred: dict, named: dict | None = None, kept: Path | None = None, user: str = "nobody"
) -> subprocess.CompletedProcess:
    """What the script says to a request."""
    request = {
        "preferred": preferred,
        "named": named or {},
        "kept": str(kept or "/nonexistent"),
        "user": user,
    }
    return subprocess.run(
        [sys.executable, str(_SCRIPT)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )


def test_named_port_that_is_taken_is_refused_with_its_owner(port):
    refused = choose({"nova": 1}, named={"nova": port})
    assert refused.returncode == 1
    assert f"port {port} for nova, but process {os.getpid()} " in refused.stderr
    assert "nothing was changed" in refused.stderr


def test_preferred_port_that_is_taken_gives_way_to_the_next(port):
    (chosen,) = json.loads(choose({"nova": port}).stdout).values()
    assert port < chosen < port + 100


def test_port_of_an_earlier_run_is_kept(port, tmp_path):
    kept = tmp_path / "ports.json"
    kept.write_text(json.dumps({"nova": port}))
    assert json.loads(choose({"nova": 1}, kept=kept, user=_OWN).stdout) == {"nova": port}


def test_one_port_for_two_services_is_refused():
    refused = choose({"nova": 1, "glance": 2}, named={"nova": 3, "glance": 3})
    assert refused.returncode == 1
    assert "port 3 for glance, but for another service, too" in refused.stderr


def test_port_of_an_unknown_service_is_refused():
    refused = choose({"nova": 1}, named={"nowa": 3})
    assert refused.returncode == 1
    assert "names nowa; known are: nova" in refused.stderr
