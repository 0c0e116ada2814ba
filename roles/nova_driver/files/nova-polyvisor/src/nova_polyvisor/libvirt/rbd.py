# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Pools of type rbd: volumes that are images in a Ceph cluster, which all hosts share.

Libvirt makes, clones, grows and deletes them. It neither reads nor writes what they hold, copies
nothing into them from another pool, and takes no disk by the names of such a pool and a volume.
For that there is QEMU, which is told what libvirt knows of the cluster: no host needs a
``ceph.conf``, a keyring or Ceph's Python modules for it.

A copy-on-write disk is a clone of a template: a volume of the cached image's content, made once for
all hosts. Another volume beside it says that it is complete.
"""

import base64
import json
import os
from typing import Any

import libvirt
import nova.conf
from lxml import etree
from nova import exception
from oslo_concurrency import lockutils, processutils
from oslo_log import log as logging
from oslo_utils import units

from nova_polyvisor.libvirt.config import NetworkSource
from nova_polyvisor.libvirt.pool import Pool, PoolError, VolumeInfo, VolumeSpec, as_qemu_knows
from nova_polyvisor.libvirt.waiting import poll

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Seconds for which Ceph may take a volume for one in use whose guest was killed; it is half of it.
_BUSY_TIMEOUT = 60.0

#: The port that tells librados to try those of a monitor.
_ANY_PORT = "0"

_TEMPLATE = "nova-template_"
_COMPLETE = ".complete"


class RbdPool(Pool):
    """A pool whose volumes are images of a Ceph cluster."""

    streams = False

    def network(self, name: str) -> NetworkSource:
        """Return how QEMU reaches a volume."""
        with self._reporting("read"):
            source = etree.fromstring(self._get().XMLDesc(0)).find("source")
        auth, secret = source.find("auth"), source.find("auth/secret")
        return NetworkSource(
            protocol="rbd",
            name=f"{source.findtext('name')}/{name}",
            hosts=tuple(
                (host.get("name"), host.get("port", _ANY_PORT)) for host in source.findall("host")
            ),
            username=None if auth is None else auth.get("username"),
            secret=None if secret is None else next(iter(secret.items())),
        )

    def volume_path(self, name: str) -> str:
        """Return the name that a volume has in the cluster."""
        return self.network(name).name

    def volume(self, name: str) -> VolumeInfo | None:
        """Return a volume by its name, None where there is none."""
        try:
            return super().volume(name)
        except PoolError:
            # Libvirt knows volumes that another host has deleted until it reads them anew.
            self.refresh(wait=False)
            return super().volume(name)

    def volumes(self) -> list[VolumeInfo]:
        """Return all volumes."""
        try:
            return super().volumes()
        except PoolError:
            self.refresh(wait=False)
            return super().volumes()

    def upload(self, name: str, path: str) -> None:
        """Make a volume of the bytes of a local file, whatever they mean; holes stay holes."""
        self._fill(VolumeSpec(name, "raw", os.path.getsize(path)), _file(path, "raw"))

    def download(self, name: str, path: str) -> None:
        """Write what a volume holds into a local file; holes stay holes."""
        self._convert(["-O", "raw", self._image(name), path], f"download volume {name} from")

    def clone(self, spec: VolumeSpec, source: Pool, source_name: str, source_format: str) -> None:
        """Make a volume as a copy of another and grow it to ``spec.capacity``.

        Within the pool the copy shares what it has in common with its source. Of another pool the
        source is a file that nova-compute may read, such as a cached image.
        """
        if source.name == self.name:
            super().clone(spec, source, source_name, source_format)
            return
        found = source.volume(source_name)
        if found is None:
            raise exception.DiskNotFound(location=f"{source.name}/{source_name}")
        if as_qemu_knows(found.format) != source_format:
            raise exception.InvalidDiskInfo(
                reason=f"{found.path} is {source_format}, but its content says {found.format}"
            )
        self._fill(spec, _file(found.path, source_format))

    def send(self, name: str, target: Pool, new_name: str | None = None) -> None:
        """Make a volume in this or another pool of the bytes of one; holes stay holes.

        :raises DiskNotFound: there is no volume ``name``
        """
        found = self.volume(name)
        if found is None:
            raise exception.DiskNotFound(location=f"{self.name}/{name}")
        if isinstance(target, RbdPool) and target.network("") == self.network(""):
            target._fill(VolumeSpec(new_name or name, "raw", found.capacity), self._image(name))
        else:
            super().send(name, target, new_name)

    def delete(self, name: str) -> None:
        """Delete a volume; that it is gone already is no error.

        One whose guest was killed counts as in use for half a minute, which is waited for.
        """
        if not poll(lambda: self._deleted(name), _BUSY_TIMEOUT, lambda: None):
            super().delete(name)

    def _deleted(self, name: str) -> bool:
        try:
            super().delete(name)
        except PoolError as error:
            LOG.info("Volume %s cannot be deleted yet: %s", name, error)
            # Another host may have deleted it.
            self.refresh(wait=False)
            return self.volume(name) is None
        return True

    def template(self, image: str) -> str | None:
        """Return the name of a complete template of a cached image, None where there is none."""
        return self._known_template(image) or (
            self._known_template(image) if self.refresh(wait=False) else None
        )

    def _known_template(self, image: str) -> str | None:
        names = set(self.names(f"{_TEMPLATE}{image}_"))
        for name in sorted(names):
            # Libvirt may not know yet what another host has removed.
            if name + _COMPLETE in names and self.volume(name) is not None:
                return name
        return None

    def make_template(self, image: str, path: str, image_format: str, capacity: int) -> str:
        """Make a template of a cached image and return its name; ``capacity`` is in bytes.

        Each host makes its templates under names of its own, so that what a crash has left of one
        is known to be nobody else's, and replaced.
        """
        name = _template_name(image)
        LOG.info("Uploading image %s to pool %s as %s", path, self.name, name)
        self.refresh(wait=False)
        super().delete(name + _COMPLETE)
        self._delete_template(name)
        self._fill(VolumeSpec(name, "raw", capacity), _file(path, image_format))
        self.create(VolumeSpec(name + _COMPLETE, "raw", units.Mi))
        return name

    def remove_templates(self, cache: str) -> None:
        """Remove this host's templates of images that are no longer in its cache.

        Ceph keeps those that a disk of any host still lies over; they are tried again next time.

        :param cache: the directory of the cached images
        """
        images = set()
        for name in self.names(_TEMPLATE):
            image, _underscore, host = name.removeprefix(_TEMPLATE).partition("_")
            if host.removesuffix(_COMPLETE) == CONF.host:
                images.add(image)
        for image in sorted(images):
            lock_path = os.path.join(CONF.instances_path, "locks")
            # A new disk is made of an image under this lock, as in nova.
            with lockutils.lock(image, "nova-", external=True, lock_path=lock_path):
                if not os.path.exists(os.path.join(cache, image)):
                    self._remove_template(_template_name(image))

    def _remove_template(self, name: str) -> None:
        try:
            self._delete_template(name)
        except PoolError as error:
            LOG.debug("Template %s is still in use: %s", name, error)
            return
        super().delete(name + _COMPLETE)
        LOG.info("Removed template %s, whose image is no longer cached", name)

    def _delete_template(self, name: str) -> None:
        """Delete a template with the snapshots that libvirt has made of it to clone it.

        :raises PoolError: it has clones
        """
        with self._reporting(f"delete template {name} from"):
            volume = self._find_volume(name)
            if volume is not None:
                volume.delete(libvirt.VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS)

    def _fill(self, spec: VolumeSpec, source: str) -> None:
        """Make a volume of what QEMU reads from another image."""
        self.create(spec)
        with self._removing_on_error(spec.name):
            # A new volume reads as zeroes, which need not be written.
            options = ["-n", "--target-is-zero", "-O", "raw"]
            self._convert([*options, source, self._image(spec.name)], f"fill volume {spec.name} of")

    def _convert(self, arguments: list[str], action: str) -> None:
        """Let QEMU copy an image.

        :raises PoolError: it cannot
        """
        command = ["qemu-img", "convert"]
        key = self._key()
        if key is not None:
            # Over a pipe, as others can read what stands on a command line.
            command += ["--object", "secret,id=key,format=base64,file=/dev/stdin"]
        try:
            processutils.execute(*command, *arguments, process_input=key)
        except (processutils.ProcessExecutionError, OSError) as error:
            reason = getattr(error, "stderr", None) or str(error)
            raise PoolError(
                reason=f"Cannot {action} storage pool {self.name}: {reason.strip()}"
            ) from error

    def _image(self, name: str) -> str:
        """Return QEMU's description of a volume."""
        network = self.network(name)
        pool, _slash, image = network.name.partition("/")
        options: dict[str, Any] = {
            "driver": "rbd",
            "pool": pool,
            "image": image,
            "server": [{"host": host, "port": port} for host, port in network.hosts],
        }
        if network.secret is None:
            options["auth-client-required"] = ["none"]
        else:
            options |= {"user": network.username, "key-secret": "key"}
        return _json({"driver": "raw", "file": options})

    def _key(self) -> str | None:
        """Return the key by which the pool's user proves who it is, in base64."""
        named = self.network("").secret
        if named is None:
            return None
        with self._reporting("read the secret of"):
            connection, (kind, value) = self._host.get_connection(), named
            if kind == "uuid":
                secret = connection.secretLookupByUUIDString(value)
            else:
                secret = connection.secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_CEPH, value)
            return base64.b64encode(secret.value()).decode()


def _template_name(image: str) -> str:
    """Return the name of this host's template of a cached image."""
    return f"{_TEMPLATE}{image}_{CONF.host}"


def _file(path: str, image_format: str) -> str:
    """Return QEMU's description of a local file of a format."""
    return _json({"driver": image_format, "file": {"driver": "file", "filename": path}})


def _json(options: dict[str, Any]) -> str:
    return "json:" + json.dumps(options)
