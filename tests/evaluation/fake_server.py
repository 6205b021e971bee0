"""An OpenAI-compatible server on a local port that needs no model."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler

from tests.local_server import LocalServer


class FakeServer(LocalServer):
    """Answers every request with its seed, after ``faults`` have been served."""

    def __init__(self, models=("m",), owner="vllm", faults=(), body=None, choices=None):
        self.models, self.owner, self.faults, self.body = models, owner, list(faults), body
        self.choices = choices
        """Of each request in turn what is answered; the last one again and again."""
        self.requests, self.in_flight, self.most_in_flight = [], 0, 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServer

    def do_GET(self):
        data = [{"id": m, "owned_by": self.server.owner, "max_model_len": 64} for m in self.server.models]
        self.reply(200, {"data": data})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((self.path, request, self.headers.get("Authorization")))
            self.server.in_flight += 1
            self.server.most_in_flight = max(self.server.most_in_flight, self.server.in_flight)
            fault = self.server.faults.pop(0) if self.server.faults else None
        time.sleep(0.01)
        with self.server.lock:
            self.server.in_flight -= 1
        if fault is not None:
            self.reply(fault, {"error": "as planned"})
        elif self.server.choices is not None:
            with self.server.lock:
                choices = self.server.choices
                choice = choices.pop(0) if len(choices) > 1 else choices[0]
            self.reply(200, {"choices": [choice]})
        elif self.server.body is not None:
            self.reply(200, self.server.body)
        else:
            text = f"seed {request['seed']}"
            what = {"text": text} if "prompt" in request else {"message": {"content": text}}
            self.reply(200, {"choices": [what | {"finish_reason": "stop"}], "usage": {"completion_tokens": 3}})

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass
