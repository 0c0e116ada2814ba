# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Nova's LibvirtDriver with libvirt storage volumes for disks."""
