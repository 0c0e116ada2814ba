# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Names that nova can load: ``compute_driver = polyvisor.<module>.<class>``.

Nova imports a driver only from its own package ``nova.virt``, so these modules are installed
there; each re-exports a class of ``nova_polyvisor``.
"""
