"""A client of Python's ssl that visits once for each line of its input, each time with the session of the first.

SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
"""

import socket
import ssl
import sys

PATIENCE = 60  # seconds: only a hang takes so long


def main(port, version, name, root, *pair):
    context = ssl.create_default_context(cafile=root)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if pair:
        context.load_cert_chain(*pair)
    session = None
    for _ in sys.stdin:
        session = visit(context, int(port), name, session) or session


def visit(context, port, name, session):
    """Prints how it went in one line, and gives the session of it if it went well."""
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    try:
        with context.wrap_socket(plain, server_hostname=name, session=session) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := tls.recv(4096):
                answer += piece
            seen = "resumed" if tls.session_reused else "full"
            print(f"{seen} {answer.decode().splitlines()[-1]}", flush=True)
            return session or tls.session
    except ssl.SSLError as error:
        print(f"refused {error}", flush=True)
    finally:
        plain.close()


main(*sys.argv[1:])
