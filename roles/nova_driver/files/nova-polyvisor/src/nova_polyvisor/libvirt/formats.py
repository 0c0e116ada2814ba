# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The formats of an instance's disks, kept where its guest cannot change them.

A guest can write into a raw disk what looks like the header of another format, which may name any
file of the host as its backing file. So nobody asks a disk's content for its format once the
format is known.
"""

import os
from typing import Any

from nova.virt.libvirt import utils as libvirt_utils
from oslo_concurrency import lockutils

from nova_polyvisor.libvirt.records import read_record, write_record
from nova_polyvisor.libvirt.storage import volume_name


class FormatRecord:
    """Nova's file ``disk.info`` in an instance's directory: formats by path.

    :param instance: the instance
    """

    def __init__(self, instance: Any) -> None:
        self._uuid = instance.uuid
        self._path = os.path.join(libvirt_utils.get_instance_path(instance), "disk.info")

    def get(self, disk: str) -> str | None:
        """Return the format of the disk at a path, None if it is not known.

        :raises InvalidDiskInfo: the file holds something else
        """
        return (read_record(self._path) or {}).get(disk)

    def names_volumes(self) -> bool:
        """Tell whether a volume was made for the instance on this host."""
        own = volume_name(self._uuid, "")
        known = read_record(self._path) or {}
        return any(os.path.basename(path).startswith(own) for path in known)

    def set(self, disk: str, driver_format: str) -> None:
        """Keep the format of the disk at a path."""
        with lockutils.lock(self._path, external=False):
            write_record(self._path, {**(read_record(self._path) or {}), disk: driver_format})
