# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""``compute_driver = polyvisor.libvirt.StoragePoolDriver``."""

from nova_polyvisor.libvirt.driver import StoragePoolDriver

__all__ = ["StoragePoolDriver"]
