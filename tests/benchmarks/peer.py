# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second nova-compute beside the demo's, with nova's own driver and a libvirtd of its own.

It is the demo's own process, its arguments and paths included, in namespaces where other
directories of the same file system stand at these paths. There the host has another name, because
Placement knows a hypervisor by libvirt's host name. Nothing of it is seen outside, and all of it,
guests included, ends with the first process in its namespace.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.cloud import Cloud, eventually, run

from .frame import FAILURES, BenchmarkError, explain

HOST = "bench-peer"
#: On the file system of the demo's own disks, so that both drivers write to the same one.
DIRECTORY = Path("/var/lib/nova") / HOST
STATE = Path("/var/lib/nova/pools")
CONFIG = Path("/etc/nova/compute")
CONFIG_FILE = CONFIG / "nova-pools.conf"
LOGS = Path("/var/log/nova")
#: What the peer has of its own, at the same paths as the demo has it.
PRIVATE = (
    STATE,
    CONFIG,
    LOGS,
    Path("/etc/libvirt/qemu"),
    Path("/run/libvirt"),
    Path("/var/cache/libvirt"),
    Path("/var/lib/libvirt"),
    Path("/var/log/libvirt"),
)
LIBVIRTD_CONFIG = """
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
auth_unix_rw = "none"
"""
#: bash stays the namespace's first process: it collects what the guests leave to it.
SCRIPT = """
umask 0022
hostname {host}
for path in {private}; do mount --bind {directory}$path $path; done
for daemon in virtlogd virtlockd; do $daemon --pid-file /run/libvirt/$daemon.pid & done
libvirtd --pid-file /run/libvirt/libvirtd.pid --config {directory}/libvirtd.conf &
until virsh --connect qemu:///system uri; do sleep 0.2; done
setpriv --reuid=nova --regid=nova --init-groups {nova_compute} &
wait $!
"""


@contextlib.contextmanager
def peer_compute(cloud: Cloud) -> Iterator[str]:
    """Run the peer; yields its host name once Nova can schedule to it. Needs root.

    :raises BenchmarkError: it does not come up, or what is done with it fails
    """
    command = _nova_compute()
    _forget(cloud)
    try:
        _prepare()
        with _running(command):
            try:
                _wait_until_schedulable(cloud)
                yield HOST
            except FAILURES as error:
                raise BenchmarkError(f"{explain(error)}\n{_errors()}") from error
            finally:
                _delete_servers(cloud)
    finally:
        _forget(cloud)


def _nova_compute() -> list[str]:
    """The command line of the demo's own nova-compute."""
    pid = run("pgrep", "--oldest", "--full", f"nova-compute .*{CONFIG_FILE}").strip()
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def _prepare() -> None:
    """Make the peer's own directories, owned and open as the demo's are."""
    for path in PRIVATE:
        own = _own(path)
        own.mkdir(parents=True)
        shutil.copystat(path, own)
        os.chown(own, path.stat().st_uid, path.stat().st_gid)
    for name in ("instances", "locks"):
        (_own(STATE) / name).mkdir()
        shutil.chown(_own(STATE) / name, "nova", "nova")
    run("cp", "--archive", "--no-target-directory", str(CONFIG), str(_own(CONFIG)))
    _configure(_own(CONFIG_FILE))
    (DIRECTORY / "libvirtd.conf").write_text(LIBVIRTD_CONFIG)


def _own(path: Path) -> Path:
    """Where the peer's file of a path lies outside of its namespaces."""
    return DIRECTORY / path.relative_to("/")


def _configure(path: Path) -> None:
    """Put nova's driver and qcow2 backend in place of ours."""
    config = configparser.RawConfigParser(strict=False)
    config.read(CONFIG_FILE)
    config["DEFAULT"].update(host=HOST, compute_driver="libvirt.LibvirtDriver")
    config["libvirt"]["images_type"] = "qcow2"
    config.remove_section("libvirt_storage")
    # Owner and mode, which keep the passwords in it from others, are those of the copy.
    with path.open("w") as stream:
        config.write(stream)


@contextlib.contextmanager
def _running(nova_compute: list[str]) -> Iterator[None]:
    """Libvirt's daemons and nova-compute in namespaces that end with this block, or this process."""
    script = SCRIPT.format(
        host=HOST,
        directory=DIRECTORY,
        private=shlex.join(map(str, PRIVATE)),
        nova_compute=shlex.join(nova_compute),
    )
    spaces = ("unshare", "--mount", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child")
    with (DIRECTORY / "output.log").open("w") as output:
        process = subprocess.Popen(
            ("setpriv", "--pdeathsig=KILL", *spaces, "bash", "-c", script),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _wait_until_schedulable(cloud: Cloud) -> None:
    eventually(lambda: any(s.state == "up" for s in _services(cloud)), 120, "the peer's service up")
    manage = ("/opt/mini-cloud/venv/bin/nova-manage", "--config-file=/etc/mini-cloud/nova.conf")
    # The database knows the cloud's own user alone.
    run("runuser", "-u", "mini-cloud", "--", *manage, "cell_v2", "discover_hosts", "--by-service")


def _services(cloud: Cloud) -> list:
    return [s for s in cloud.api.compute.services() if s.host == HOST]


def _errors() -> str:
    """What the peer's logs say of errors, and how they end."""
    logs = [DIRECTORY / "output.log", *_own(LOGS).glob("*.log")]
    logs += _own(Path("/var/log/libvirt")).rglob("*.log")
    parts = []
    for log in logs:
        lines = log.read_text(errors="replace").splitlines()
        told = [line for line in lines if " ERROR " in line][-20:] or lines[-10:]
        parts.append("\n".join((f"{log} of the peer:", *told)))
    return "\n".join(parts)


def _servers(cloud: Cloud) -> list:
    return [s for s in cloud.api.compute.servers(all_projects=True) if s.compute_host == HOST]


def _delete_servers(cloud: Cloud) -> None:
    for server in _servers(cloud):
        cloud.delete(server)


def _forget(cloud: Cloud) -> None:
    """Remove all that Nova and this machine still have of a peer that does not run any more."""
    if _servers(cloud):
        # Nova deletes servers without their compute once it knows that the compute is gone.
        eventually(
            lambda: all(service.state == "down" for service in _services(cloud)),
            120,
            "the peer's service down",
        )
        _delete_servers(cloud)
    for service in _services(cloud):
        cloud.api.compute.delete_service(service)
    shutil.rmtree(DIRECTORY, ignore_errors=True)
