"""TLS clients that trust nobody's word: every answer is checked against its own connection."""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0  # seconds; generous: only a hang takes this long
ENOUGH = 100  # troubles; with a dead server there would be no end of them


class WrongPair(Exception):
    """A connection was served something that it must never be."""


@dataclass(frozen=True)
class Answer:
    generation: int
    certificate: str


class Connection:
    """One TLS connection, verified against the throw-away root, with keep-alive requests on it."""

    def __init__(self, port: int, context: ssl.SSLContext, source: str = "127.0.0.1"):
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._tls = context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise
        self._buffer = b""
        self.certificate = hashlib.sha256(self._tls.getpeercert(True)).hexdigest()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._tls.close()

    def get(self, path: str = "/") -> str:
        """The body of an answer that must be 200."""
        self._tls.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = self._receive(lambda data: data.find(b"\r\n\r\n") + 4, minimum=4).decode("latin-1")
        status = head.split(" ", 2)[1]
        if status != "200":
            raise OSError(f"HTTP status {status}")
        fields = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if line)
        length = int(fields["content-length"])
        return self._receive(lambda _: length, minimum=0).decode()

    def ask(self) -> Answer:
        """What the server says of this connection; it must be what the handshake showed."""
        values = dict(line.split(" ", 1) for line in self.get().splitlines())
        answer = Answer(int(values["generation"]), values["certificate"])
        if answer.certificate != self.certificate:
            raise WrongPair(
                f"the handshake showed {self.certificate[:8]}, "
                f"generation {answer.generation} says {answer.certificate[:8]}"
            )
        return answer

    def _receive(self, wanted, minimum: int) -> bytes:
        """As many bytes as `wanted` tells of what is there; below `minimum` it cannot tell yet."""
        while (length := wanted(self._buffer)) < minimum or len(self._buffer) < length:
            data = self._tls.recv(65536)
            if not data:
                raise OSError("the server closed the connection in the middle of an answer")
            self._buffer += data
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken


class Ledger:
    """What all clients saw, and the rules between one connection and the next."""

    def __init__(self) -> None:
        self.requests = 0
        self.connections = 0
        self.failures: list[str] = []
        self.wrong_pairs: list[str] = []
        self._good: set[str] = set()
        self._certificates: dict[int, str] = {}
        self._newest = 0
        self._changed = threading.Condition()

    def allow(self, certificate: str) -> None:
        """Says that this certificate is about to be whole and valid on disk."""
        with self._changed:
            self._good.add(certificate)

    def newest(self) -> int:
        """The newest generation seen: a connection opened from now on may not get an older one."""
        with self._changed:
            return self._newest

    def note_connection(self) -> None:
        with self._changed:
            self.connections += 1

    def note_answer(self, answer: Answer, at_least: int) -> None:
        with self._changed:
            self.requests += 1
            self._changed.notify_all()
            if answer.certificate not in self._good:
                raise WrongPair(f"{answer.certificate[:8]} was never valid on disk")
            known = self._certificates.setdefault(answer.generation, answer.certificate)
            if known != answer.certificate:
                raise WrongPair(f"generation {answer.generation} has two certificates")
            if answer.generation < at_least:
                raise WrongPair(f"generation {answer.generation} served after {at_least}")
            self._newest = max(self._newest, answer.generation)

    def note_trouble(self, trouble: Exception) -> None:
        with self._changed:
            wrong = isinstance(trouble, WrongPair)
            kept = self.wrong_pairs if wrong else self.failures
            kept.append(f"{type(trouble).__name__}: {trouble}")
            self._changed.notify_all()

    def worth_going_on(self) -> bool:
        with self._changed:
            return len(self.failures) + len(self.wrong_pairs) < ENOUGH

    def wait_for_requests(self, more: int) -> None:
        """Until that many more requests are answered, or something went wrong."""
        with self._changed:
            target = self.requests + more
            self._changed.wait_for(lambda: self.requests >= target or self.failures, PATIENCE)


class Clients:
    """Threads that open connection after connection and send requests over each."""

    def __init__(self, port: int, root: Path, ledger: Ledger, workers: int, seed: int):
        self._port = port
        self._contexts = [context(root), context(root, ssl.TLSVersion.TLSv1_2)]
        self._ledger = ledger
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(index, random.Random(seed + index)))
            for index in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, index: int, rng: random.Random) -> None:
        # An address for each worker: closed connections hold ports for a minute.
        source = f"127.0.0.{10 + index}"
        while not self._stop.is_set() and self._ledger.worth_going_on():
            try:
                self._one_connection(rng, source)
            except Exception as trouble:  # whatever it is, it counts against the server
                self._ledger.note_trouble(trouble)

    def _one_connection(self, rng: random.Random, source: str) -> None:
        at_least = self._ledger.newest()
        with Connection(self._port, rng.choice(self._contexts), source) as connection:
            self._ledger.note_connection()
            first = None
            for _ in range(rng.randint(1, 20)):
                answer = connection.ask()
                self._ledger.note_answer(answer, at_least)
                first = first or answer
                if answer != first:
                    raise WrongPair(f"on one connection {first} became {answer}")


class Probe:
    """Opens one connection at a time, to see what a new client gets."""

    def __init__(self, port: int, root: Path, ledger: Ledger):
        self._port = port
        self._context = context(root)
        self._ledger = ledger

    def connect(self) -> Connection:
        return Connection(self._port, self._context)

    def ask(self) -> Answer:
        at_least = self._ledger.newest()
        with self.connect() as connection:
            self._ledger.note_connection()
            answer = connection.ask()
            self._ledger.note_answer(answer, at_least)
            return answer

    def wait_until_served(self, certificate: str, timeout: float = PATIENCE) -> Answer:
        """New connections, one after another, until one gets the certificate."""
        deadline = time.monotonic() + timeout
        while (answer := self.ask()).certificate != certificate:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"{certificate[:8]} is on disk for {timeout:.0f} s, and new connections "
                    f"still get {answer.certificate[:8]} of generation {answer.generation}"
                )
            time.sleep(0.002)  # between two looks, so that looking is not the load
        return answer

    def status(self) -> dict[str, str]:
        with self.connect() as connection:
            lines = connection.get("/status").splitlines()
        return dict(line.split(" ", 1) for line in lines if " " in line)

    def wait_for_status(self, satisfied, what: str, timeout: float = PATIENCE) -> dict[str, str]:
        deadline = time.monotonic() + timeout
        while not satisfied(status := self.status()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what}: not within {timeout:.0f} s; the status is {status}")
            time.sleep(0.01)  # between two looks
        return status


def context(root: Path, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    verifying = ssl.create_default_context(cafile=str(root))
    verifying.maximum_version = newest
    return verifying
