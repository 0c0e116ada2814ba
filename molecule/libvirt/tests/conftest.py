# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the scenario share: the hosts, their processes, and the cloud they belong to."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import testinfra

#: Containers, with the virtual environment that nova is in and the processes of the inventory.
FIRST, SECOND = "polyvisor-molecule-1", "polyvisor-molecule-2"
VENVS = {FIRST: "/opt/mini-cloud/venv", SECOND: "/opt/nova-compute/venv"}
#: Where they are reached for migrations.
ADDRESSES = {FIRST: "127.0.2.1", SECOND: "127.0.2.2"}
PROCESSES = [(FIRST, "pools"), (SECOND, "pools"), (SECOND, "fake")]
API_LOG = Path("/var/log/mini-cloud/nova-api.log")

# Runs beside the control plane's own client, whose SDK knows the cloud.
SURVEY = """
import json, openstack
cloud = openstack.connect()
listed = cloud.compute.get("/os-services?binary=nova-compute", microversion="2.53").json()["services"]
services = {s["host"]: {"id": s["id"], "state": s["state"], "status": s["status"]} for s in listed
            if s["host"].startswith("polyvisor-molecule-")}
providers = {}
for provider in cloud.placement.get("/resource_providers").json()["resource_providers"]:
    traits = cloud.placement.get(
        f"/resource_providers/{provider['uuid']}/traits",
        headers={"OpenStack-API-Version": "placement 1.6"},
    )
    providers[provider["uuid"]] = traits.json()["traits"]
print(json.dumps({"services": services, "providers": providers}))
"""


@dataclass(frozen=True)
class Process:
    """A nova-compute of the inventory."""

    host: testinfra.host.Host
    container: str
    name: str

    @property
    def nova_host(self) -> str:
        """What Nova knows it by."""
        return f"{self.container}-{self.name}"

    @property
    def address(self) -> str:
        """Where its host is reached for migrations."""
        return ADDRESSES[self.container]

    @property
    def peer(self) -> Process:
        """The process of this name on the other host."""
        return process_of(SECOND if self.container == FIRST else FIRST, self.name)

    @property
    def configuration(self) -> str:
        """Its configuration file."""
        return f"/etc/nova/compute/nova-{self.name}.conf"

    @property
    def unit(self) -> dict[str, str]:
        """Properties of its unit, as systemd has loaded it."""
        shown = self.host.check_output("systemctl show nova-compute-%s.service", self.name)
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    @property
    def identity(self) -> str:
        """The UUID of its compute node."""
        path = f"/var/lib/nova/{self.name}/compute_id"
        return self.host.file(path).content_string.strip()

    @property
    def before(self) -> dict:
        """What the last side effect noted before it did anything: time, and pids by process."""
        return json.loads(scratch(f"before-{self.container}.json").read_text(encoding="utf-8"))

    @property
    def record(self) -> dict:
        """What the role noted about the plugin."""
        return json.loads(self.host.check_output("cat /var/lib/nova-polyvisor/*/installed.json"))

    @property
    def plugin(self) -> str:
        """The file of the plugin that the side effects change, as it is beside nova."""
        module = "lib/python3.*/site-packages/nova_polyvisor/__init__.py"
        return self.host.check_output(f"cat {VENVS[self.container]}/{module}")

    def volumes_as(self, user: str, uri: str):
        """What comes of listing the volumes of a pool of the libvirt at a URI, as a user."""
        return self.host.run("runuser -u %s -- virsh -c %s vol-list nova-disks-pool", user, uri)


def scratch(name: str) -> Path:
    """A file of molecule's own directory for the run."""
    return Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], name)


def process_of(container: str, name: str) -> Process:
    """A process by container and name."""
    return Process(testinfra.get_host(f"podman://{container}"), container, name)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Each stage of the scenario has a report of its own."""
    stage = Path(config.args[0]).parent.name
    config.option.xmlpath = f"{os.environ['REPORTS']}/molecule-libvirt-{stage}.xml"


@pytest.fixture(params=PROCESSES, ids="-".join)
def process(request) -> Process:
    """Each process of the inventory."""
    return process_of(*request.param)


@pytest.fixture(params=[FIRST, SECOND])
def pools(request) -> Process:
    """Each process with the storage pool driver: one a host."""
    return process_of(request.param, "pools")


@pytest.fixture
def computes() -> dict[str, Process]:
    """The process with the storage pool driver on each host, by container."""
    return {container: process_of(container, "pools") for container in (FIRST, SECOND)}


@pytest.fixture
def fake() -> Process:
    """The process with nova's fake driver, on the second host."""
    return process_of(SECOND, "fake")


@pytest.fixture(scope="session")
def authority() -> Path:
    """The directory of the authority that has signed the hosts' certificates."""
    return scratch("authority")


@pytest.fixture(scope="session")
def control() -> dict:
    """How the control plane is reached."""
    return json.loads(Path("/var/lib/polyvisor-molecule/control.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def cloud(control) -> dict:
    """The compute services of the scenario by host, and all traits by resource provider."""
    python = Path(control["openstack"][0]).with_name("python3")
    answer = subprocess.run(
        [python, "-c", SURVEY],
        env={**os.environ, **control["environment"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


@pytest.fixture
def mapped(control) -> set[str]:
    """The hosts that are mapped to a cell."""
    listed = subprocess.run(
        [*control["nova_manage"], "cell_v2", "list_hosts"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split("|")[3].strip() for line in listed.stdout.splitlines() if "|" in line}


@pytest.fixture
def switched(cloud) -> list[str]:
    """The hosts whose service was disabled or enabled since the last side effect began, in order."""
    hosts = {service["id"]: host for host, service in cloud["services"].items()}
    since = process_of(FIRST, "pools").before["time"]
    requests = re.findall(
        r'^(\S+ \S+) .* "PUT /v2.1/os-services/(\S+)" status: 200',
        API_LOG.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return [hosts[service] for time, service in requests if time > since and service in hosts]
