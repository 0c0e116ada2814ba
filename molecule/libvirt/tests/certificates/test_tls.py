# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that others have made is used as it is; a host without one is reached no more."""

from __future__ import annotations

import pytest

FIRST, SECOND = "polyvisor-molecule-1", "polyvisor-molecule-2"


@pytest.fixture
def given(computes):
    """The process on the host that was given a certificate."""
    return computes[FIRST]


@pytest.fixture
def closed(computes):
    """The process on the host that others reach no more."""
    return computes[SECOND]


@pytest.mark.parametrize("user", ["root", "nova"])
def test_given_certificate_lets_its_owner_in(given, user):
    path = "?pkipath=/etc/pki/nova" if user == "nova" else ""
    seen = given.volumes_as(user, f"qemu+tls://{given.address}/system{path}")
    assert seen.succeeded, seen.stderr


@pytest.mark.parametrize("directory", ["libvirt/servercert", "qemu/server-cert", "nova/clientcert"])
def test_given_certificate_is_the_one_in_use(given, directory):
    issuer = given.host.check_output(f"openssl x509 -noout -issuer -in /etc/pki/{directory}.pem")
    assert issuer.endswith("another authority")


def test_libvirt_of_the_other_host_listens_no_more(given, closed):
    assert not given.volumes_as("root", f"qemu+tls://{closed.address}/system").succeeded
    shown = closed.host.run("systemctl is-active libvirtd-tls.socket").stdout.strip()
    assert shown == "inactive"
    assert closed.host.run("systemctl is-enabled libvirtd-tls.socket").stdout.strip() == "disabled"


def test_no_key_or_certificate_is_left_there(closed):
    assert closed.host.check_output("find /etc/pki -type f") == ""
    assert not closed.host.file("/etc/pki/nova").exists
    for path in ("libvirtd.conf", "qemu.conf"):
        assert "libvirt_tls" not in closed.host.file(f"/etc/libvirt/{path}").content_string


def test_libvirt_serves_its_own_host_as_before(closed):
    seen = closed.volumes_as("root", "qemu:///system")
    assert seen.succeeded, seen.stderr
