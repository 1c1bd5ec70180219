"""TLS clients that come all the time, verify what they are shown, and note it."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0  # seconds; generous: only a hang takes this long
PAUSE = 0.005  # seconds between two connections, so that looking is not the load
ENOUGH = 20  # troubles; with a dead server there would be no end of them


@dataclass(frozen=True)
class Handshake:
    """What one connection was shown, and when it began and was through (seconds since 1970)."""

    began: float
    done: float
    certificate: str


class Visitors:
    """A thread for each version of TLS that opens one connection after another to one name."""

    def __init__(self, port: int, name: str, roots: list[Path]):
        self._port, self._name = port, name
        self._changed = threading.Condition()
        self._seen: list[Handshake] = []
        self._stop = threading.Event()
        self.count = 0
        self.troubles: list[str] = []
        self._threads = [
            threading.Thread(target=self._work, args=(context_for(roots, version),))
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_until_shown(self, certificate: str) -> Handshake:
        """The first handshake that showed the certificate, of those that are not taken yet."""
        def first():
            return next((seen for seen in self._seen if seen.certificate == certificate), None)

        with self._changed:
            self._changed.wait_for(lambda: first() or self.troubles, PATIENCE)
            if first() is None:
                raise AssertionError(
                    f"{certificate[:8]} is on disk and was not shown for {PATIENCE:.0f} s; "
                    f"shown was {sorted({seen.certificate[:8] for seen in self._seen})}; "
                    f"troubles: {self.troubles}")
            return first()

    def wait_for_more(self, handshakes: int) -> None:
        with self._changed:
            target = self.count + handshakes
            self._changed.wait_for(lambda: self.count >= target or self.troubles, PATIENCE)

    def take(self) -> list[Handshake]:
        """What was seen since the last time that this was asked."""
        with self._changed:
            taken, self._seen = self._seen, []
            return taken

    def _work(self, context: ssl.SSLContext) -> None:
        while not self._stop.is_set() and len(self.troubles) < ENOUGH:
            began = time.time()
            try:
                self._visit(context, began)
            except Exception as trouble:  # whatever it is, it counts against the server
                with self._changed:
                    took = time.time() - began
                    self.troubles.append(f"after {took:.1f} s {type(trouble).__name__}: {trouble}")
                    self._changed.notify_all()
            time.sleep(PAUSE)

    def _visit(self, context: ssl.SSLContext, began: float) -> None:
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname=self._name) as tls:
                certificate = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()
        with self._changed:
            self._seen.append(Handshake(began, time.time(), certificate))
            self.count += 1
            self._changed.notify_all()


def context_for(roots: list[Path], version: ssl.TLSVersion) -> ssl.SSLContext:
    verifying = ssl.create_default_context(cadata="".join(root.read_text() for root in roots))
    verifying.minimum_version = verifying.maximum_version = version
    return verifying
