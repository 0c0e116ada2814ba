# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook migrate_to_pools on a real libvirtd; a script stands for the cloud's client.

The script does on libvirt what nova-compute does at a hard reboot, with the driver's own code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from private_libvirtd import PrivateLibvirtd

_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = _ROOT / "build" / "venv" / "nova-34" / "bin" / "python"
_DOMAIN = """
<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>32</memory>
<os><type>hvm</type></os><devices><disk type='file'><driver name='qemu' type='raw'/>
<source file='{path}'/><target dev='vda' bus='virtio'/></disk></devices></domain>
"""
_CLIENT = """
import sys
from types import SimpleNamespace

import libvirt
import nova.conf
import nova.privsep
from nova import exception, objects

action, server = sys.argv[2], sys.argv[-1]
with open("{calls}", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
nova.conf.CONF(["--config-file", "{config}"], project="nova")
nova.privsep.sys_admin_pctxt.set_client_mode(False)
from nova_polyvisor.libvirt.legacy import LegacyInstances
from nova_polyvisor.libvirt.storage import Storage
from nova_polyvisor.libvirt.transition import Transition

connection = libvirt.open("qemu:///system")
domain = connection.lookupByUUIDString(server)
host = SimpleNamespace(
    get_connection=lambda: connection,
    _get_domain=lambda instance: connection.lookupByUUIDString(instance.uuid),
    _wrap_libvirt_proxy=lambda thing: thing,
)
if domain.isActive():
    domain.destroy()
if action == "reboot":
    storage = Storage(host)
    try:
        transition = Transition(host, storage, LegacyInstances(host, storage))
        transition.move(objects.Instance(uuid=server))
    except exception.NovaException as error:
        print("The disks stay where they are:", error)
    domain.create()
"""


class Site:
    """A host with two legacy instances that run and one that is shut off."""

    def __init__(self, libvirtd: PrivateLibvirtd, collections: Path, scratch: Path):
        self._libvirtd = libvirtd
        self._collections = collections
        self.disks = scratch / "disks"
        self.disks.mkdir()
        self.instances = scratch / "instances"
        self._config = scratch / "nova.conf"
        self._config.write_text(
            f"[DEFAULT]\ninstances_path = {self.instances}\n[libvirt]\nvirt_type = qemu\n",
            encoding="utf-8",
        )
        self._inventory = scratch / "inventory"
        self._inventory.write_text("[compute]\nlocalhost\n", encoding="utf-8")
        self._calls = scratch / "calls"
        self._calls.touch()
        self._client = scratch / "client.py"
        self._client.write_text(
            _CLIENT.format(calls=self._calls, config=self._config), encoding="utf-8"
        )
        libvirtd.virsh("pool-create-as", "nova-disks-pool", "dir", "--target", str(self.disks))
        self.servers = [self._server(scratch, f"server-{number}") for number in range(3)]
        for number in (0, 1):
            libvirtd.virsh("start", f"server-{number}")

    def _server(self, scratch: Path, name: str) -> str:
        server = str(uuid.uuid4())
        path = self.instances / server / "disk"
        path.parent.mkdir(parents=True)
        path.write_bytes(server.encode())
        definition = scratch / f"{name}.xml"
        text = _DOMAIN.format(name=name, uuid=server, path=path)
        definition.write_text(text, encoding="utf-8")
        self._libvirtd.virsh("define", str(definition))
        return server

    def play(self, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        """Run the playbook where the libvirtd is."""
        everything = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": "/usr/bin/python3",
            "migrate_to_pools_process": "pools",
            "migrate_to_pools_python": str(_PYTHON),
            "migrate_to_pools_config": str(self._config),
            "nova_compute_control_openstack": [str(_PYTHON), str(self._client)],
            **variables,
        }
        playbook = Path(sys.executable).parent / "ansible-playbook"
        return self._libvirtd.run(
            *("env", f"ANSIBLE_COLLECTIONS_PATH={self._collections}"),
            *(str(playbook), "polyvisor.compute.migrate_to_pools"),
            *("--inventory", str(self._inventory), "--extra-vars", json.dumps(everything)),
            *arguments,
            check=False,
        )

    def calls(self) -> list[str]:
        """What the cloud's client has been told, since it was last asked."""
        told = self._calls.read_text(encoding="utf-8").splitlines()
        self._calls.write_text("", encoding="utf-8")
        return told

    def break_pool(self) -> None:
        """Let no disk move into the pool."""
        self._libvirtd.virsh("pool-destroy", "nova-disks-pool")

    def moved(self) -> list[bool]:
        """Whether each server's disk is a volume, with what was in it."""
        return [
            (self.disks / f"{server}_disk").exists()
            and (self.disks / f"{server}_disk").read_bytes() == server.encode()
            and not (self.instances / server / "disk").exists()
            for server in self.servers
        ]


@pytest.fixture
def site(libvirtd: PrivateLibvirtd, collections: Path, tmp_path: Path) -> Site:
    return Site(libvirtd, collections, tmp_path)


def test_servers_are_moved_one_after_the_other(site: Site) -> None:
    reported = site.play("--check")
    assert reported.returncode == 0, reported.stdout
    assert "3 instances of nova's own image backends, to be moved now:" in reported.stdout
    assert site.calls() == []
    assert site.moved() == [False] * 3

    done = site.play()
    assert done.returncode == 0, done.stdout
    running = [f"server reboot --hard --wait {server}" for server in site.servers[:2]]
    assert sorted(site.calls()) == sorted(running)
    assert site.moved() == [True, True, False]
    left = site.servers[2]
    assert f"1 instances of nova's own image backends are left: {left}" in done.stdout

    done = site.play(migrate_to_pools_stopped=True)
    assert done.returncode == 0, done.stdout
    assert site.calls() == [f"server reboot --hard --wait {left}", f"server stop {left}"]
    assert site.moved() == [True] * 3
    assert "transition can be false" in done.stdout


def test_first_server_that_does_not_move_ends_the_play(site: Site) -> None:
    site.break_pool()
    done = site.play()
    assert done.returncode != 0
    assert len(site.calls()) == 1
    assert site.moved() == [False] * 3
    assert "the log of its nova-compute says why" in done.stdout
