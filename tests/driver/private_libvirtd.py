# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""A libvirtd of the tests' own, which sees nothing of the machine's and leaves nothing behind."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator

import libvirt

#: Directories that a libvirtd run by root keeps its state in.
_ROOT_DIRECTORIES = ("/run/libvirt", "/var/lib/libvirt", "/etc/libvirt")
#: Names for daemons that stand for different hosts; each of them can resolve them all.
HOSTNAMES = ("host-a.test", "host-b.test")
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 15.0


@functools.cache
def _cache() -> str:
    """Return the directory in which all daemons of a test run keep what they know of QEMU.

    Each would take seconds to find that out anew.
    """
    directory = tempfile.mkdtemp(prefix="polyvisor-libvirtd-cache-", dir="/tmp")
    atexit.register(shutil.rmtree, directory)
    return directory


class PrivateLibvirtd:
    """A running libvirtd. ``uri`` connects to it, ``directory`` is free for the tests' files.

    :param hostname: what the daemon takes its host's name to be, the machine's by default; daemons
        of different names are different hosts to libvirt, if root runs them
    """

    def __init__(self, hostname: str | None = None) -> None:
        self._hostname = hostname
        # Not TMPDIR: nova's fixtures nest it, and the path of a socket has at most 107 bytes.
        self.directory = tempfile.mkdtemp(prefix="polyvisor-libvirtd-", dir="/tmp")
        os.chmod(self.directory, 0o755)
        self._log = os.path.join(self.directory, "libvirtd.log")
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            self._socket = os.path.join(self.directory, "run-libvirt", "libvirt-sock")
            self.uri = f"qemu+unix:///system?socket={self._socket}"
        else:
            self._socket = os.path.join(self.directory, "run", "libvirt", "libvirt-sock")
            self.uri = f"qemu+unix:///session?socket={self._socket}"

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                with contextlib.closing(libvirt.open(self.uri)):
                    return
            except libvirt.libvirtError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    with open(self._log) as log:
                        said = log.read().strip()
                    status = self._process.returncode
                    self.stop()
                    raise RuntimeError(
                        f"libvirtd did not start (status {status}): {said or error}"
                    ) from error
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the daemon and all that it started, and remove its directory."""
        if self._process is not None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()
            self._process = None
        shutil.rmtree(self.directory)

    def kill(self) -> None:
        """End the daemon and what it started at once; start() brings it back with its pools."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def mount(self, directory: str, size: int) -> None:
        """Let a directory be a file system of a size in KiB, for the daemon and its guests only."""
        self._run_inside("mount", "-t", "tmpfs", "-o", f"size={size}k", "tests", directory)

    def fill(self, directory: str, read_only: bool = False) -> None:
        """Fill a file system that was mounted to the last block, or let nobody write to it."""
        if read_only:
            self._run_inside("mount", "-o", "remount,ro", directory)
            return
        command = ["dd", "if=/dev/zero", f"of={directory}/filler", "bs=4k"]
        # It ends with an error: there is no space left.
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run_inside(*command)

    def _run_inside(self, *command: str) -> None:
        enter = ["nsenter", "--mount", "--target", str(self._process.pid)]
        subprocess.run([*enter, *command], check=True, capture_output=True)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _command(self) -> list[str]:
        if os.geteuid() != 0:
            return ["libvirtd"]
        # Root's libvirtd has its directories compiled in: a mount namespace gives it others.
        script = ["set -e", "mount --make-rprivate /"]
        for path in _ROOT_DIRECTORIES:
            own = os.path.join(self.directory, path.strip("/").replace("/", "-"))
            os.makedirs(own, exist_ok=True)
            script.append(f"mkdir -p {path}; mount --bind {own} {path}")
        script.append(f"mkdir -p /var/cache/libvirt; mount --bind {_cache()} /var/cache/libvirt")
        script.append("mkdir -p /etc/libvirt/qemu /etc/libvirt/storage")
        script.append(
            'printf \'user = "root"\\ngroup = "root"\\nsecurity_driver = "none"\\n'
            'cgroup_controllers = []\\nremember_owner = 0\\nstdio_handler = "file"\\n\' '
            "> /etc/libvirt/qemu.conf"
        )
        script.append(": > /etc/libvirt/libvirtd.conf")
        if self._hostname:
            script.append(f"hostname {self._hostname}")
            script.append(f"echo 'host_uuid = \"{uuid.uuid4()}\"' > /etc/libvirt/libvirtd.conf")
            hosts = os.path.join(self.directory, "hosts")
            script.append(f"echo 127.0.0.1 localhost {' '.join(HOSTNAMES)} > {hosts}")
            script.append(f"mount --bind {hosts} /etc/hosts")
        script.append(
            "exec libvirtd --config /etc/libvirt/libvirtd.conf "
            f"--pid-file {self.directory}/libvirtd.pid"
        )
        return ["unshare", "--mount", "--uts", "sh", "-c", "\n".join(script)]

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        if os.geteuid() != 0:
            for variable, name in (
                ("XDG_RUNTIME_DIR", "run"),
                ("XDG_CONFIG_HOME", "config"),
                ("XDG_CACHE_HOME", "cache"),
                ("XDG_DATA_HOME", "data"),
            ):
                own = os.path.join(self.directory, name)
                os.makedirs(own, mode=0o700)
                environment[variable] = own
        return environment


@contextlib.contextmanager
def private_libvirtd() -> Iterator[PrivateLibvirtd]:
    """Run a libvirtd for the length of a ``with`` block."""
    daemon = PrivateLibvirtd()
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
