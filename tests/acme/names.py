"""A name server that knows one answer: every name is at the address that it was given."""

from __future__ import annotations

import socket
import struct
import threading

HEADER = struct.Struct(">HHHHHH")  # identifier, flags, and the four counts of records
AUTHORITATIVE_ANSWER = 0x8480
TYPE_A = 1


class Names:
    """Answers over UDP from when it exists until it is closed."""

    def __init__(self, address: str):
        self._address = socket.inet_aton(address)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self.server = "{}:{}".format(*self._socket.getsockname())
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(512)
            if not query:
                return
            if len(query) > HEADER.size:
                self._socket.sendto(self._answer(query), sender)

    def _answer(self, query: bytes) -> bytes:
        end = query.index(b"\0", HEADER.size) + 5  # after the name: its end, a type and a class
        question = query[HEADER.size : end]
        (kind,) = struct.unpack_from(">H", question, len(question) - 4)
        answer = b""
        if kind == TYPE_A:  # of no other kind is there any, IPv6 addresses among them
            # The name of the question again, by reference, and its type and class; no caching.
            answer = b"\xc0\x0c" + question[-4:] + struct.pack(">IH", 0, 4) + self._address
        (identifier,) = struct.unpack_from(">H", query)
        head = HEADER.pack(identifier, AUTHORITATIVE_ANSWER, 1, bool(answer), 0, 0)
        return head + question + answer
