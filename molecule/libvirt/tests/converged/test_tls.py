# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts reach each other's libvirt with TLS, and nobody else reaches it."""

from __future__ import annotations

import subprocess

import pytest

NOVA_PKI = "/etc/pki/nova"
PRIVATE = {
    "/etc/pki/libvirt/private/serverkey.pem": ("root", "root", 0o600),
    "/etc/pki/libvirt/private/clientkey.pem": ("root", "root", 0o600),
    "/etc/pki/qemu/server-key.pem": ("root", "libvirt-qemu", 0o640),
    "/etc/pki/qemu/client-key.pem": ("root", "libvirt-qemu", 0o640),
    f"{NOVA_PKI}/clientkey.pem": ("root", "nova", 0o640),
}


def test_nova_reaches_the_libvirt_of_the_other_host(pools):
    options = pools.host.file(pools.configuration).content_string
    uri = next(line for line in options.splitlines() if line.startswith("remote_uri = "))
    seen = pools.volumes_as("nova", uri.partition(" = ")[2] % pools.peer.address)
    assert seen.succeeded, seen.stderr


def test_libvirtd_reaches_the_libvirt_of_the_other_host(pools):
    seen = pools.volumes_as("root", f"qemu+tls://{pools.peer.address}/system")
    assert seen.succeeded, seen.stderr


def test_certificate_of_an_unknown_name_is_refused(pools, authority, tmp_path):
    """It is signed by the same authority."""
    key, request, certificate = (
        tmp_path / name for name in ("clientkey.pem", "csr", "clientcert.pem")
    )
    for arguments in (
        ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stranger", "-keyout", key]
        + ["-out", request],
        ["x509", "-req", "-in", request, "-CA", authority / "ca.pem", "-CAkey"]
        + [authority / "ca.key", "-set_serial", "1", "-out", certificate],
    ):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    directory = f"/root/{tmp_path.name}"
    subprocess.run(["podman", "cp", tmp_path, f"{pools.container}:{directory}"], check=True)
    pools.host.check_output(f"cp {NOVA_PKI}/cacert.pem {directory}")
    uri = f"qemu+tls://{pools.peer.address}/system?pkipath={directory}"
    refused = pools.volumes_as("root", uri)
    pools.host.check_output(f"rm -r {directory}")
    assert not refused.succeeded
    assert "nova-disks-pool" not in refused.stdout
    assert "TLS" in refused.stderr or "authentication" in refused.stderr, refused.stderr


def test_without_a_certificate_nobody_is_let_in(pools):
    directory = "/root/no-certificate"
    pools.host.check_output(f"mkdir {directory} && cp {NOVA_PKI}/cacert.pem {directory}")
    refused = pools.volumes_as(
        "root", f"qemu+tls://{pools.peer.address}/system?pkipath={directory}"
    )
    pools.host.check_output(f"rm -r {directory}")
    assert not refused.succeeded


@pytest.mark.parametrize("path", PRIVATE)
def test_key_is_read_by_who_uses_it_alone(pools, path):
    file = pools.host.file(path)
    assert (file.user, file.group, file.mode) == PRIVATE[path]


def test_keys_stay_on_their_hosts(pools, authority):
    key = pools.host.check_output("openssl pkey -pubout -in %s", f"{NOVA_PKI}/clientkey.pem")
    signed = pools.host.check_output(
        "openssl x509 -noout -pubkey -in /etc/pki/libvirt/servercert.pem"
    )
    assert key == signed
    kept = [path for path in authority.iterdir() if b"PRIVATE" in path.read_bytes()]
    assert [path.name for path in kept] == ["ca.key"]
    assert kept[0].stat().st_mode & 0o077 == 0


def test_libvirt_listens_for_others_on_the_host_s_address_alone(pools):
    shown = pools.host.check_output("systemctl show --value --property=Listen libvirtd-tls.socket")
    assert shown.strip() == f"{pools.address}:16514 (Stream)"


def test_nova_is_told_of_it_and_only_with_a_libvirt_driver(pools, fake):
    options = pools.host.file(pools.configuration).content_string.splitlines()
    address = pools.address
    for option in (
        f"my_ip = {address}",
        f"live_migration_inbound_addr = {address}",
        "live_migration_scheme = tls",
        "live_migration_with_native_tls = true",
    ):
        assert option in options
    assert "live_migration" not in fake.host.file(fake.configuration).content_string
