# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Options of the storage pool driver: section ``[libvirt_storage]``."""

from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

GROUP = cfg.OptGroup(
    "libvirt_storage",
    title="Libvirt storage pools",
    help="Where polyvisor.libvirt.StoragePoolDriver keeps the disks of instances.",
)

OPTIONS = [
    cfg.BoolOpt(
        "enabled",
        default=True,
        help="""
Whether new instances get volumes of storage pools for disks. If not, nova's own image backend
makes their disks, as ``[libvirt] images_type`` says; instances whose disks are volumes already
keep them. Turn it off while the move to pools is being planned.
""",
    ),
    cfg.BoolOpt(
        "transition",
        default=True,
        help="""
Whether instances whose disks nova's own image backends have made are served. Their disks move into
the pools when an instance is migrated, resized, rebooted hard, or started, while ``enabled`` is on.
With it off,
nova-compute refuses to start as long as there is such an instance on its host, and the image cache
manager looks at nothing but volumes.

``[libvirt] images_type`` tells how these instances' disks were made: leave it as it was until
there are none, and set it to ``default`` then.
""",
    ),
    cfg.StrOpt(
        "disks_pool",
        default="nova-disks-pool",
        regex=r"\A[^/\n]+\Z",
        help="""
Name of the libvirt storage pool that holds the disks of instances, as volumes named
``<instance uuid>_<disk>``. It must exist; it is started when nova-compute finds it inactive. Its
size is what Placement is told as DISK_GB, together with that of the other ``pools``.

Whether a disk is a copy-on-write qcow2 volume over the cached image or a full copy of it is
decided by nova's own ``[DEFAULT] use_cow_images``; a full copy is raw, or qcow2 where the image is
qcow2 and ``[DEFAULT] force_raw_images`` is off. In a pool of type rbd a copy-on-write disk is a clone
of a template there; in others in which libvirt makes no qcow2 volumes it is a full raw copy.
""",
    ),
    cfg.DictOpt(
        "pools",
        default={},
        sample_default="disk:fast,disk.swap:scratch",
        help="""
Storage pools for some kinds of disks, as ``<kind>:<pool>``; all others are in ``disks_pool``. The
kinds are ``disk`` (the root disk), ``disk.local``, ``disk.eph`` (all further ephemeral disks, or
one: ``disk.eph0``), ``disk.swap``, ``disk.config`` (the config drive), ``kernel`` and ``ramdisk``.
A rescue's disks lie where the disks lie that they stand for.

A disk that exists stays in its pool. Name here, or as ``disks_pool``, each pool that still holds
disks: others are not searched.
""",
    ),
    cfg.StrOpt(
        "base_images_pool",
        default="nova-base-images-pool",
        regex=r"\A[^/\n]+\Z",
        help="""
Name of the libvirt storage pool over nova's image cache directory (``[DEFAULT] instances_path``,
``[image_cache] subdirectory_name``). nova-compute defines it where it is missing and refuses to
start where a pool of that name lies over another directory.
""",
    ),
    cfg.StrOpt(
        "remote_uri",
        regex=r"\A[^%\n]*%s[^%\n]*\Z",
        sample_default="qemu+ssh://nova@%s/system",
        help="""
How nova-compute itself reaches libvirt on another host, to send volumes there when an instance is
migrated and the hosts do not share the pool; ``%s`` stands for the other host's address. Unless
set, that of ``[libvirt] live_migration_uri`` or ``live_migration_scheme``, which libvirtd uses. It
needs no more than the user of nova-compute has on its own host: to be let in to libvirt. The pool
named by ``disks_pool`` has the same name on all hosts that instances move between.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Make the options known to a configuration; doing it twice is no error."""
    conf.register_group(GROUP)
    conf.register_opts(OPTIONS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, Sequence[Any]]]:
    """Return the options for oslo-config-generator and oslo-config-validator."""
    return [(GROUP, OPTIONS)]
