# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A libvirtd of the tests' own, in mount and network namespaces of its own.

The machine's own daemon, its pools and its files are neither seen nor touched: what libvirt keeps
in /run, /var and /etc lies on file systems that exist only in there.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

# Directories that libvirt writes to, each an empty file system in the namespace.
_STATE = (
    "/run/libvirt",
    "/var/lib/libvirt",
    "/var/cache/libvirt",
    "/etc/libvirt/qemu",
    "/etc/libvirt/storage",
    "/etc/libvirt/secrets",
)
_QEMU = """
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
remember_owner = 0
stdio_handler = "file"
"""
_LIBVIRTD = 'auth_unix_rw = "none"\n'
_START = """
set -e
mkdir -p {state}
for directory in {state}; do mount -t tmpfs -o mode=755 tmpfs "$directory"; done
mount --bind {folder}/qemu.conf /etc/libvirt/qemu.conf
touch {folder}/apart
exec libvirtd --config {folder}/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid {options}
"""
_PATIENCE = 60


class PrivateLibvirtd:
    """Starts the daemon, and runs commands where they see it.

    :param folder: an empty directory, for configuration and log
    :param configuration: further lines of libvirtd.conf
    :param options: further options of libvirtd
    :param namespaces: options of unshare
    """

    def __init__(
        self,
        folder: Path,
        configuration: str = "",
        options: str = "",
        namespaces: tuple[str, ...] = ("--mount", "--net"),
    ) -> None:
        self.folder = folder
        self._namespaces = namespaces
        self._configuration = configuration
        self._options = options
        self.log = folder / "libvirtd.log"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        (self.folder / "qemu.conf").write_text(_QEMU)
        (self.folder / "libvirtd.conf").write_text(_LIBVIRTD + self._configuration)
        # Until it is there, the socket that is seen is that of the machine's own daemon.
        apart = self.folder / "apart"
        apart.unlink(missing_ok=True)
        script = _START.format(state=" ".join(_STATE), folder=self.folder, options=self._options)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", *self._namespaces, "--propagation", "private", "bash", "-c", script],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _PATIENCE
        while not (apart.exists() and self._answers()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"libvirtd did not start:\n{self.log.read_text()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        return not self.run("virsh", "--connect", "qemu:///system", "uri", check=False).returncode

    def stop(self) -> None:
        """End the daemon and what it started; its file systems go with it."""
        self._process.terminate()
        self._process.wait(_PATIENCE)

    def kill(self) -> None:
        """End the daemon at once, in the midst of what it is doing."""
        self._process.kill()
        self._process.wait(_PATIENCE)

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs a command where the daemon is."""
        return ["nsenter", f"--target={self._process.pid}", "--mount", "--net", "--", *arguments]

    def run(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess:
        """Run a command where the daemon is, and return what it printed."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=check, **options
        )

    def virsh(self, *arguments: str) -> str:
        """What virsh, a client that nobody here wrote, says."""
        return self.run("virsh", "--connect", "qemu:///system", "--quiet", *arguments).stdout
