# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connections that the libvirt modules make: other URIs, and a daemon that hangs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable

import pytest
from modules import ModuleFailed, Modules
from private_libvirtd import PrivateLibvirtd
from storage_servers import ADDRESS, use_address

TIMEOUT = 4
# Looks at the pools, waits for a line, and looks again.
TWO_LOOKS = """
from ansible_collections.polyvisor.compute.plugins.module_utils import _errors
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import client
connection = client.Client("qemu:///system", {timeout})
connection.pools()
print("looked", flush=True)
input()
try:
    connection.pools()
except _errors.Unreachable as error:
    print(error)
"""
# Streams a file into a volume.
UPLOAD = """
import os
from ansible_collections.polyvisor.compute.plugins.module_utils import _errors
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import volume_client
connection = volume_client.VolumeClient("qemu:///system", {timeout})
volume = connection.find_volume("pool", "v")
file = os.open({path!r}, os.O_RDONLY)
print("begins", flush=True)
try:
    connection.upload(volume, file, {size}, {size})
except _errors.Unreachable as error:
    print(error)
else:
    print("complete")
"""


@pytest.fixture
def daemon_pid(libvirtd):
    """Of the daemon, which goes on afterwards if it was stopped."""
    pid = int(libvirtd.run("cat", "/run/libvirt/libvirtd.pid").stdout)
    yield pid
    os.kill(pid, signal.SIGCONT)


@pytest.fixture
def hung(daemon_pid):
    """Makes the daemon hang."""
    return lambda: os.kill(daemon_pid, signal.SIGSTOP)


@pytest.fixture
def streaming(modules, pool, tmp_path):
    """A process that has begun to stream a file of 512 MiB into a volume."""
    size = 512 * 1024**2
    modules.run("libvirt_volume", pool=pool, name="v", capacity=str(size))
    source = tmp_path / "source"
    with source.open("wb") as file:
        for _count in range(512):
            file.write(os.urandom(1024**2))
    process = modules.spawn("-c", UPLOAD.format(timeout=TIMEOUT, path=str(source), size=size))
    assert process.stdout.readline() == "begins\n"
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("module", ["libvirt_pool_info", "libvirt_secret_info"])
def test_daemon_that_hangs_is_told(modules, hung, module):
    hung()
    start = time.monotonic()
    with pytest.raises(ModuleFailed, match=f"within {TIMEOUT} seconds"):
        modules.run(module, timeout=TIMEOUT)
    assert TIMEOUT <= time.monotonic() - start < 3 * TIMEOUT


def test_daemon_that_begins_to_hang_is_told(modules, libvirtd, hung, tmp_path):
    """By the keepalive messages that it does not answer."""
    script = TWO_LOOKS.format(timeout=TIMEOUT)
    process = modules.spawn("-c", script)
    assert process.stdout.readline() == "looked\n"
    hung()
    start = time.monotonic()
    output = process.communicate("\n", timeout=60)[0]
    assert "The connection to libvirt broke" in output
    assert time.monotonic() - start < 3 * TIMEOUT


def test_daemon_that_begins_to_hang_under_a_stream_is_told(streaming, hung):
    hung()
    start = time.monotonic()
    assert "The connection to libvirt broke" in streaming.communicate(timeout=60)[0]
    assert time.monotonic() - start < 3 * TIMEOUT


def test_stream_may_take_longer_than_the_timeout(streaming, daemon_pid):
    """The daemon is made slow: stopped most of the time, but never for as long as the timeout."""
    end = time.monotonic() + 2 * TIMEOUT
    while time.monotonic() < end:
        os.kill(daemon_pid, signal.SIGSTOP)
        time.sleep(TIMEOUT / 8)
        os.kill(daemon_pid, signal.SIGCONT)
        time.sleep(0.005)
    assert streaming.poll() is None
    assert streaming.communicate(timeout=60)[0] == "complete\n"


@pytest.mark.parametrize("timeout", [0, 1, 5])
def test_any_timeout_serves_a_daemon_that_answers(modules, pool, timeout):
    assert modules.run("libvirt_pool_info", timeout=timeout)["pools"]


def test_negative_timeout_is_refused(modules):
    modules.refused("libvirt_pool_info", "timeout", timeout=-1)


def converges(run: Callable[..., dict], uri: str, path: str) -> None:
    """A pool comes to be and goes through a connection.

    :param run: runs a module
    """
    arguments = {"uri": uri, "name": "p", "type": "dir", "target": {"path": path}}
    assert run("libvirt_pool", **arguments)["changed"]
    assert not run("libvirt_pool", **arguments)["changed"]
    pools = run("libvirt_pool_info", uri=uri, name=["p"])["pools"]
    assert [pool["state"] for pool in pools] == ["active"]
    run("libvirt_pool", uri=uri, name="p", state="deleted", delete_data=True)
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///system",
        "lxc:///system",
        "qemu+unix:///system?socket=/run/libvirt/libvirt-sock",
    ],
)
def test_uri(modules, tmp_path, uri):
    converges(modules.run, uri, str(tmp_path / "pool"))


# Runs a module as a user other than root, who may read and write the test's files all the same:
# for root, libvirt takes the machine's own daemon even for a session.
AS_USER = """
import os, sys
capability = "+dac_override"
user = ["--reuid=65534", "--regid=65534", "--clear-groups"]
capabilities = [f"--inh-caps={capability}", f"--ambient-caps={capability}"]
os.execvp("setpriv", ["setpriv", *user, *capabilities, sys.executable, "-m", *sys.argv[1:]])
"""


@pytest.fixture
def home():
    """A directory of that user, whom pytest keeps out of its own."""
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, 65534, 65534)
    yield folder
    shutil.rmtree(folder)


def test_uri_of_a_session(modules, libvirtd, home, monkeypatch):
    """libvirt starts the user's own daemon."""
    for name in ("RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME", "DATA_HOME"):
        monkeypatch.setitem(modules.environment, f"XDG_{name}", str(home / name))

    def run(module: str, **arguments) -> dict:
        return modules.result(modules.start(module, arguments, "-c", AS_USER))

    converges(run, "qemu:///session", str(home / "pool"))
    pid = int((home / "RUNTIME_DIR" / "libvirt" / "libvirtd.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "the session's daemon does not end"
        time.sleep(0.05)


# Takes the place of ssh: runs what ssh would have run on the other machine.
SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
exec sh -c "$*"
"""


def test_uri_through_ssh(modules, libvirtd, tmp_path):
    """With libvirt's own helper at the far end of the pipe."""
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    uri = f"qemu+ssh://root@far.example.com/system?command={ssh}"
    converges(modules.run, uri, str(tmp_path / "pool"))


def test_far_machine_that_does_not_answer_is_told(modules, tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nexec sleep 60\n")
    ssh.chmod(0o755)
    with pytest.raises(ModuleFailed, match=f"within {TIMEOUT} seconds"):
        uri = f"qemu+ssh://far.example.com/system?command={ssh}"
        modules.run("libvirt_pool_info", uri=uri, timeout=TIMEOUT)


def openssl(folder, *arguments: str) -> None:
    """Make keys and certificates."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_certificates(folder) -> None:
    """An authority, a server at ADDRESS and a client, where ``?pkipath`` looks for them."""
    request = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    authority = ("-keyout", "cakey.pem", "-out", "cacert.pem")
    openssl(folder, *request, "-x509", "-days", "1", "-subj", "/CN=authority", *authority)
    for name, subject in (("server", ADDRESS), ("client", "client")):
        names = ("-subj", f"/CN={subject}", "-addext", f"subjectAltName=IP:{ADDRESS}")
        openssl(folder, *request, *names, "-keyout", f"{name}key.pem", "-out", f"{name}.csr")
        signed = ("-CA", "cacert.pem", "-CAkey", "cakey.pem", "-copy_extensions", "copy")
        made = ("-in", f"{name}.csr", "-days", "1", "-out", f"{name}cert.pem")
        openssl(folder, "x509", "-req", *signed, *made)


@pytest.fixture
def modules_of_tls(collections, tmp_path):
    """Modules beside a libvirtd that listens on TLS."""
    make_certificates(tmp_path)
    files = {"key": "serverkey.pem", "cert": "servercert.pem", "ca": "cacert.pem"}
    lines = [f'{name}_file = "{tmp_path}/{file}"\n' for name, file in files.items()]
    folder = tmp_path / "daemon"
    folder.mkdir()
    daemon = PrivateLibvirtd(folder, "listen_tls = 1\n" + "".join(lines), "--listen")
    daemon.start()
    use_address(daemon)
    modules = Modules(daemon, collections, folder)
    yield modules
    modules.close()
    daemon.stop()


def test_uri_through_tls(modules_of_tls, tmp_path):
    uri = f"qemu+tls://{ADDRESS}/system?pkipath={tmp_path}"
    converges(modules_of_tls.run, uri, str(tmp_path / "pool"))


def test_server_whose_certificate_is_of_another_name_is_refused(modules_of_tls, tmp_path):
    """libvirt's library complains on standard error, too, which is not the module's output."""
    uri = f"qemu+tls://127.0.0.1/system?pkipath={tmp_path}"
    process = modules_of_tls.start("libvirt_pool_info", {"uri": uri})
    result = json.loads(process.communicate()[0].splitlines()[-1])
    assert result["failed"]
    assert "certificate" in result["msg"]
