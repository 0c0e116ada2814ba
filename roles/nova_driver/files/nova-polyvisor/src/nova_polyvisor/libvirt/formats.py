# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""The formats of an instance's disks, kept where its guest cannot change them.

A guest can write into a raw disk what looks like the header of another format, which may name any
file of the host as its backing file. So nobody asks a disk's content for its format once the
format is known.
"""

import json
import os
from typing import Any

from nova import exception
from nova.virt.libvirt import utils as libvirt_utils
from oslo_concurrency import lockutils
from oslo_utils import fileutils


class FormatRecord:
    """Nova's file ``disk.info`` in an instance's directory: formats by path.

    :param instance: the instance
    """

    def __init__(self, instance: Any) -> None:
        self._path = os.path.join(libvirt_utils.get_instance_path(instance), "disk.info")

    def get(self, disk: str) -> str | None:
        """Return the format of the disk at a path, None if it is not known.

        :raises InvalidDiskInfo: the file holds something else
        """
        return self._read().get(disk)

    def set(self, disk: str, driver_format: str) -> None:
        """Keep the format of the disk at a path."""
        with lockutils.lock(self._path, external=False):
            formats = {**self._read(), disk: driver_format}
            fileutils.ensure_tree(os.path.dirname(self._path))
            new = self._path + ".new"
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w") as file:
                file.write(json.dumps(formats) + "\n")
            os.replace(new, self._path)

    def _read(self) -> dict[str, str]:
        try:
            with open(self._path) as file:
                text = file.read()
        except FileNotFoundError:
            return {}
        try:
            formats = json.loads(text or "{}")
        except ValueError as error:
            raise exception.InvalidDiskInfo(reason=f"{self._path}: {error}") from error
        if not isinstance(formats, dict):
            raise exception.InvalidDiskInfo(reason=f"{self._path}: not a JSON object")
        return formats
