"""OpenSSL as servers use it, by way of Python: reads cases from standard input, and writes a verdict for each.

A line "identity CHAIN KEY PASSWORD" or "trust ROOTS LISTS CHAIN KEY PEER...", fields separated by tabs. The answer is
the verdict and what the verdict is about, separated by a tab.
"""

import hashlib
import ssl
import sys


def context(protocol):
    made = ssl.SSLContext(protocol)
    # The policy of the distribution is not what is compared.
    made.set_ciphers("ALL:!aNULL:!PSK:!SRP:@SECLEVEL=0")
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocol == ssl.PROTOCOL_TLS_CLIENT:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def handshake(server_context, client_context):
    """Completes a handshake in memory; returns the certificate that the client was shown."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="a.test")
    waiting = [client, server]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            return client.getpeercert(binary_form=True)
    raise ValueError("the handshake does not end")


def password(given):
    def answer():
        if not given:
            raise ValueError("there is no password")
        return given

    return answer


def in_one_line(error):
    return " ".join(str(error).split())


def identity(chain, key, given):
    server = context(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(chain, key, password(given))
    except (OSError, ValueError) as error:
        return "refused", in_one_line(error)
    try:
        leaf = handshake(server, context(ssl.PROTOCOL_TLS_CLIENT))
    except (OSError, ValueError) as error:
        return "loaded", in_one_line(error)
    return "served", hashlib.sha256(leaf).hexdigest()


def trust(roots, lists, chain, key, *peers):
    """Each peer is a chain and key in one file; those that are to be refused come after a "-"."""
    server = context(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key)
    server.verify_mode = ssl.CERT_REQUIRED
    try:
        server.load_verify_locations(roots)
        if lists:
            server.load_verify_locations(lists)
            server.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    except (OSError, ValueError) as error:
        return "refused", in_one_line(error)
    is_welcome = True
    for peer in peers:
        if peer == "-":
            is_welcome = False
            continue
        client = context(ssl.PROTOCOL_TLS_CLIENT)
        client.load_cert_chain(peer)
        try:
            handshake(server, client)
        except (OSError, ValueError) as error:
            if is_welcome:
                return "refused", in_one_line(error)
        else:
            if not is_welcome:
                return "loaded", "accepts a peer that is revoked"
    return "served", ""


for line in sys.stdin:
    kind, *fields = line.rstrip("\n").split("\t")
    print("\t".join({"identity": identity, "trust": trust}[kind](*fields)))
