# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that nears its end is renewed, for the same key, and everyone uses the new one."""

from __future__ import annotations

import subprocess

import pytest

SERVER = "/etc/pki/libvirt/servercert.pem"
COPIES = [
    "/etc/pki/libvirt/clientcert.pem",
    "/etc/pki/qemu/server-cert.pem",
    "/etc/pki/qemu/client-cert.pem",
    "/etc/pki/nova/clientcert.pem",
]


def public_key(certificate: str) -> str:
    command = ["openssl", "x509", "-noout", "-pubkey"]
    return subprocess.run(
        command, input=certificate, capture_output=True, text=True, check=True
    ).stdout


def test_certificate_is_another_for_the_same_key(pools):
    now = pools.host.file(SERVER).content_string
    assert now != pools.before["certificate"]
    assert public_key(now) == public_key(pools.before["certificate"])


@pytest.mark.parametrize("path", COPIES)
def test_copy_of_the_certificate_is_the_new_one(pools, path):
    assert pools.host.file(path).content_string == pools.host.file(SERVER).content_string


@pytest.mark.parametrize("user", ["root", "nova"])
def test_hosts_reach_each_other_still(pools, user):
    path = "?pkipath=/etc/pki/nova" if user == "nova" else ""
    seen = pools.volumes_as(user, f"qemu+tls://{pools.peer.address}/system{path}")
    assert seen.succeeded, seen.stderr
