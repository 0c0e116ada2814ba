# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Libvirt storage pools and their volumes: the only module that calls libvirt's storage API."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import libvirt
import nova.conf
from lxml import etree
from nova import exception
from oslo_log import log as logging

from nova_polyvisor.libvirt import privileged
from nova_polyvisor.libvirt.config import NetworkSource
from nova_polyvisor.libvirt.streams import LostBytesError, filling, read_into
from nova_polyvisor.libvirt.waiting import poll

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Seconds that a pool may be busy with other volumes before an operation on it is given up.
BUSY_TIMEOUT = 600.0

#: Formats that libvirt tells from the content of what is a raw image to QEMU.
_RAW_FORMATS = frozenset({"raw", "iso", "unknown", "none", ""})

#: Ending of the name of a larger volume that is to take another's place.
_LARGER = ".larger"


class PoolError(exception.StorageError):
    """A pool or a volume is not what the driver needs."""

    msg_fmt = "%(reason)s"


@dataclasses.dataclass(frozen=True)
class Backing:
    """What a copy-on-write volume lies over: a path on the host and its format."""

    path: str
    format: str


@dataclasses.dataclass(frozen=True)
class VolumeSpec:
    """A volume that is to be made; sizes are in bytes."""

    name: str
    format: str
    capacity: int
    backing: Backing | None = None
    cluster_size: int | None = None
    preallocate: bool = False

    def to_xml(self) -> str:
        """Return libvirt's description of the volume."""
        root = etree.Element("volume")
        _add(root, "name", self.name)
        _add(root, "capacity", self.capacity, unit="bytes")
        _add(root, "allocation", self.capacity if self.preallocate else 0, unit="bytes")
        target = _add(root, "target")
        etree.SubElement(target, "format", type=self.format)
        if self.format == "qcow2":
            # Libvirt makes qcow2 of the old version unless it is told otherwise.
            _add(target, "compat", "1.1")
            if self.cluster_size:
                _add(target, "clusterSize", self.cluster_size, unit="B")
        if self.backing:
            store = _add(root, "backingStore")
            _add(store, "path", self.backing.path)
            etree.SubElement(store, "format", type=self.backing.format)
        return etree.tostring(root, encoding="unicode")


@dataclasses.dataclass(frozen=True)
class VolumeInfo:
    """A volume as libvirt finds it; sizes are in bytes, ``backing`` is a path.

    ``stored`` is the length of what it is stored as: a file's, or a block device's.
    """

    name: str
    path: str
    format: str
    capacity: int
    allocation: int
    backing: str | None
    stored: int = 0


@dataclasses.dataclass(frozen=True)
class PoolInfo:
    """The size of a pool in bytes."""

    capacity: int
    allocation: int
    available: int


class Pool:
    """One storage pool, known by its name and looked up at each use.

    :param host: nova's ``Host``, which keeps the connection to libvirt
    :param name: the pool's name
    """

    #: Whether libvirt reads and writes the content of volumes, as streams.
    streams = True

    def __init__(self, host: Any, name: str) -> None:
        self._host = host
        self.name = name

    def exists(self) -> bool:
        """Tell whether libvirt knows the pool."""
        return self._find() is not None

    def define(self, directory: str) -> None:
        """Define and start a directory pool; nothing in the directory is touched."""
        root = etree.Element("pool", type="dir")
        _add(root, "name", self.name)
        _add(_add(root, "target"), "path", directory)
        with self._reporting("define"):
            pool = self._host.get_connection().storagePoolDefineXML(
                etree.tostring(root, encoding="unicode"), 0
            )
            pool.setAutostart(1)
            pool.create(0)

    def start(self) -> None:
        """Start the pool unless it runs."""
        pool = self._get()
        with self._reporting("start"):
            if not pool.isActive():
                LOG.info("Starting storage pool %s", self.name)
                pool.create(0)

    def refresh(self, wait: bool = True) -> bool:
        """Let libvirt read the pool's volumes anew.

        :param wait: whether to wait for volumes that are being made, during which libvirt
            refreshes no pool; if not, a busy pool is left as it is
        :returns: whether the volumes have been read
        """
        with self._reporting("refresh"):
            if self._refreshed():
                return True
            if not wait:
                LOG.debug("Storage pool %s is busy and not refreshed", self.name)
                return False
            if not poll(self._refreshed, BUSY_TIMEOUT, lambda: None):
                raise PoolError(
                    reason=f"Storage pool {self.name} was busy with other volumes for "
                    f"{BUSY_TIMEOUT:.0f} seconds and could not be refreshed"
                )
            return True

    def _refreshed(self) -> bool:
        """Refresh the pool; false if volumes are being made in it."""
        try:
            self._get().refresh(0)
        except libvirt.libvirtError as error:
            if "asynchronous jobs" not in str(error):
                raise
            return False
        return True

    def info(self) -> PoolInfo:
        """Return the pool's size."""
        with self._reporting("read the size of"):
            _state, capacity, allocation, available = self._get().info()
        return PoolInfo(capacity, allocation, available)

    def path(self) -> str | None:
        """Return the directory that the pool's volumes lie in, None for a pool without one."""
        with self._reporting("read"):
            root = etree.fromstring(self._get().XMLDesc(0))
        return root.findtext("target/path")

    def type(self) -> str | None:
        """Return the pool's type, such as ``dir``, None where there is no such pool."""
        with self._reporting("read"):
            pool = self._find()
            return None if pool is None else etree.fromstring(pool.XMLDesc(0)).get("type")

    def holds(self, volume_format: str) -> bool:
        """Tell whether libvirt makes volumes of a format in pools of this type."""
        with self._reporting("ask for the formats of"):
            capabilities = self._host.get_connection().getStoragePoolCapabilities(0)
        formats = etree.fromstring(capabilities).xpath(
            "pool[@type=$type]/volOptions/enum/value/text()", type=self.type()
        )
        return volume_format in formats

    def network(self, name: str) -> NetworkSource | None:
        """Return how QEMU reaches a volume where a domain cannot name its pool and itself."""
        del name
        return None

    @property
    def holds_files(self) -> bool:
        """Whether the pool's volumes are files."""
        path = self.path()
        return path is not None and not path.startswith("/dev/")

    def volume(self, name: str) -> VolumeInfo | None:
        """Return a volume by its name, None where there is none."""
        with self._reporting(f"look for volume {name} in"):
            volume = self._find_volume(name)
            return None if volume is None else _volume_info(volume)

    def volume_path(self, name: str) -> str:
        """Return where a volume lies, or will lie once it is made."""
        found = self.volume(name)
        return found.path if found else os.path.join(self.path() or "", name)

    def volumes(self) -> list[VolumeInfo]:
        """Return all volumes; what vanishes meanwhile is left out."""
        with self._reporting("list"):
            found = [_unless_gone(_volume_info, volume) for volume in self._list_volumes()]
        return [volume for volume in found if volume is not None]

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the volumes that begin with a prefix."""
        with self._reporting("list"):
            return sorted(name for name in self._get().listVolumes() if name.startswith(prefix))

    def sees(self, name: str) -> bool:
        """Tell whether a volume exists, even if another host has made it a moment ago.

        Where volumes are files the file is asked for by its name first: a network file system may
        keep the listing of a directory for half a minute.
        """
        path = self.path()
        if path and os.path.exists(os.path.join(path, name)):
            return True
        self.refresh()
        return self.volume(name) is not None

    def create(self, spec: VolumeSpec) -> None:
        """Make a volume: empty, or copy-on-write over ``spec.backing``."""
        with self._reporting(f"create volume {spec.name} in"):
            self._get().createXML(spec.to_xml(), 0)

    def clone(self, spec: VolumeSpec, source: "Pool", source_name: str, source_format: str) -> None:
        """Make a volume as a full copy of another and grow it to ``spec.capacity``.

        Libvirt reads the source in the format that it finds in the source's content, so a source
        whose content claims another format than it has is refused.

        :param source_format: the format that the source has
        :raises InvalidDiskInfo: the source's content claims another format
        """
        with self._reporting(f"copy volume {source_name} of pool {source.name} into"):
            volume = source._find_volume(source_name)
            if volume is None:
                raise exception.DiskNotFound(location=f"{source.name}/{source_name}")
            found = _volume_info(volume)
            if as_qemu_knows(found.format) != source_format:
                raise exception.InvalidDiskInfo(
                    reason=f"{found.path} is {source_format}, but its content says {found.format}"
                )
            if self.holds_files and source.holds_files and _is_copied_as_file(spec, found):
                copy = self._copy_file(spec, found)
            else:
                copy = self._get().createXMLFrom(spec.to_xml(), volume, 0)
            # Copies of files, and those that libvirt makes into raw, have the source's size.
            if copy.info()[1] < spec.capacity:
                with self._removing_on_error(spec.name):
                    copy.resize(spec.capacity, 0)

    def _copy_file(self, spec: VolumeSpec, source: VolumeInfo) -> libvirt.virStorageVol:
        """Make a volume of one of the same format, byte for byte.

        Libvirt would read what is empty in a raw one, and have qemu-img unpack a qcow2 one. To
        libvirt the copy is a raw volume until it finds at a refresh what is in it.
        """
        raw = spec.format == "raw"
        size = max(spec.capacity, source.capacity) if raw else source.stored
        self.create(dataclasses.replace(spec, format="raw", capacity=size))
        with self._removing_on_error(spec.name):
            try:
                privileged.copy(source.path, self.volume_path(spec.name))
            except OSError as error:
                raise PoolError(
                    reason=f"Cannot copy {source.path} into storage pool {self.name}: {error}"
                ) from error
            if not raw:
                self.refresh()
            return self._get_volume(spec.name)

    def resize(self, name: str, capacity: int) -> None:
        """Grow a volume to a size in bytes; a larger one is left as it is.

        Where libvirt resizes no volumes, as in logical pools, a larger one takes its place.
        """
        with self._reporting(f"resize volume {name} in"):
            volume = self._get_volume(name)
            if volume.info()[1] >= capacity:
                return
            try:
                volume.resize(capacity, 0)
                return
            except libvirt.libvirtError as error:
                raw = _volume_info(volume).format == "raw"
                if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT or not raw:
                    raise
        self.delete(name + _LARGER)
        self.clone(VolumeSpec(name + _LARGER, "raw", capacity), self, name, "raw")
        self._put_larger(name)

    def finish_resizes(self, prefix: str) -> None:
        """Finish or undo what a crash has left of resizes by a larger volume.

        While the larger volume is being made the old one is whole, and smaller. Later the larger
        one is whole, and what has the name is missing or of the same size.

        :param prefix: beginning of the names of the volumes
        """
        for larger_name in self.names(prefix):
            name = larger_name.removesuffix(_LARGER)
            larger, found = self.volume(larger_name), self.volume(name)
            if name == larger_name or larger is None:
                continue
            if found is not None and found.capacity < larger.capacity:
                self.delete(larger_name)
            else:
                self._put_larger(name)

    def _put_larger(self, name: str) -> None:
        """Give a volume's name to the larger one: libvirt renames none, so it is copied."""
        self.delete(name)
        self.send(name + _LARGER, self, name)
        self.delete(name + _LARGER)

    def upload(self, name: str, path: str) -> None:
        """Make a volume of the bytes of a local file, whatever they mean; holes stay holes.

        Libvirt takes the volume for a raw one until the pool is refreshed.
        """
        size = os.path.getsize(path)
        with self._reporting(f"upload {path} as volume {name} into"):
            volume = self._get().createXML(VolumeSpec(name, "raw", size).to_xml(), 0)
            connection = self._host.get_connection()
            with self._removing_on_error(name), filling(connection, volume, size) as sink:
                read_into(sink, path)

    def download(self, name: str, path: str) -> None:
        """Write the bytes that a volume is stored as into a local file; holes stay holes."""
        with self._reporting(f"download volume {name} from"), open(path, "wb") as target:
            self._stream(name, target.write, lambda length: target.seek(length, os.SEEK_CUR))
            target.truncate(target.tell())

    def _stream(
        self, name: str, on_data: Callable[[bytes], Any], on_hole: Callable[[int], Any]
    ) -> None:
        """Read the bytes that a volume is stored as, and the lengths of its holes."""
        stream = self._host.get_connection().newStream(0)
        sparse = libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM
        self._get_volume(name).download(stream, 0, 0, sparse)
        stream.sparseRecvAll(
            lambda _stream, data, _opaque: on_data(data),
            lambda _stream, length, _opaque: on_hole(length),
            None,
        )
        stream.finish()

    def send(self, name: str, target: "Pool", new_name: str | None = None) -> None:
        """Make a volume in this or another pool of the bytes that one is stored as.

        Nothing writes to the volume meanwhile. A format and a backing file go along in the bytes.

        :param target: the other pool, which may be another host's
        :param new_name: name of the new volume, unless it is the same
        :raises DiskNotFound: there is no volume ``name``
        """
        new_name = new_name or name
        found = self.volume(name)
        if found is None:
            raise exception.DiskNotFound(location=f"{self.name}/{name}")
        if not (self.streams and target.streams):
            with tempfile.TemporaryDirectory(dir=CONF.instances_path) as directory:
                file = os.path.join(directory, name)
                self.download(name, file)
                target.upload(new_name, file)
            return
        target.create(VolumeSpec(new_name, "raw", found.stored))
        with target._removing_on_error(new_name), self._reporting(f"send volume {name} of"):
            connection, volume = target._host.get_connection(), target._get_volume(new_name)
            with filling(connection, volume, found.stored) as sink:
                self._stream(name, sink.data, sink.hole)
        # What libvirt knows of the new volume it has found before the bytes came.
        target.refresh()

    def delete(self, name: str) -> None:
        """Delete a volume; that it is gone already is no error."""
        with self._reporting(f"delete volume {name} from"):
            volume = self._find_volume(name)
            if volume is not None:
                _unless_gone(volume.delete, 0)

    def _find(self) -> Any:
        return _unless_gone(self._host.get_connection().storagePoolLookupByName, self.name)

    def _get(self) -> Any:
        pool = self._find()
        if pool is None:
            raise PoolError(reason=f"Libvirt has no storage pool {self.name}")
        return pool

    def _find_volume(self, name: str) -> Any:
        return _unless_gone(self._get().storageVolLookupByName, name)

    def _get_volume(self, name: str) -> Any:
        volume = self._find_volume(name)
        if volume is None:
            raise exception.DiskNotFound(location=f"{self.name}/{name}")
        return volume

    def _list_volumes(self) -> Iterator[Any]:
        for volume in self._get().listAllVolumes(0):
            # Under eventlet nova calls libvirt through proxies; what stands in a list is bare.
            yield self._host._wrap_libvirt_proxy(volume)

    @contextlib.contextmanager
    def _reporting(self, action: str) -> Iterator[None]:
        """Turn libvirt's errors into a PoolError that names what was tried, and on what."""
        try:
            yield
        except (libvirt.libvirtError, LostBytesError) as error:
            raise PoolError(reason=f"Cannot {action} storage pool {self.name}: {error}") from error

    @contextlib.contextmanager
    def _removing_on_error(self, name: str) -> Iterator[None]:
        """Delete a new volume again if what follows its making fails."""
        try:
            yield
        except BaseException:
            try:
                self.delete(name)
            except PoolError as left:
                LOG.error("Volume %s is left incomplete: %s", name, left)
            raise


def as_qemu_knows(libvirt_format: str) -> str:
    """Return QEMU's name of a format that libvirt has found."""
    return "raw" if libvirt_format in _RAW_FORMATS else libvirt_format


def _add(parent: Any, tag: str, text: object = None, **attributes: str) -> Any:
    element = etree.SubElement(parent, tag, attributes)
    if text is not None:
        element.text = str(text)
    return element


def _is_copied_as_file(spec: VolumeSpec, source: VolumeInfo) -> bool:
    """Tell whether a volume as it is to be is nothing but the bytes of another, of files both."""
    if spec.format != source.format or source.backing:
        return False
    as_asked = spec.preallocate or spec.cluster_size
    return spec.format == "raw" or (spec.format == "qcow2" and not as_asked)


def _volume_info(volume: Any) -> VolumeInfo:
    root = etree.fromstring(volume.XMLDesc(0))
    found = root.find("target/format")
    return VolumeInfo(
        name=root.findtext("name", ""),
        path=root.findtext("target/path", ""),
        format="raw" if found is None else found.get("type", "raw"),
        capacity=int(root.findtext("capacity", "0")),
        allocation=int(root.findtext("allocation", "0")),
        backing=root.findtext("backingStore/path"),
        stored=int(root.findtext("physical", root.findtext("capacity", "0"))),
    )


def _unless_gone(call: Callable[..., Any], *arguments: object) -> Any:
    """Call libvirt; None where the pool or the volume does not exist."""
    try:
        return call(*arguments)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (
            libvirt.VIR_ERR_NO_STORAGE_POOL,
            libvirt.VIR_ERR_NO_STORAGE_VOL,
        ):
            return None
        raise
