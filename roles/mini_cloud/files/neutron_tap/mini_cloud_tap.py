# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""An ML2 mechanism driver that gives every server's port a tap device of its own, without any agent.

The drivers that Neutron brings bind a port only where an agent of theirs runs, and none of them binds as
`tap`, the type for which Nova itself makes the device on the host and takes it away again. Nothing connects
these devices: what comes out of one, nobody else sees.
"""

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api
from sqlalchemy import orm


class TapMechanismDriver(api.MechanismDriver):
    """Binds ports of vnic_type `normal` on networks of type `local` as vif_type `tap`, on any host."""

    def initialize(self):
        """Complete the database's models: Neutron's list of ports takes it that a query has done so."""
        orm.configure_mappers()

    @property
    def connectivity(self):
        """What a port can reach: other ports of the same host, at best."""
        return portbindings.CONNECTIVITY_L2

    def bind_port(self, context):
        """Bind to the first local segment; the port is ACTIVE at once, as no agent will report it."""
        vnic_type = context.current.get(portbindings.VNIC_TYPE, portbindings.VNIC_NORMAL)
        if vnic_type != portbindings.VNIC_NORMAL:
            return
        for segment in context.segments_to_bind:
            if segment[api.NETWORK_TYPE] == constants.TYPE_LOCAL:
                context.set_binding(
                    segment[api.ID],
                    portbindings.VIF_TYPE_TAP,
                    {
                        portbindings.CAP_PORT_FILTER: False,
                        portbindings.VIF_DETAILS_CONNECTIVITY: self.connectivity,
                    },
                    status=constants.PORT_STATUS_ACTIVE,
                )
                return
