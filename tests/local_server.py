"""A server on a local port that tests start and stop."""

import threading
from http.server import ThreadingHTTPServer


class LocalServer(ThreadingHTTPServer):
    """Serves while it is entered."""

    daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
