# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""As much of AWX's API as its own modules ask for when they make projects and job templates. It forgets nothing."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NEEDED = {"name": str, "description": str, "spec": list}
NEEDED_OF_QUESTION = {"type": str, "question_name": str, "variable": str, "required": bool}
TYPES = {"text", "textarea", "password", "multiplechoice", "multiselect", "integer", "float"}


def complaint(survey):
    """Return what AWX would not take of a survey, or nothing; by the rules that its API has for them."""
    for name, kind in NEEDED.items():
        if not isinstance(survey.get(name), kind):
            return f"{name} of the survey"
    variables = [question.get("variable") for question in survey["spec"]]
    if not variables or len(variables) != len(set(variables)):
        return "variables"
    for question in survey["spec"]:
        for name, kind in NEEDED_OF_QUESTION.items():
            if not isinstance(question.get(name), kind):
                return f"{name} of {question}"
        if question["type"] not in TYPES or not isinstance(question.get("default", ""), str):
            return f"type of {question}"
        if any(not isinstance(question.get(limit), (int, type(None))) for limit in ("min", "max")):
            return f"limits of {question}"
        if question["type"] == "multiplechoice" and question["default"] not in question["choices"]:
            return f"choices of {question}"
    return ""


class Store:
    """What was made, by kind: a list of objects, with what AWX adds to each."""

    def __init__(self, **known):
        self.objects = {}
        for kind, names in known.items():
            for name in names:
                self.add(kind, {"name": name})

    def of(self, kind):
        return self.objects.setdefault(kind, [])

    def add(self, kind, fields):
        number = len(self.of(kind)) + 1
        url = f"/api/v2/{kind}/{number}/"
        added = {"id": number, "type": kind, "url": url, "related": {"survey_spec": f"{url}survey_spec/"}}
        more = {"summary_fields": {}, "scm_revision": "", "survey_spec": {}, "credentials": []}
        self.of(kind).append({**added, **more, **fields})
        return self.of(kind)[-1]

    def answer(self, method, path, query, data):
        """Return status and body of one request."""
        kind, *rest = path.removeprefix("/api/v2/").strip("/").split("/")
        if not rest and method == "GET":
            found = [row for row in self.of(kind) if row["name"] == query.get("name", row["name"])]
            return 200, {"count": len(found), "results": found, "next": None}
        if not rest:
            return 201, self.add(kind, data)
        item = self.of(kind)[int(rest[0]) - 1]
        if method == "GET":
            return 200, {"count": 0, "results": [], "next": None} if len(rest) > 1 else item
        if rest[1:] == ["survey_spec"]:
            wrong = complaint(data)
            item["survey_spec"] = data
            return (400, {"error": wrong}) if wrong else (200, {})
        if rest[1:] == ["credentials"]:
            item["credentials"].append(data["id"])
            return 204, None
        return 404, {}


@contextmanager
def serving(store):
    """Serve it on loopback; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            length = int(self.headers.get("Content-Length") or 0)
            data = json.loads(self.rfile.read(length) or "{}")
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, body = store.answer(self.command, parts.path, query, data)
            self.send_response(status)
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.end_headers()
            if body is not None:
                self.wfile.write(json.dumps(body).encode())

        def do_GET(self):
            self.respond()

        def do_POST(self):
            self.respond()

        def log_message(self, *words):
            """Say nothing; the modules do."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
