# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the scenario share: the host under test and the cloud it belongs to."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest

# Runs beside the control plane's own client, whose SDK knows the cloud.
SURVEY = """
import json, openstack
cloud = openstack.connect()
services = {s.host: {"state": s.state, "status": s.status} for s in cloud.compute.services()
            if s.binary == "nova-compute" and s.host.startswith("molecule-")}
providers = {}
for provider in cloud.placement.get("/resource_providers").json()["resource_providers"]:
    traits = cloud.placement.get(
        f"/resource_providers/{provider['uuid']}/traits",
        headers={"OpenStack-API-Version": "placement 1.6"},
    )
    providers[provider["uuid"]] = traits.json()["traits"]
print(json.dumps({"services": services, "providers": providers}))
"""


@pytest.fixture(scope="session")
def control():
    """How the control plane is reached, as prepare.yml wrote it down."""
    directory = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
    return json.loads((directory / "control.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def cloud(control):
    """The compute services of the scenario by host, and all traits by resource provider."""
    python = pathlib.Path(control["openstack"][0]).with_name("python3")
    answer = subprocess.run(
        [python, "-c", SURVEY],
        env={**os.environ, **control["environment"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


@pytest.fixture
def unit(host):
    """Properties of a compute's unit, as systemd has loaded it."""

    def properties(name):
        shown = host.check_output("systemctl show nova-compute-%s.service", name)
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    return properties
