# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Register users and endpoints in Keystone: read a plan on stdin, print the changes as JSON.

The plan is JSON: ``region``, ``secrets`` (path of ``{user: password}``), ``project``, ``roles`` (of each user),
``users`` (names) and ``endpoints`` (``{type: {"name", "url"}}``). The cloud is the one that OS_CLOUD names.
A user whose password does not work gets the one in ``secrets``. Nothing that is right is touched.
"""

import json
import pathlib
import sys

import keystoneauth1.exceptions
import openstack


class Registrar:
    """Brings Keystone to the plan and remembers what it changed."""

    def __init__(self, cloud, plan):
        self._identity = cloud.identity
        self._cloud = cloud
        self._plan = plan
        self.changes = []

    def project(self):
        """Return the services' project, made if need be."""
        name = self._plan["project"]
        project = self._identity.find_project(name, domain_id="default")
        if project is None:
            project = self._identity.create_project(name=name, domain_id="default")
            self.changes.append(f"project {name}")
        return project

    def roles(self):
        """Return the roles, made if need be."""
        found = []
        for name in self._plan["roles"]:
            role = self._identity.find_role(name)
            if role is None:
                role = self._identity.create_role(name=name)
                self.changes.append(f"role {name}")
            found.append(role)
        return found

    def user(self, name, password, project, roles):
        """Have a user with this password and these roles in the project."""
        user = self._identity.find_user(name, domain_id="default")
        if user is None:
            user = self._identity.create_user(name=name, password=password, domain_id="default")
            self.changes.append(f"user {name}")
        held = {
            one.role["id"]
            for one in self._identity.role_assignments(user_id=user.id, scope_project_id=project.id)
        }
        for role in roles:
            if role.id not in held:
                self._identity.assign_project_role_to_user(project, user, role)
                self.changes.append(f"role {role.name} of {name}")
        if not self._can_log_in(name, password):
            self._identity.update_user(user, password=password)
            self.changes.append(f"password of {name}")

    def _can_log_in(self, name, password):
        own = self._cloud.connect_as(
            username=name,
            password=password,
            project_name=self._plan["project"],
            user_domain_id="default",
            project_domain_id="default",
        )
        try:
            own.authorize()
        except (openstack.exceptions.SDKException, keystoneauth1.exceptions.Unauthorized):
            return False
        return True

    def endpoint(self, kind, name, url):
        """Have one service of this type, with this URL on every interface."""
        service = next(iter(self._identity.services(type=kind)), None)
        if service is None:
            service = self._identity.create_service(name=name, type=kind)
            self.changes.append(f"service {kind}")
        region = self._plan["region"]
        found = {
            one.interface: one
            for one in self._identity.endpoints(service_id=service.id)
            if one.region_id == region
        }
        for interface in ("public", "internal", "admin"):
            endpoint = found.get(interface)
            if endpoint is None:
                self._identity.create_endpoint(
                    service_id=service.id, region_id=region, interface=interface, url=url
                )
            elif endpoint.url != url:
                self._identity.update_endpoint(endpoint, url=url)
            else:
                continue
            self.changes.append(f"{interface} endpoint of {kind}")


def main():
    """Read the plan, register everything, report."""
    plan = json.load(sys.stdin)
    secrets = json.loads(pathlib.Path(plan["secrets"]).read_text(encoding="utf-8"))
    try:
        registrar = Registrar(openstack.connect(), plan)
        project = registrar.project()
        roles = registrar.roles()
        for name in plan["users"]:
            registrar.user(name, secrets[name], project, roles)
        for kind, endpoint in plan["endpoints"].items():
            registrar.endpoint(kind, endpoint["name"], endpoint["url"])
    except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException) as error:
        sys.exit(f"Keystone refused: {error}")
    print(json.dumps({"changes": registrar.changes}))


if __name__ == "__main__":
    main()
