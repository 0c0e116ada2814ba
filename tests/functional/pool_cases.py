# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Definitions of pools of every type, as options and as XML, with what libvirt documents of each."""

from __future__ import annotations

from typing import Any

IQN = "iqn.2026-11.com.example:target"
INITIATOR = "iqn.2026-11.com.example:initiator"
SECRET_UUID = "2ec115d7-3a88-3ceb-bc12-0ac909a6fd87"
PERMISSIONS = {"mode": "0711", "owner": 64055, "group": 109, "label": "virt_image_t"}
BY_PATH = {"path": "/dev/disk/by-path", "permissions": PERMISSIONS}
CHAP = {"type": "chap", "username": "pools", "secret": {"usage": "storage.example.com"}}
CEPH = {"type": "ceph", "username": "libvirt", "secret": {"uuid": SECRET_UUID}}
PARENT_ADDRESS = {"unique_id": 1, "slot": "0x1f", "function": "0x2"}
WWN = {"wwnn": "20000000c9831b4b", "wwpn": "10000000c9831b4b"}
PARENT_WWN = {"parent_wwnn": "20000000c9831b4c", "parent_wwpn": "10000000c9831b4c"}

# Types whose backend the daemon of the tests may lack: libvirt 8.8 dropped sheepdog, and
# distributions build without vstorage.
RARE = ("sheepdog", "vstorage")

# (type, options); what is stated is all that libvirt can store for that type.
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    (
        "dir",
        {"target": {"path": "/srv/p", "permissions": PERMISSIONS}, "features": {"cow": False}},
    ),
    (
        "fs",
        {
            "source": {"devices": ["/dev/vdb"], "format": "xfs", "vendor": "A", "product": "B"},
            "target": {"path": "/srv/p", "permissions": PERMISSIONS},
            "features": {"cow": True},
            "mount_options": ["noatime", "nodev"],
        },
    ),
    (
        "netfs",
        {
            "source": {
                "hosts": [{"name": "nfs.example.com", "port": 2049}],
                "dir": "/export",
                "format": "nfs",
                "protocol_version": "4.1",
            },
            "target": {"path": "/srv/p"},
            "mount_options": ["hard"],
        },
    ),
    (
        "netfs",
        {
            "source": {
                "hosts": [{"name": "cifs.example.com"}],
                "dir": "share",
                "format": "cifs",
            },
            "target": {"path": "/srv/p"},
        },
    ),
    (
        "disk",
        {
            "source": {"devices": ["/dev/vdb"], "format": "gpt", "part_separator": False},
            "target": {"path": "/dev", "permissions": PERMISSIONS},
        },
    ),
    ("disk", {"source": {"devices": ["/dev/vdb"]}}),
    (
        "logical",
        {
            "source": {"devices": ["/dev/vdc", "/dev/vdb"], "name": "group", "format": "lvm2"},
            "target": {"permissions": PERMISSIONS},
        },
    ),
    ("logical", {}),
    (
        "iscsi",
        {
            "source": {
                "hosts": [{"name": "iscsi.example.com", "port": 3261}],
                "devices": [IQN],
                "initiator": INITIATOR,
                "auth": CHAP,
                "vendor": "Acme",
                "product": "model",
            },
            "target": BY_PATH,
        },
    ),
    ("iscsi", {"source": {"hosts": [{"name": "10.0.0.1", "port": 3260}], "devices": [IQN]}}),
    (
        "iscsi-direct",
        {
            "source": {
                "hosts": [{"name": "fd00::1", "port": 3260}],
                "devices": [IQN],
                "initiator": INITIATOR,
                "auth": CHAP,
            },
        },
    ),
    ("scsi", {"source": {"adapter": {"name": "scsi_host1"}}}),
    ("scsi", {"source": {"adapter": {"parentaddr": PARENT_ADDRESS}}, "target": BY_PATH}),
    (
        "scsi",
        {
            "source": {
                "adapter": {"type": "fc_host", "parent": "scsi_host5", "managed": True, **WWN}
            }
        },
    ),
    ("scsi", {"source": {"adapter": {"type": "fc_host", **WWN, **PARENT_WWN}}}),
    (
        "scsi",
        {
            "source": {
                "adapter": {"type": "fc_host", "parent_fabric_wwn": "2005000573df7de1", **WWN}
            }
        },
    ),
    ("mpath", {}),
    (
        "rbd",
        {
            "source": {
                "hosts": [{"name": "mon2", "port": 6789}, {"name": "mon1"}, {"name": "fd00::3"}],
                "name": "images",
                "auth": CEPH,
            },
            "rbd_options": {"client_mount_timeout": 45, "rados_osd_op_timeout": "10"},
            "volume_allocation": "capacity",
        },
    ),
    ("sheepdog", {"source": {"hosts": [{"name": "localhost", "port": 7000}], "name": "sheep"}}),
    (
        "gluster",
        {
            "source": {
                "hosts": [{"name": "gluster.example.com", "port": 24007}],
                "name": "volume",
                "dir": "/images",
            }
        },
    ),
    (
        "zfs",
        {"source": {"name": "tank/libvirt", "devices": ["/dev/vdb", "/dev/vdc"]}},
    ),
    ("vstorage", {"source": {"name": "cluster"}, "target": {"path": "/mnt/vstorage"}}),
]

# The same as some of the above, and more, as a user may write them: in other words, order, with
# comments and with what libvirt passes over.
XML = {
    "dir": """
        <pool type='dir'>
          <!-- a comment -->
          <name>p</name>
          <capacity unit='GiB'>10</capacity>
          <allocation unit='bytes'>5</allocation>
          <available>3</available>
          <source><host name='nobody.example.com'/></source>
          <target>
            <permissions><group>109</group><mode>711</mode><label>virt_image_t</label></permissions>
            <path>/srv//p/</path>
          </target>
        </pool>
        """,
    "fs": """
        <pool xmlns:anything='http://libvirt.org/schemas/storagepool/fs/1.0' type='fs'>
          <anything:mount_opts>
            <anything:option name='nodev'/><anything:option name='noatime'/>
          </anything:mount_opts>
          <target><path>/srv/p</path></target>
          <source><device path='/dev/vdb'/></source>
        </pool>
        """,
    "netfs": """
        <pool type='netfs'>
          <name>p</name>
          <source>
            <format type='auto'/>
            <dir path='/export/'/>
            <host name='nfs.example.com'/>
          </source>
          <target><path>/srv/p</path></target>
        </pool>
        """,
    "disk": """
        <pool type="disk"><name>p</name>
          <source><device path="/dev/vdb"><freeExtent start="1" end="2"/></device></source>
          <target><path>/dev/</path></target>
        </pool>
        """,
    "logical": """
        <pool type='logical'>
          <name>p</name>
          <source><device path='/dev/vdc'/><device path='/dev/vdb'/></source>
          <target><path>/somewhere/else</path></target>
        </pool>
        """,
    "iscsi": f"""
        <pool type='iscsi'>
          <name>p</name>
          <source>
            <product name='model'/>
            <vendor name='Acme'/>
            <auth username='u' type='chap'><secret type='iscsi' usage='x'/></auth>
            <initiator><iqn name='{INITIATOR}'/></initiator>
            <device path='{IQN}'/>
            <host port='3260' name='iscsi.example.com'/>
          </source>
          <target><path>/dev/disk/by-path</path></target>
        </pool>
        """,
    "iscsi-direct": f"""
        <pool type='iscsi-direct'>
          <name>p</name>
          <source>
            <host name='iscsi.example.com'/>
            <device path='{IQN}'/>
            <initiator><iqn name='{INITIATOR}'/></initiator>
          </source>
          <target><path>/no/meaning</path></target>
        </pool>
        """,
    "scsi": """
        <pool type='scsi'>
          <name>p</name>
          <source><adapter name='host0'/></source>
          <target><path>/dev/disk/by-id</path></target>
        </pool>
        """,
    "mpath": "<pool type='mpath'><name>p</name><target><path>/dev/mapper</path></target></pool>",
    "rbd": f"""
        <pool type='rbd' xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'>
          <name>p</name>
          <source>
            <name>images</name>
            <host name='mon1'/><host name='mon2'/>
            <auth username='admin' type='ceph'><secret uuid='{SECRET_UUID.upper()}'/></auth>
          </source>
          <refresh><volume allocation='default'/></refresh>
          <rbd:config_opts>
            <rbd:option name='b' value='1'/><rbd:option value='2' name='a'/>
          </rbd:config_opts>
        </pool>
        """,
    "sheepdog": "<pool type='sheepdog'><source><host name='h'/><name>p</name></source></pool>",
    "gluster": """
        <pool type='gluster'>
          <name>p</name>
          <source><name>volume</name><dir path='/'/><host name='gluster.example.com'/></source>
        </pool>
        """,
    "zfs": "<pool type='zfs'><name>p</name><source><name>tank</name></source></pool>",
    "vstorage": """
        <pool type='vstorage'>
          <name>p</name>
          <source><name>cluster</name></source>
          <target><path>/mnt/vstorage/</path></target>
        </pool>
        """,
}
