# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What sets the types of storage pool apart, see https://libvirt.org/storage.html."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused

_FILE_SYSTEMS = (
    *("auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+"),
    *("xfs", "ocfs2", "vmfs"),
)
_PARTITION_TABLES = ("unknown", "dos", "dvh", "gpt", "mac", "bsd", "pc98", "sun", "lvm2")
# Formats that stand for "whatever there is": nothing can be made of them.
NO_FORMAT = (None, "auto", "unknown")
_BY_PATH = "/dev/disk/by-path"


class PoolType(NamedTuple):
    """One type of pool.

    :param needs: options without which there is no such pool, of which ``source.devices`` and
        ``source.hosts`` take just one entry unless they stand in ``many``
    :param path: where the volumes appear if the options do not say so
    :param formats: what ``source.format`` can be; empty where libvirt may judge
    :param builds: what a build makes: ``directory``; ``format`` (on a device, and the directory);
        ``group`` (of devices, by a name); or ``nothing``
    :param own_permissions: whether the directory's permissions are the definition's: neither
        hidden nor reported by what is mounted there
    :param makes_volumes: whether libvirt can make volumes in it
    :param deletes_volumes: whether libvirt can delete its volumes
    :param deletes: whether libvirt can delete what is under it
    :param port: the port of a host that states none
    """

    needs: tuple[str, ...] = ()
    many: tuple[str, ...] = ()
    path: str | None = None
    formats: tuple[str, ...] = ()
    builds: str = "nothing"
    own_permissions: bool = True
    makes_volumes: bool = True
    deletes_volumes: bool = True
    deletes: bool = True
    port: str | None = None

    @property
    def on_directory(self) -> bool:
        """Whether the target is a directory that has to be there or be made."""
        return "target.path" in self.needs and self.builds in ("directory", "format")

    @property
    def on_devices(self) -> bool:
        """Whether the source's devices are block devices that a build writes to."""
        return self.builds in ("format", "group")


TYPES = {
    "dir": PoolType(needs=("target.path",), builds="directory"),
    "fs": PoolType(
        needs=("source.devices", "target.path"),
        formats=_FILE_SYSTEMS,
        builds="format",
        own_permissions=False,
    ),
    "netfs": PoolType(
        needs=("source.hosts", "source.dir", "target.path"),
        builds="directory",
        own_permissions=False,
    ),
    "disk": PoolType(
        needs=("source.devices",), path="/dev", formats=_PARTITION_TABLES, builds="format"
    ),
    "logical": PoolType(builds="group"),
    "iscsi": PoolType(
        needs=("source.hosts", "source.devices"),
        path=_BY_PATH,
        makes_volumes=False,
        deletes_volumes=False,
        deletes=False,
        port="3260",
    ),
    "iscsi-direct": PoolType(
        needs=("source.hosts", "source.devices", "source.initiator"),
        makes_volumes=False,
        deletes_volumes=False,
        deletes=False,
        port="3260",
    ),
    "scsi": PoolType(
        needs=("source.adapter",),
        path=_BY_PATH,
        makes_volumes=False,
        deletes_volumes=False,
        deletes=False,
    ),
    "mpath": PoolType(
        path="/dev/mapper", makes_volumes=False, deletes_volumes=False, deletes=False
    ),
    "rbd": PoolType(needs=("source.hosts", "source.name"), many=("source.hosts",), deletes=False),
    "sheepdog": PoolType(needs=("source.hosts", "source.name"), deletes=False, port="7000"),
    "gluster": PoolType(
        needs=("source.hosts", "source.name"), makes_volumes=False, deletes=False, port="24007"
    ),
    "zfs": PoolType(builds="group"),
    "vstorage": PoolType(
        needs=("source.name", "target.path"), builds="directory", own_permissions=False
    ),
}


def type_of(kind: str) -> PoolType:
    """What is known of a type; nothing of one that a later libvirt may bring."""
    return TYPES.get(kind, PoolType())


def require_format(kind: str, stated: str | None) -> None:
    """Refuse a format that a pool of this type cannot have, with those that it can."""
    known = type_of(kind).formats
    if stated and known and stated not in known:
        raise Refused(
            f"source.format={stated!r} is none that a pool of type {kind} can have. "
            f"There are: {', '.join(known)}."
        )
