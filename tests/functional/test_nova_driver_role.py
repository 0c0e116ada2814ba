# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role nova_driver beside real novas, each seen through an overlay that is thrown away.

The novas are those of the driver's tests. That of the distribution is nova 34 in the directory of
the distribution's packages, /usr/lib/python3/dist-packages, where its interpreter finds it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_VENVS = _ROOT / "build" / "venv"
_CHANGE_WHEEL = _ROOT / "molecule/libvirt/files/change_wheel.py"
_DISTRIBUTION = Path("/usr/lib/python3/dist-packages")
_PLUGIN = ("nova_polyvisor", "nova_polyvisor-1.0.0.dist-info", "nova/virt/polyvisor")
_FULL = "POLYVISOR_TEST_FULL" in os.environ
# Molecule deploys to virtual environments; here the tier that has less time sees the other kind.
_TARGETS = [("distribution", 34), *([("existing", 33), ("existing", 34)] if _FULL else [])]
_slow = pytest.mark.skipif(not _FULL, reason="of the slow tier")
_PLAY = [
    {
        "hosts": "localhost",
        "gather_facts": True,
        "gather_subset": ["!all", "min"],
        "roles": ["polyvisor.compute.nova_driver"],
    }
]


class Target:
    """A nova in a mount namespace of its own, and the role run on it."""

    def __init__(self, nova: str, release: int, collections: Path, scratch: Path):
        self.venv = _VENVS / f"nova-{release}"
        (packages,) = self.venv.glob("lib/python3*/site-packages")
        self.directory = _DISTRIBUTION if nova == "distribution" else packages
        self.state = scratch / "state"
        self.scratch = scratch
        self._environment = f"ANSIBLE_COLLECTIONS_PATH={collections}"
        self._vars = {
            "nova_driver_nova": nova,
            "nova_driver_venv": str(self.venv),
            "nova_driver_state_dir": str(self.state),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        (scratch / "play.yml").write_text(json.dumps(_PLAY), encoding="utf-8")
        command = ["unshare", "--mount", "--propagation", "private", "cat"]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._holder.stdin.write(b"\n")
        self._holder.stdin.flush()
        self._holder.stdout.readline()  # the namespace is there once cat answers
        layers = [packages] if packages == self.directory else [packages, self.directory]
        upper = scratch / "upper"
        upper.mkdir()
        self.enter("mount", "-t", "tmpfs", "upper", str(upper))
        self.enter("mkdir", f"{upper}/files", f"{upper}/work")
        options = f"lowerdir={':'.join(map(str, layers))},upperdir={upper}/files"
        self.enter(
            *("mount", "-t", "overlay", "overlay", "-o"),
            *(f"{options},workdir={upper}/work", str(self.directory)),
        )
        self.enter("rm", "-rf", *(f"{self.directory}/{name}" for name in _PLUGIN))

    def close(self) -> None:
        """End the namespace, with all that was mounted in it."""
        self._holder.communicate()

    def enter(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command where the overlay is seen."""
        namespace = f"--mount=/proc/{self._holder.pid}/ns/mnt"
        return subprocess.run(
            ["nsenter", namespace, "--", *command], capture_output=True, text=True, check=check
        )

    def start(self, *options: str, **variables: str) -> subprocess.Popen[str]:
        """Start the role."""
        command = [
            *("nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--", "env"),
            *(self._environment, "ANSIBLE_NOCOLOR=1", "ANSIBLE_CALLBACK_RESULT_FORMAT=json"),
            *(f"{Path(sys.executable).parent}/ansible-playbook", "--inventory", "localhost,"),
            *("--connection", "local", "--extra-vars", json.dumps({**self._vars, **variables})),
            *(*options, str(self.scratch / "play.yml")),
        ]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *options: str, **variables: str) -> str:
        """Run the role, which must succeed."""
        role = self.start(*options, **variables)
        output = role.communicate()[0]
        assert role.returncode == 0, output
        return output

    def fail(self, **variables: str) -> str:
        """Run the role, which must fail."""
        role = self.start(**variables)
        output = role.communicate()[0]
        assert role.returncode == 2, output
        return output

    def files(self) -> dict[str, str]:
        """The plugin's files beside nova and their checksums, caches of bytecode left out."""
        places = [f"{self.directory}/{name}" for name in _PLUGIN]
        found = self.enter("find", *places, "-type", "f", "!", "-name", "*.pyc", check=False).stdout
        listing = self.enter("sha256sum", *found.split()).stdout if found else ""
        return {line.split()[1]: line.split()[0] for line in listing.splitlines()}

    def foreign(self) -> str:
        """A checksum over the names of what is not the plugin's."""
        listing = self.enter("find", str(self.directory), "!", "-name", "*.pyc").stdout
        names = [name for name in sorted(listing.split("\n")) if "olyvisor" not in name]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def changed_wheel(self, line: str) -> str:
        """A copy of the wheel in use with a line added to the plugin's __init__.py."""
        (record,) = self.state.glob("*/installed.json")
        wheel = Path(json.loads(record.read_text(encoding="utf-8"))["wheel"])
        target = self.scratch / hashlib.sha256(line.encode()).hexdigest()
        target.mkdir()
        command = [sys.executable, _CHANGE_WHEEL, wheel, target, "nova_polyvisor/__init__.py", line]
        subprocess.run(command, check=True)
        return str(target / wheel.name)


@pytest.fixture(params=_TARGETS, ids=str)
def target(request: pytest.FixtureRequest, collections: Path, tmp_path: Path) -> Iterator[Target]:
    """A supported nova without the plugin."""
    made = Target(*request.param, collections, tmp_path)
    yield made
    made.close()


@pytest.fixture
def existing(collections: Path, tmp_path: Path) -> Iterator[Target]:
    """A virtual environment with nova 34, without the plugin."""
    made = Target("existing", 34, collections, tmp_path)
    yield made
    made.close()


def test_install_upgrade_roll_back_remove(target: Target) -> None:
    """The life of the plugin beside each nova; a bad upgrade leaves the files as they were."""
    before = target.foreign()
    assert '"loads": true' in target.run()
    installed = target.files()
    assert f"{target.directory}/nova/virt/polyvisor/libvirt.py" in installed
    assert "changed=0" in target.run()

    broken = target.changed_wheel('raise ImportError("broken on purpose")')
    output = target.fail(nova_driver_wheel=broken)
    assert "broken on purpose" in output
    assert "The plugin from before was put back" in output
    assert {name: value for name, value in target.files().items() if "RECORD" not in name} == {
        name: value for name, value in installed.items() if "RECORD" not in name
    }
    assert "changed=0" in target.run()

    better = target.changed_wheel("# another build")
    target.run(nova_driver_wheel=better)
    assert target.files() != installed
    target.run(nova_driver_state="absent")
    assert target.files() == {}
    assert not target.state.exists()
    assert target.foreign() == before
    assert "changed=0" in target.run(nova_driver_state="absent")


def test_check_mode_changes_nothing(existing: Target) -> None:
    assert "changed=0" not in existing.run("--check")
    assert existing.files() == {}
    assert not existing.state.exists()


def test_first_install_that_fails_is_taken_away_again(existing: Target) -> None:
    output = existing.fail(nova_driver_drivers=["polyvisor.none.Driver"])
    assert "It was taken away again" in output
    assert existing.files() == {}


@_slow
def test_a_run_killed_while_pip_works_is_healed(existing: Target) -> None:
    """pip refuses what has no RECORD and overlooks what it had set aside."""
    existing.run()
    installed = existing.files()
    (record,) = existing.state.glob("*/installed.json")
    record.with_name("unfinished").touch()
    existing.enter("rm", next(name for name in installed if name.endswith("/RECORD")))
    existing.enter("rm", f"{existing.directory}/nova_polyvisor/check.py")
    aside = f"{existing.directory}/~ova_polyvisor"
    existing.enter("mkdir", aside)
    existing.run()
    assert existing.files().keys() == installed.keys()
    assert existing.enter("test", "-e", aside, check=False).returncode == 1
    assert "changed=0" in existing.run()


@_slow
def test_two_runs_at_once_take_turns(existing: Target) -> None:
    roles = [existing.start(), existing.start()]
    outputs = [role.communicate()[0] for role in roles]
    assert [role.returncode for role in roles] == [0, 0], "\n".join(outputs)
    assert "changed=0" in existing.run()


def test_files_of_others_are_not_overwritten(existing: Target) -> None:
    alien = f"{existing.directory}/nova/virt/polyvisor"
    existing.enter("mkdir", alien)
    output = existing.fail()
    assert f"{alien} exists, and no installed nova-polyvisor owns it" in output
    assert existing.enter("test", "-d", alien, check=False).returncode == 0


def test_unsupported_nova_is_refused_by_its_version(existing: Target) -> None:
    packages = existing.directory
    (info,) = packages.glob("nova-34*.dist-info")
    existing.enter("sed", "-i", "s/^Version: .*/Version: 26.2.1/", str(info / "METADATA"))
    output = existing.fail()
    assert "nova 26.2.1 of existing" in output
    assert "nothing was changed" in output
    assert existing.files() == {}
    assert not existing.state.exists()
