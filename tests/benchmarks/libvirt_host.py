# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd of the benchmarks' own, modules and commands beside it, and what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cloud import ROOT
from tests.functional.private_libvirtd import PrivateLibvirtd

from .frame import BenchmarkError

STARTS = 15
MODULES = "ansible_collections.polyvisor.compute.plugins.modules"
#: What every module loads before its own code, and what every run of virsh does.
EMPTY_MODULE = (sys.executable, "-c", "import ansible.module_utils.basic, libvirt")
EMPTY_VIRSH = ("virsh", "--quiet", "echo")


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds on the clock, MiB of memory at its peak."""

    seconds: float
    memory: float
    output: str


class Host:
    """Where the benchmarks' libvirtd runs.

    :param folder: an empty directory, for images and pools, too
    """

    def __init__(self, folder: Path, daemon: PrivateLibvirtd) -> None:
        self.folder = folder
        self._daemon = daemon
        namespace = folder / "collections" / "ansible_collections" / "polyvisor"
        namespace.mkdir(parents=True)
        (namespace / "compute").symlink_to(ROOT)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder / "collections"),
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_HOME": str(folder / "ansible"),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
        }

    def run(self, *command: str, **environment: str) -> Cost:
        """Run a command to its end.

        :raises BenchmarkError: if it fails
        """
        with tempfile.TemporaryFile("w+") as output:
            start = time.perf_counter()
            process = subprocess.Popen(
                self._daemon.command(*command),
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _pid, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read()
        if process.returncode:
            raise BenchmarkError(f"{' '.join(command)} failed:\n{text}")
        return Cost(seconds, usage.ru_maxrss / 1024, text)

    def distant(self) -> str:
        """A URI under which the daemon is one of another machine: all goes through streams."""
        script = self.folder / "connect"
        script.write_text("#!/bin/sh\nexec virt-ssh-helper qemu:///system\n")
        script.chmod(0o755)
        return f"qemu+ext://elsewhere/system?command={script}"

    def virsh(self, *arguments: str) -> Cost:
        """Run virsh."""
        return self.run("virsh", "--quiet", *arguments)

    def module(self, name: str, /, **arguments: object) -> Cost:
        """Run a module in an interpreter of its own, as it is run on a target."""
        path = self.folder / "arguments.json"
        path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        return self.run(sys.executable, "-m", f"{MODULES}.{name}", str(path))

    def start_of(self, command: tuple[str, ...]) -> float:
        """Seconds that a program takes before it does anything: the median of several runs."""
        return statistics.median(self.run(*command).seconds for _number in range(STARTS))

    def make_pool(self, name: str) -> Path:
        """An active pool over a new directory."""
        path = self.folder / name
        path.mkdir()
        self.virsh("pool-create-as", name, "dir", "--target", str(path))
        return path


@contextlib.contextmanager
def private_host() -> Iterator[Host]:
    """A host whose libvirtd and files go when it is left. Needs root."""
    with tempfile.TemporaryDirectory(prefix="polyvisor-bench-", dir="/var/tmp") as folder:
        state = Path(folder) / "libvirtd"
        state.mkdir()
        daemon = PrivateLibvirtd(state)
        daemon.start()
        try:
            yield Host(Path(folder), daemon)
        finally:
            daemon.stop()
