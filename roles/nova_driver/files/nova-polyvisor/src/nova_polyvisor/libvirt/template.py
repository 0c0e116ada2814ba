# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Cached images that disks are made of, and whether they are safe to use."""

import dataclasses
import os

import nova.conf
from nova import exception
from nova.i18n import _
from nova.virt import images
from oslo_log import log as logging
from oslo_utils.imageutils import format_inspector

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Template:
    """An image in nova's cache; ``capacity`` is what a guest sees, in bytes."""

    path: str
    format: str
    capacity: int
    cluster_size: int | None = None

    @property
    def name(self) -> str:
        """The volume's name in the pool over the cache."""
        return os.path.basename(self.path)


def bare(path: str) -> Template:
    """Return a file that is used as it is, such as a kernel."""
    return Template(path, "raw", os.path.getsize(path))


def inspect(path: str, safe: bool) -> Template:
    """Find out an image's format, having made sure that it reads no other file of the host.

    :param safe: the image is nova's own work and needs no deep inspection
    :raises InvalidDiskInfo: the image refers to other files
    """
    if not (safe or CONF.workarounds.disable_deep_image_inspection):
        try:
            images.get_image_format(path).safety_check()
        except (format_inspector.SafetyCheckFailed, format_inspector.ImageFormatError) as error:
            raise _unsafe(path, str(error)) from error
    info = images.qemu_img_info(path)
    if info.file_format == "vmdk":
        images.check_vmdk_image(os.path.basename(path), info)
    if info.backing_file is not None:
        raise _unsafe(path, f"it has the backing file {info.backing_file}")
    data = (info.format_specific or {}).get("data", {})
    if data.get("data-file") is not None:
        raise _unsafe(path, f"it has the data file {data['data-file']}")
    return Template(path, info.file_format, info.virtual_size, info.cluster_size)


def _unsafe(path: str, reason: str) -> exception.InvalidDiskInfo:
    LOG.warning("Cached image %s failed the safety check: %s", path, reason)
    return exception.InvalidDiskInfo(
        reason=_("cached image %(image)s failed the safety check: %(reason)s")
        % {"image": os.path.basename(path), "reason": reason}
    )
