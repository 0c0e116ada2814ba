# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The _info modules, and the modules as a user calls them: ad hoc and in a playbook."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pool_cases import OPTIONS, RARE


@pytest.fixture
def two_pools(modules, tmp_path):
    """Pools a and b with two volumes each."""
    for name in ("a", "b"):
        target = {"path": str(tmp_path / name)}
        modules.run("libvirt_pool", name=name, type="dir", target=target)
        for volume in ("x", "y"):
            arguments = {"pool": name, "name": volume, "capacity": "1M", "format": "qcow2"}
            modules.run("libvirt_volume", **arguments)


@pytest.fixture
def ansible(libvirtd, modules, tmp_path):
    """Runs one of Ansible's commands where the tests' libvirtd is."""

    def run(command: str, *arguments: str, succeeds: bool = True) -> str:
        program = Path(sys.executable).with_name(command)
        finished = subprocess.run(
            libvirtd.command(str(program), *arguments),
            env={**modules.environment, "ANSIBLE_FORCE_COLOR": "false"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (finished.returncode == 0) is succeeds, finished.stdout + finished.stderr
        return finished.stdout

    return run


def test_all_pools_with_all_volumes_in_one_call(modules, two_pools, tmp_path):
    pools = modules.run("libvirt_pool_info", volumes=True)["pools"]
    assert [pool["name"] for pool in pools] == ["a", "b"]
    for pool in pools:
        assert isinstance(pool["capacity"], int)
        assert pool["target_path"] == str(tmp_path / pool["name"])
        assert [volume["name"] for volume in pool["volumes"]] == ["x", "y"]
        for volume in pool["volumes"]:
            assert (volume["capacity"], volume["format"]) == (1024**2, "qcow2")
            assert volume["permissions"]["mode"] == "0600"
            assert volume["backing"] is None


def test_pools_by_name(modules, two_pools):
    result = modules.run("libvirt_pool_info", name=["b", "none"])
    assert [pool["name"] for pool in result["pools"]] == ["b"]
    assert "volumes" not in result["pools"][0]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"type": ["dir"]}, ["a", "b"]),
        ({"type": ["fs", "disk"]}, []),
        ({"state": ["inactive"]}, ["a"]),
        ({"state": ["inactive", "active"]}, ["a", "b"]),
        ({"state": ["active"], "type": ["dir"], "name": ["a"]}, []),
        ({"name": []}, []),
    ],
)
def test_pools_by_type_and_state(modules, two_pools, arguments, names):
    modules.run("libvirt_pool", name="a", state="inactive")
    for volumes in (False, True):
        pools = modules.run("libvirt_pool_info", volumes=volumes, **arguments)["pools"]
        assert [pool["name"] for pool in pools] == names


def test_pool_is_shown_as_the_options_that_make_it(modules):
    """What is returned can be given back, and is no change."""
    definition = {"state": "inactive", "build": "never", "name": "p"}
    options = ("type", "source", "target", "features", "mount_options", "rbd_options")
    for kind, stated in OPTIONS:
        if kind not in RARE:
            modules.run("libvirt_pool", type=kind, **definition, **stated)
            found = modules.run("libvirt_pool_info", name=["p"])["pools"][0]
            returned = {option: found[option] for option in options if found[option]}
            assert not modules.run("libvirt_pool", **definition, **returned)["changed"], returned
            modules.run("libvirt_pool", name="p", state="undefined")


def test_inactive_pool_shows_no_volumes(modules, two_pools):
    modules.run("libvirt_pool", name="a", state="inactive")
    pools = modules.run("libvirt_pool_info", volumes=True)["pools"]
    assert [(pool["state"], len(pool["volumes"])) for pool in pools] == [
        ("inactive", 0),
        ("active", 2),
    ]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({}, ["a/x", "a/y", "b/x", "b/y"]),
        ({"pool": "a"}, ["a/x", "a/y"]),
        ({"name": "x"}, ["a/x", "b/x"]),
        ({"pool": "b", "name": "y"}, ["b/y"]),
        ({"pool": "b", "name": "none"}, []),
        ({"format": "qcow2"}, ["a/x", "a/y", "b/x", "b/y"]),
        ({"format": "raw"}, []),
        ({"name": "x", "format": "qcow2", "pool": "a"}, ["a/x"]),
        ({"path": "{folder}/a/y"}, ["a/y"]),
        ({"path": "{folder}/a/y", "pool": "b"}, []),
        ({"path": "{folder}/none"}, []),
    ],
)
def test_volumes(modules, two_pools, arguments, found, tmp_path):
    arguments = {key: value.format(folder=tmp_path) for key, value in arguments.items()}
    volumes = modules.run("libvirt_volume_info", **arguments)["volumes"]
    assert [f"{volume['pool']}/{volume['name']}" for volume in volumes] == found


def test_info_changes_nothing(modules, two_pools):
    for module in ("libvirt_pool_info", "libvirt_volume_info"):
        for check in (True, False):
            assert not modules.run(module, check=check)["changed"]


def ad_hoc(ansible, module: str, **arguments) -> dict:
    """What one of the modules returns to somebody who calls it from a shell."""
    command = ["ansible", "localhost", "-m", f"polyvisor.compute.{module}"]
    if arguments:
        command += ["-a", json.dumps(arguments)]
    output = ansible(*command)
    return json.loads(output.split("=>", 1)[1])


def test_ad_hoc(ansible, two_pools):
    pools = ad_hoc(ansible, "libvirt_pool_info")["pools"]
    assert [pool["name"] for pool in pools] == ["a", "b"]
    assert len(ad_hoc(ansible, "libvirt_pool_info", volumes=True, name=["a"])["pools"]) == 1
    assert len(ad_hoc(ansible, "libvirt_volume_info", pool="a")["volumes"]) == 2
    assert ad_hoc(ansible, "libvirt_pool", name="a", state="inactive")["changed"]
    assert ad_hoc(ansible, "libvirt_secret_info")["secrets"] == []


PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/polyvisor.compute.libvirt:
      uri: "{{ uri }}"
  tasks:
    - polyvisor.compute.libvirt_pool:
        name: disks
        type: dir
        target: {path: "{{ folder }}", permissions: {mode: "0711"}}
        autostart: true
    - polyvisor.compute.libvirt_volume:
        pool: disks
        name: base
        capacity: 10MiB
    - polyvisor.compute.libvirt_volume:
        pool: disks
        name: top
        capacity: 20MiB
        backing: {pool: disks, name: base}
    - polyvisor.compute.libvirt_volume_info:
        pool: disks
      register: found
    - ansible.builtin.assert:
        that:
          - found.volumes | map(attribute='name') == ['base', 'top']
"""


def test_playbook_with_defaults_of_the_group(ansible, tmp_path):
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    command = ("ansible-playbook", "-e", f"folder={tmp_path}/disks", "--diff", str(playbook))
    uri = "uri=qemu+unix:///system?socket=/run/libvirt/libvirt-sock"
    first = ansible(*command, "-e", uri)
    assert "changed=3" in first
    assert "target/path" in first
    assert "changed=0" in ansible(*command, "-e", uri)
    assert "libvirt at nonsense" in ansible(*command, "-e", "uri=nonsense", succeeds=False)
