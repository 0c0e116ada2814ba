# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Instances whose disks nova's own image backends have made: which they are, and where it lies."""

import dataclasses
import enum
import os
import re
from typing import Any

import nova.conf
from lxml import etree
from nova import exception
from nova.i18n import _
from nova.virt.libvirt import imagebackend
from nova.virt.libvirt import utils as libvirt_utils
from oslo_log import log as logging
from oslo_utils import fileutils

from nova_polyvisor.libvirt.records import read_record, write_record
from nova_polyvisor.libvirt.storage import Storage, volume_name

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Names of the files in an instance's directory that are disks, or what it boots from.
_FILE = re.compile(r"(disk(\.(local|swap|config|eph\d+))?|kernel|ramdisk)(\.rescue)?")

#: Those that nova makes there first also where a disk is a volume.
_IN_PASSING = frozenset({"disk.config", "disk.config.rescue"})

#: How many instances a message names.
_NAMED = 10


class Home(enum.Enum):
    """Where the disks of an instance are."""

    NOVA = "nova's own image backends"
    POOL = "storage pools"


@dataclasses.dataclass(frozen=True)
class LegacyDisk:
    """A disk that one of nova's own image backends has made.

    :ivar source: how a domain names it: the path of a file or a device, or an RBD image
    """

    name: str
    source: str
    format: str

    @property
    def is_device(self) -> bool:
        """Whether the disk is a logical volume."""
        return self.source.startswith("/dev/")

    @property
    def is_file(self) -> bool:
        """Whether the disk is a file in the instance's directory."""
        return os.path.isabs(self.source) and not self.is_device


class Journal:
    """The note, in an instance's directory, of a move of its disks into pools.

    :param instance: the instance
    """

    def __init__(self, instance: Any) -> None:
        self._path = os.path.join(libvirt_utils.get_instance_path(instance), "disks-moved.json")

    def exists(self) -> bool:
        """Tell whether a move has been begun and not been finished."""
        return os.path.exists(self._path)

    def moved(self) -> dict[str, list[str]]:
        """Return pool and volume by the source of each disk once the volumes are complete."""
        moved: dict[str, list[str]] = (read_record(self._path) or {}).get("moved", {})
        return moved

    def write(self, moved: dict[str, list[str]]) -> None:
        """Note a move: begun while ``moved`` is empty, complete otherwise."""
        write_record(self._path, {"moved": moved})

    def remove(self) -> None:
        """Forget the move."""
        fileutils.delete_if_exists(self._path)


def disk_files(instance: Any) -> dict[str, str]:
    """Return the paths of the disks in an instance's directory, by the disks' names."""
    directory = libvirt_utils.get_instance_path(instance)
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return {}
    return {name: os.path.join(directory, name) for name in names if _FILE.fullmatch(name)}


def source_of(disk: Any) -> str:
    """Return how a domain names a disk that is no volume, "" if it is one or has no medium."""
    source = disk.find("source")
    if source is None:
        return ""
    return source.get("file") or source.get("dev") or source.get("name") or ""


def disks_of_domain(xml: str, instance: Any) -> list[LegacyDisk]:
    """Return what a domain has of the disks of nova's own image backends."""
    directory = libvirt_utils.get_instance_path(instance)
    own = volume_name(instance.uuid, "")
    found = []
    for element in etree.fromstring(xml).findall("devices/disk"):
        source = source_of(element)
        parent, name = os.path.split(source)
        if element.get("type") != "file" and name.startswith(own):
            name = name.removeprefix(own)
        elif parent != directory:
            continue
        driver = element.find("driver")
        found.append(LegacyDisk(name, source, "raw" if driver is None else driver.get("type")))
    return found


class LegacyInstances:
    """Tells the instances of nova's own image backends from those of the pools.

    An instance is anything with a ``uuid``.

    :param host: nova's ``Host``
    :param storage: the host's pools
    """

    def __init__(self, host: Any, storage: Storage) -> None:
        self._host = host
        self._storage = storage
        self.backend = imagebackend.Backend(CONF.use_cow_images)

    def __contains__(self, instance: Any) -> bool:
        """Tell whether nova's own image backends keep an instance's disks, or are to make them."""
        if not CONF.libvirt_storage.transition:
            return False
        home = self.home(instance)
        return home is Home.NOVA or (home is None and not CONF.libvirt_storage.enabled)

    def home(self, instance: Any) -> Home | None:
        """Return where an instance's disks are, None if it has none yet.

        The domain decides, as it names what the guest has last written to. Without a domain, in
        the midst of a hard reboot, the note of a move counts before what is left in the directory.
        """
        domain = self.domain(instance)
        home = None if domain is None else self._home_of(domain.XMLDesc(0), instance)
        return home or self._home_without_domain(instance)

    def domain(self, instance: Any) -> Any:
        """Return an instance's domain, None where there is none."""
        try:
            return self._host._get_domain(instance)
        except exception.InstanceNotFound:
            return None

    def _home_of(self, xml: str, instance: Any) -> Home | None:
        """Return where a domain's disks are; attached Cinder volumes count for neither."""
        find_volume = self._storage.find_volume
        if any(find_volume(disk.source) is None for disk in disks_of_domain(xml, instance)):
            return Home.NOVA
        own = volume_name(instance.uuid, "")
        for source in etree.fromstring(xml).findall("devices/disk/source"):
            # A guest that has come by live migration names a volume by its path.
            path = source.get("file") or source.get("name") or ""
            name = source.get("volume") or os.path.basename(path)
            if name.startswith(own):
                return Home.POOL
        return None

    def _home_without_domain(self, instance: Any) -> Home | None:
        if Journal(instance).moved() or self._storage.is_coming(instance.uuid):
            return Home.POOL
        files = set(disk_files(instance))
        if files - _IN_PASSING:
            return Home.NOVA
        if self._storage.volumes_of(instance.uuid):
            return Home.POOL
        return Home.NOVA if files or self._has_device(instance) else None

    def _has_device(self, instance: Any) -> bool:
        """Tell whether nova's LVM or RBD backend has a root disk of an instance."""
        if CONF.libvirt.images_type not in ("lvm", "rbd"):
            return False
        return bool(self.backend.by_name(instance, "disk").exists())

    def report(self, instances: list[Any]) -> None:
        """Warn of the legacy instances among those of this host and say how to move them.

        :raises InvalidConfiguration: there are some, and the transition has been ended
        """
        found = sorted(i.uuid for i in instances if self.home(i) is Home.NOVA)
        if not found:
            return
        named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        if not CONF.libvirt_storage.transition:
            raise exception.InvalidConfiguration(
                _(
                    "[libvirt_storage] transition is false, and nova's own image backends keep "
                    "the disks of %(count)d instances on this host: %(named)s. Set it to true, "
                    "move these instances into storage pools, and end the transition then"
                )
                % {"count": len(found), "named": named}
            )
        LOG.warning(
            "Nova's own image backends, the old way, keep the disks of %(count)d instances on "
            "this host: %(named)s. With [libvirt_storage] enabled = true an instance moves into "
            "the storage pools when it is migrated or resized, which is preferred, rebooted hard "
            "(openstack server reboot --hard) or started. When none is left, set [libvirt_storage] transition = false",
            {"count": len(found), "named": named},
        )
