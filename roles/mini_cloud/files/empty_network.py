# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network endpoint for a cloud without networks: every collection of the Networking API v2.0 is empty.

Nova asks the network service about every server, even one that was booted without any network. This WSGI
application answers such questions; whoever wants to make something is told that it cannot be done here.
"""

import json
import re

COLLECTION = re.compile(r"/v2\.0/(?P<name>[\w-]+)(\.json)?/?")
QUOTA = re.compile(r"/v2\.0/quotas/[\w-]+(/details(\.json)?)?/?")
UNLIMITED = {"limit": -1, "used": 0, "reserved": 0}


def _error(kind, message):
    return {"NeutronError": {"type": kind, "message": message, "detail": ""}}


def respond(method, path, base):
    """Return ``(status line, document or None)`` for a request; ``base`` is the endpoint's own URL."""
    if method == "DELETE":
        return "404 Not Found", _error("NotFound", "There is nothing here that could be deleted.")
    if method not in ("GET", "HEAD"):
        return "409 Conflict", _error(
            "Conflict", "This cloud has no networks: boot servers with --nic none."
        )
    if path in ("", "/"):
        link = {"rel": "self", "href": f"{base}/v2.0/"}
        return "200 OK", {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]}
    if path.rstrip("/") == "/v2.0":
        return "200 OK", {"resources": []}
    if QUOTA.fullmatch(path):
        return "200 OK", {
            "quota": dict.fromkeys(("network", "port", "floatingip", "security_group"), UNLIMITED)
        }
    collection = COLLECTION.fullmatch(path)
    if collection:
        return "200 OK", {collection["name"].replace("-", "_"): []}
    return "404 Not Found", _error("NotFound", f"{path} does not exist.")


def application(environ, start_response):
    """Answer one request (WSGI, PEP 3333)."""
    base = f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}"
    status, document = respond(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), base)
    body = json.dumps(document).encode()
    start_response(
        status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]
