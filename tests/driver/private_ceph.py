# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""A Ceph cluster of the tests' own: a monitor, a manager, and an OSD that keeps all in memory."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import uuid

#: What a cluster is made with.
_PROGRAMS = ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "rbd", "ceph-authtool", "monmaptool")
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 15.0

#: Size of the cluster in bytes, of which memory is taken only for what is written.
CAPACITY = 64 << 30

_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port}]
public addr = 127.0.0.1
run dir = {directory}
admin socket =
pid file =
log file =
mon cluster log file =
log to stderr = true
keyring = {directory}/keyring
mon data = {directory}/mon
mgr data = {directory}/mgr
mgr module path = {directory}/no-modules
mgr initial modules =
mgr stats period = 1
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = {capacity}
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
paxos propose interval = 0.01
paxos min wait = 0.01
"""

#: The cluster's own users, and what they may do.
_USERS = {
    "mon.": ["mon", "allow *"],
    "client.admin": ["mon", "allow *", "osd", "allow *", "mgr", "allow *"],
    "mgr.x": ["mon", "allow profile mgr", "osd", "allow *"],
    "osd.0": ["mon", "allow profile osd", "osd", "allow *", "mgr", "allow profile osd"],
}


class PrivateCeph:
    """A running cluster, whose users prove who they are with keys (cephx).

    ``directory`` holds its files, ``configuration`` is the path of its ``ceph.conf``, ``port`` the
    monitor's, on the loopback interface.
    """

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="polyvisor-ceph-", dir="/tmp")
        self.configuration = self._path("ceph.conf")
        self.port = _free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the cluster and wait until it tells its size."""
        try:
            self._make_files()
            self._start("ceph-mon", "--id", "a")
            osd = str(uuid.uuid4())
            self._run("ceph", "osd", "new", osd, "0")
            self._start("ceph-mgr", "--id", "x")
            self._run("ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", osd)
            self._start("ceph-osd", "--id", "0")
            self._wait_until_it_tells_its_size()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the cluster and remove its files."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        shutil.rmtree(self.directory)

    def make_pool(self, name: str) -> None:
        """Make a pool, and a user ``client.<name>`` who may use nothing else."""
        self._run("ceph", "osd", "pool", "create", name, "1")
        rights = ["mon", "profile rbd", "osd", f"profile rbd pool={name}"]
        self._run("ceph", "auth", "get-or-create", f"client.{name}", *rights)

    def key(self, user: str) -> str:
        """Return the key of ``client.<user>``, in base64."""
        return self._run("ceph", "auth", "print-key", f"client.{user}")

    def rbd(self, *arguments: str) -> str:
        """Run Ceph's own tool for images as the administrator and return what it prints."""
        return self._run("rbd", *arguments)

    def _make_files(self) -> None:
        for name in ("mon", "mgr", "osd", "no-modules"):
            os.mkdir(os.path.join(self.directory, name))
        fsid = str(uuid.uuid4())
        with open(self.configuration, "w") as file:
            file.write(
                _CONFIGURATION.format(
                    fsid=fsid, port=self.port, directory=self.directory, capacity=CAPACITY
                )
            )
        keyring = self._path("keyring")
        self._run("ceph-authtool", "--create-keyring", keyring)
        for user, rights in _USERS.items():
            pairs = zip(rights[::2], rights[1::2], strict=True)
            caps = [word for pair in pairs for word in ("--cap", *pair)]
            self._run("ceph-authtool", keyring, "--gen-key", "--name", user, *caps)
        monmap = self._path("monmap")
        address = f"[v2:127.0.0.1:{self.port}]"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
        self._run("ceph-mon", "--id", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _start(self, *command: str) -> None:
        with open(self._path(f"{command[0]}.log"), "wb") as log:
            process = subprocess.Popen(
                [*command, "--foreground", "--conf", self.configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)

    def _run(self, *command: str) -> str:
        environment = {**os.environ, "CEPH_CONF": self.configuration}
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_START_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def _wait_until_it_tells_its_size(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while f'"total_bytes":{CAPACITY}' not in self._run("ceph", "df", "--format", "json"):
            ended = [process for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"Ceph did not start: {self._logs()}")
            time.sleep(0.2)

    def _logs(self) -> str:
        found = []
        for name in ("ceph-mon", "ceph-mgr", "ceph-osd"):
            with open(self._path(f"{name}.log")) as log:
                found.append(f"{name}: {log.read()[-2000:]}")
        return "\n".join(found)


@functools.cache
def shared_ceph() -> PrivateCeph:
    """Return the cluster of the test run, which starts at its first use."""
    ceph = PrivateCeph()
    ceph.start()
    atexit.register(ceph.stop)
    return ceph


def missing() -> list[str]:
    """Return the programs that this machine lacks to run a cluster."""
    return [program for program in _PROGRAMS if shutil.which(program) is None]


#: Skips tests where there is no Ceph, naming what is missing.
needs_ceph = unittest.skipIf(missing(), f"this needs {', '.join(missing())}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
