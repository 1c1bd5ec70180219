"""The web server that the certificate authority asks for what its http-01 challenges demand."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Challenges:
    """Serves the directory into which ACME clients put their tokens."""

    def __init__(self, address: str, directory: Path):
        self.directory = directory
        self.tokens = directory / ".well-known" / "acme-challenge"
        self.tokens.mkdir(parents=True, exist_ok=True)
        self._server = ThreadingHTTPServer((address, 0), partial(Quiet, directory=str(directory)))
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
