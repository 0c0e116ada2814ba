# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Moving an instance's disks from nova's own image backends into storage pools.

A move takes these steps, and the instance can be started after each of them:

1. It is noted in the instance's directory that a move has begun, so that volumes of a move that
   was interrupted are told from any others.
2. Each disk gets a volume: a second name of the same file where the pool lies in the same file
   system (a hard link, on shared storage too), else a copy of its bytes. The disk stays as it is,
   and so does what it lies over, as a qcow2 file names its backing file itself. Copies are waited
   for until they are on the disk.
3. The formats of the volumes are noted beside those of the files.
4. It is noted that the volumes are complete: without a domain they count from here on.
5. The domain is defined anew, with the volumes: where there is one, the move is decided here, by
   libvirt's own replacement of one file by another.
6. The old names go, or the old disks of which there are copies, and then the note.

What stops before 5 leaves an instance on its old disks. The next attempt starts at 1 again: a
volume that is the same file is kept, any other is made anew, as the guest may have written to its
disk since. An error removes the new volumes at once; after a kill the next start of nova-compute
does. What stops after 5 leaves an instance on its volumes; the next start of nova-compute, or of
the instance, goes on with 6. This is why a file is linked and not renamed: between two renames
neither the old nor the new domain would find all its disks.
"""

import contextlib
import dataclasses
import errno
import os
from collections.abc import Iterator
from typing import Any

import libvirt
import nova.conf
import nova.privsep.path
from lxml import etree
from nova import exception
from nova.i18n import _
from nova.storage import rbd_utils
from nova.virt.libvirt import utils as libvirt_utils
from nova.virt.libvirt.storage import lvm
from oslo_log import log as logging
from oslo_utils import fileutils

from nova_polyvisor.libvirt import privileged
from nova_polyvisor.libvirt.config import NetworkSource, VolumeDisk
from nova_polyvisor.libvirt.formats import FormatRecord
from nova_polyvisor.libvirt.legacy import (
    Home,
    Journal,
    LegacyDisk,
    LegacyInstances,
    disk_files,
    disks_of_domain,
    source_of,
)
from nova_polyvisor.libvirt.pool import Pool, PoolError
from nova_polyvisor.libvirt.storage import Storage, volume_name

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Errors of a hard link after which a copy is made.
_NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS, errno.EMLINK, errno.ENOTSUP}
)


@dataclasses.dataclass(frozen=True)
class Moved:
    """A disk and the volume that it has got; ``format`` is the volume's."""

    disk: LegacyDisk
    pool: Pool
    volume: str
    format: str

    @property
    def path(self) -> str:
        """Where the volume lies.

        :raises DiskNotFound: it is not there
        """
        found = self.pool.volume(self.volume)
        if found is None:
            raise exception.DiskNotFound(location=f"{self.pool.name}/{self.volume}")
        return found.path


class Transition:
    """Moves the disks of instances into the pools.

    :param host: nova's ``Host``
    :param storage: the host's pools
    :param legacy: tells where an instance's disks are
    """

    def __init__(self, host: Any, storage: Storage, legacy: LegacyInstances) -> None:
        self._host = host
        self._storage = storage
        self._legacy = legacy

    def is_due(self, instance: Any, asked_for: bool = True) -> bool:
        """Tell whether there is something to move, or a move to be finished.

        :param asked_for: whether an instance may be moved that no move has been begun for
        """
        if not CONF.libvirt_storage.transition:
            return False
        if _is_rescued(instance):
            return False
        if self._legacy.home(instance) is Home.NOVA:
            return asked_for and bool(CONF.libvirt_storage.enabled)
        return Journal(instance).exists()

    def move(self, instance: Any) -> None:
        """Move a stopped instance's disks into the pools, or finish a move that was interrupted.

        An instance without legacy disks is left as it is.

        :raises NovaException: it cannot be done; the instance is as it was
        :raises OSError: the same, because of a file in the instance's directory
        """
        domain = self._legacy.domain(instance)
        if domain is not None and domain.isActive():
            raise exception.InternalError(_("the disks of a running instance are not moved"))
        if _is_rescued(instance):
            raise exception.InternalError(_("the disks of a rescued instance are not moved"))
        if self._legacy.home(instance) is Home.NOVA:
            self._move(instance, domain)
        self._finish(instance)

    def link(self, instance: Any) -> dict[str, list[str]]:
        """Give the disks of a running instance names in the pools, too, for it to migrate live.

        The move is decided when the guest runs at the destination: ``recover`` finishes it there,
        or undoes it here.

        :returns: pool and volume by the source of each disk; none where a disk cannot be linked,
            and all stay as they are
        :raises NovaException: it cannot be done; the instance is as it was
        """
        with contextlib.ExitStack() as undo:
            try:
                sources = self._make_volumes(instance, undo, may_copy=False)
            except _NoLinkError as error:
                LOG.warning(
                    "The disks stay where they are: %s cannot be linked into the pool",
                    error,
                    instance=instance,
                )
                return {}
            undo.pop_all()
        return sources

    def send(self, instance: Any, disk: LegacyDisk, pool: Pool, name: str) -> None:
        """Make a volume in another host's pool of a disk's bytes, which nothing changes meanwhile.

        :raises PoolError: the pool takes it not
        """
        with self._bytes(instance, disk, disk.is_file) as file:
            pool.upload(name, file)
        pool.refresh()

    def recover(self, instance: Any) -> None:
        """Undo or finish a move that was interrupted; the instance may be running.

        What cannot be done now is left to the next attempt. While the instance migrates live it is
        neither.
        """
        if not Journal(instance).exists() or _is_busy(self._legacy.domain(instance)):
            return
        try:
            if self._legacy.home(instance) is Home.NOVA:
                self._undo(instance)
            else:
                self._finish(instance)
        except (exception.NovaException, OSError) as error:
            LOG.error("A move of the disks stays interrupted: %s", error, instance=instance)

    def _undo(self, instance: Any) -> None:
        """Remove the volumes of a move that was interrupted, and then its note."""
        LOG.warning("Undoing the move of the disks, which was interrupted", instance=instance)
        for disk in self.disks(instance):
            pool = self._storage.pool_for(disk.name)
            name = volume_name(instance.uuid, disk.name)
            pool.refresh()
            if pool.volume_path(name) != disk.source:
                pool.delete(name)
        Journal(instance).remove()

    def _move(self, instance: Any, domain: Any) -> None:
        with contextlib.ExitStack() as undo:
            sources = self._make_volumes(instance, undo, may_copy=True)
            if domain is not None:
                self._define(domain, sources)
            undo.pop_all()

    def _make_volumes(
        self, instance: Any, undo: contextlib.ExitStack, may_copy: bool
    ) -> dict[str, list[str]]:
        """Go as far as to the note that the volumes are complete.

        :param undo: gets what makes all of it undone
        :param may_copy: whether a disk that cannot be linked is copied
        :returns: pool and volume by the source of each disk
        """
        disks = self.disks(instance)
        names = ", ".join(disk.name for disk in disks)
        LOG.info("Moving disks into storage pools: %s", names, instance=instance)
        journal = Journal(instance)
        if not journal.exists():
            self._refuse_other_volumes(instance, disks)
            journal.write({})
        undo.callback(journal.remove)
        moved = [self._make_volume(instance, disk, undo, may_copy) for disk in disks]
        for pool in {each.pool.name: each.pool for each in moved}.values():
            pool.refresh()
        formats = FormatRecord(instance)
        for each in moved:
            if each.pool.holds_files:
                privileged.flush(each.path)
            formats.set(each.path, each.format)
        sources = {each.disk.source: [each.pool.name, each.volume] for each in moved}
        journal.write(sources)
        return sources

    def disks(self, instance: Any) -> list[LegacyDisk]:
        """Return an instance's disks: those of its domain, and what lies beside them.

        :raises InternalError: they are encrypted, and are not moved
        """
        domain = self._legacy.domain(instance)
        if instance.obj_attr_is_set("ephemeral_key_uuid") and instance.ephemeral_key_uuid:
            raise exception.InternalError(_("disks that dm-crypt encrypts are not moved"))
        xml = "" if domain is None else _definition(domain)
        found = disks_of_domain(xml, instance) if xml else []
        if xml and _are_encrypted(xml, found):
            raise exception.InternalError(_("encrypted disks are not moved"))
        disks = {disk.name: disk for disk in found}
        for name, path in disk_files(instance).items():
            if name not in disks:
                disks[name] = LegacyDisk(name, path, self._format(instance, name))
        return [disks[name] for name in sorted(disks)]

    def _format(self, instance: Any, name: str) -> str:
        """Return the format of a disk that no domain tells about."""
        if name.removesuffix(".rescue") in ("kernel", "ramdisk", "disk.config"):
            return "raw"
        found: str = self._legacy.backend.by_name(instance, name).driver_format
        return found

    def _refuse_other_volumes(self, instance: Any, disks: list[LegacyDisk]) -> None:
        """Refuse to replace volumes that no move has made.

        :raises PoolError: there is one
        """
        for disk in disks:
            pool = self._storage.pool_for(disk.name)
            found = pool.volume(volume_name(instance.uuid, disk.name))
            if found is not None and not _is_same(disk.source, found.path):
                raise PoolError(
                    reason=f"Storage pool {pool.name} has another volume {found.name} already"
                )

    def _make_volume(
        self, instance: Any, disk: LegacyDisk, undo: contextlib.ExitStack, may_copy: bool
    ) -> Moved:
        """Make a disk's volume, or keep it if it is the disk itself."""
        pool = self._storage.pool_for(disk.name)
        name = volume_name(instance.uuid, disk.name)
        pool.refresh()
        path = pool.volume_path(name)
        same = _is_same(disk.source, path)
        if not same:
            pool.delete(name)
        if disk.source != path:
            undo.callback(_discard, pool, name)
        if same or (disk.is_file and pool.holds_files and _link(disk.source, path)):
            return Moved(disk, pool, name, disk.format)
        if not may_copy:
            raise _NoLinkError(disk.source)
        as_it_is = disk.is_file and (pool.holds_files or disk.format == "raw")
        with self._bytes(instance, disk, as_it_is) as file:
            pool.upload(name, file)
        return Moved(disk, pool, name, disk.format if as_it_is else "raw")

    @contextlib.contextmanager
    def _bytes(self, instance: Any, disk: LegacyDisk, as_it_is: bool) -> Iterator[str]:
        """Give the path of a file with a disk's bytes: its own, or those that the guest sees."""
        if as_it_is:
            yield disk.source
            return
        path = os.path.join(libvirt_utils.get_instance_path(instance), f"{disk.name}.moving")
        fileutils.ensure_tree(os.path.dirname(path))
        try:
            image_type = disk.format if disk.is_file else None
            own = self._legacy.backend.by_name(instance, disk.name, image_type)
            own.snapshot_extract(path, "raw")
            yield path
        finally:
            fileutils.delete_if_exists(path)

    def _define(self, domain: Any, moved: dict[str, list[str]]) -> None:
        """Let a domain name the volumes in place of the disks that were moved."""
        root = etree.fromstring(_definition(domain))
        for element in root.findall("devices/disk"):
            if source_of(element) in moved:
                pool, volume = moved[source_of(element)]
                holder = self._storage.pool(pool)
                network = None if holder is None else holder.network(volume)
                _name_volume(element, pool, volume, network)
        for element in root.xpath("os/kernel | os/initrd"):
            if element.text in moved:
                element.text = self._storage.find_path(*moved[element.text])
        try:
            if domain.hasManagedSaveImage(0):
                # It names the old disks; a hard reboot does away with it anyhow.
                domain.managedSaveRemove(0)
            self._host.get_connection().defineXML(etree.tostring(root, encoding="unicode"))
        except libvirt.libvirtError as error:
            raise PoolError(reason=f"Cannot define domain {domain.name()}: {error}") from error

    def _finish(self, instance: Any) -> None:
        """Remove what a move has left behind: the old disks, and then its note."""
        journal = Journal(instance)
        moved = journal.moved()
        if any(self._storage.find_path(*place) is None for place in moved.values()):
            # Another host has made the volumes.
            self._storage.refresh()
        for source, (pool, volume) in moved.items():
            path = self._storage.path(pool, volume)
            disk = LegacyDisk(volume, source, "raw")
            if disk.is_file:
                # Others than nova may have been let read a file in an instance's directory.
                nova.privsep.path.chmod(path, 0o600)
                fileutils.delete_if_exists(source)
            elif source == path or _is_same(source, path):
                LOG.debug("%s is the volume itself", source, instance=instance)
            elif disk.is_device:
                if os.path.exists(source):
                    lvm.remove_volumes([source])
            else:
                rbd_utils.RBDDriver().cleanup_volumes(os.path.basename(source).__eq__)
        journal.remove()


class _NoLinkError(Exception):
    """A disk cannot get a second name in the pool."""


def _is_busy(domain: Any) -> bool:
    """Tell whether a domain migrates, or does another job."""
    try:
        idle = domain is None or not domain.isActive()
        return not idle and bool(domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)
    except libvirt.libvirtError:
        # It stops at this moment, or libvirt cannot tell.
        return True


def _are_encrypted(xml: str, disks: list[LegacyDisk]) -> bool:
    """Tell whether QEMU encrypts some of a domain's disks; attached Cinder volumes do not count."""
    sources = {disk.source for disk in disks}
    return any(
        source_of(element) in sources and element.find(".//encryption") is not None
        for element in etree.fromstring(xml).findall("devices/disk")
    )


def _is_rescued(instance: Any) -> bool:
    """Tell whether an instance is rescued: its own domain is put aside then."""
    directory = libvirt_utils.get_instance_path(instance)
    return os.path.exists(os.path.join(directory, "unrescue.xml"))


def _is_same(source: str, path: str) -> bool:
    """Tell whether a disk and a volume are one."""
    return source == path or (os.path.isabs(source) and privileged.same_file(source, path))


def _link(source: str, path: str) -> bool:
    """Give a disk's file the name of a volume; false where that cannot be done."""
    try:
        privileged.link(source, path)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        LOG.info("%s is copied, as it cannot be linked: %s", source, error)
        return False
    return True


def _name_volume(element: Any, pool: str, volume: str, network: NetworkSource | None) -> None:
    """Let a domain's disk name a volume."""
    for old in element.xpath("source | auth | backingStore"):
        element.remove(old)
    disk = VolumeDisk()
    disk.parse_dom(element)
    named = VolumeDisk.of(disk, pool, volume, network).format_dom()
    element.set("type", named.get("type"))
    for new in named.xpath("source | auth"):
        element.append(new)


def _definition(domain: Any) -> str:
    """Return what a domain is started from."""
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    xml: str = domain.XMLDesc(flags)
    return xml


def _discard(pool: Pool, name: str) -> None:
    """Remove a new volume again after a failure."""
    try:
        pool.refresh()
        pool.delete(name)
    except PoolError as error:
        LOG.error("Volume %s is left: %s", name, error)
