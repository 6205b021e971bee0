"""A hub on a local port that holds one repository in memory, for huggingface_hub's own client."""

import json
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from tests.local_server import LocalServer

SHA = "0123456789" * 4


class FakeHub(LocalServer):
    """Serves ``files`` (name -> content) as the model ``hub_id``."""

    def __init__(self, hub_id: str, files: dict[str, bytes]) -> None:
        self.hub_id, self.files = hub_id, files
        self.sizes = {name: len(content) for name, content in files.items()}
        """Of each file, as the hub tells it."""
        self.fetched: set[str] = set()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub, path = self.server, unquote(urlsplit(self.path).path)
        model, file = f"/api/models/{hub.hub_id}", path.removeprefix(f"/{hub.hub_id}/resolve/{SHA}/")
        if path in (model, f"{model}/revision/main"):
            siblings = [{"rfilename": name, "size": size} for name, size in hub.sizes.items()]
            self.reply({"id": hub.hub_id, "sha": SHA, "siblings": siblings})
        elif path == f"{model}/tree/{SHA}":
            kind = {"type": "file", "oid": SHA}
            self.reply([kind | {"path": name, "size": size} for name, size in hub.sizes.items()])
        elif file in hub.files:
            if self.command == "GET":
                hub.fetched.add(file)
            self.send(200, hub.files[file], {"ETag": f'"{file}"', "X-Repo-Commit": SHA})
        else:
            self.send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def reply(self, value):
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status, content, headers):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass
