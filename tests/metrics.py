#!/usr/bin/env python3
"""The metrics page as the parser of Prometheus's own Python client reads it.

usage: metrics.py LIBRARY
Ends with 77 where that client (Debian: python3-prometheus-client) is not installed.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    # The package of the system is known to the Python of the system, not to another in front of it.
    system = "/usr/bin/python3"
    if os.access(system, os.X_OK) and os.path.realpath(sys.executable) != os.path.realpath(system):
        os.execv(system, [system, "-B", *sys.argv])
    print("NOT TESTED: metrics with the Prometheus parser: python3-prometheus-client is not installed")
    sys.exit(77)

OK, BUFFER_TOO_SMALL = 0, 12
FAMILIES = {
    "certreload_reloads": "counter",
    "certreload_generation": "gauge",
    "certreload_generations_alive": "gauge",
    "certreload_last_reload_timestamp_seconds": "gauge",
    "certreload_last_check_timestamp_seconds": "gauge",
    "certreload_health": "gauge",
    "certreload_warning": "gauge",
    "certreload_watch_state": "gauge",
    "certreload_not_before_timestamp_seconds": "gauge",
    "certreload_not_after_timestamp_seconds": "gauge",
    "certreload_chain_not_after_timestamp_seconds": "gauge",
    "certreload_consecutive_failures": "gauge",
    "certreload_identity_health": "gauge",
    "certreload_identity_warning": "gauge",
}

OF_TRUST = {
    "certreload_trust_client_roots": "gauge",
    "certreload_trust_server_roots": "gauge",
    "certreload_trust_crls": "gauge",
    "certreload_trust_revoked": "gauge",
    "certreload_trust_consecutive_failures": "gauge",
    "certreload_trust_renewed_timestamp_seconds": "gauge",
    "certreload_crl_next_update_timestamp_seconds": "gauge",
    "certreload_trust_health": "gauge",
    "certreload_trust_warning": "gauge",
}


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.certreload_options_new.restype = ctypes.c_void_p
    with tempfile.TemporaryDirectory() as directory:
        plain = make_pair(Path(directory) / "plain.pem", "a.test")
        odd = make_pair(Path(directory) / 'an odd "na\\me"\n\u00fc.pem', "b.test")
        public = open_handle(library, b"public", [plain, odd])
        admin = open_handle(library, None, [plain])

        check_one(page_of(library, [public]), {"handle": "public"}, [plain, odd])
        check_one(page_of(library, [admin]), {}, [plain])
        both = page_of(library, [public, admin])
        handles = {sample.labels["handle"] for family in both for sample in family.samples}
        assert handles == {"public", "1"}, handles
        check_families(both)
        mutual = open_handle(library, b"mutual", [plain], roots=plain)
        families = page_of(library, [mutual, public])
        check_families(families, FAMILIES | OF_TRUST)
        roots = [family for family in families if family.name == "certreload_trust_server_roots"]
        samples = roots[0].samples
        assert [(sample.labels, sample.value) for sample in samples] == [({"handle": "mutual"}, 1)]
        for handle in public, admin, mutual:
            library.certreload_close(handle)
    print("valid as the client reads it")


def make_pair(path, name):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "90", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", path.with_suffix(".key"), "-out", path]
    subprocess.run(command, check=True, capture_output=True)
    return str(path)


def open_handle(library, name, chains, roots=None):
    options = ctypes.c_void_p(library.certreload_options_new())
    assert library.certreload_options_set_name(options, name) == OK
    for chain in chains:
        key = str(Path(chain).with_suffix(".key"))
        assert library.certreload_options_add_identity(options, chain.encode(), key.encode(), None) == OK
    if roots is not None:
        assert library.certreload_options_set_server_roots(options, roots.encode()) == OK
    handle = ctypes.c_void_p()
    assert library.certreload_open(options, ctypes.byref(handle)) == OK
    library.certreload_options_free(options)
    return handle


def page_of(library, handles):
    array = (ctypes.c_void_p * len(handles))(*[handle.value for handle in handles])

    def write(buffer, size, needed):
        if len(handles) == 1:
            return library.certreload_write_metrics(handles[0], buffer, ctypes.c_size_t(size), needed)
        return library.certreload_write_metrics_page(
            array, ctypes.c_size_t(len(handles)), buffer, ctypes.c_size_t(size), needed)

    needed = ctypes.c_size_t()
    small = ctypes.create_string_buffer(16)
    assert write(small, 16, ctypes.byref(needed)) == BUFFER_TOO_SMALL
    assert small.value == b""
    buffer = ctypes.create_string_buffer(needed.value)
    assert write(buffer, needed.value, ctypes.byref(needed)) == OK
    return list(text_string_to_metric_families(buffer.value.decode()))


def check_families(families, expected=FAMILIES):
    assert {family.name: family.type for family in families} == expected, families
    assert len(families) == len(expected), "a family is introduced twice"
    for family in families:
        assert family.documentation.endswith("."), family.name
        series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(series) == len(set(series)), f"{family.name} has a series twice"


def check_one(families, common, chains):
    check_families(families)
    by_name = {family.name: family.samples for family in families}

    def value(family, **labels):
        found = [sample.value for sample in by_name[family] if sample.labels == {**common, **labels}]
        assert len(found) == 1, (family, labels, by_name[family])
        return found[0]

    assert value("certreload_reloads", result="failed") == 0
    assert value("certreload_generation") == 1
    assert value("certreload_health", state="ok") == 1
    assert value("certreload_watch_state", state="notified") == 1
    for chain, name in zip(chains, ["a.test", "b.test"]):
        one = {"identity": chain, "name": name}
        lifetime = value("certreload_not_after_timestamp_seconds", **one) - value(
            "certreload_not_before_timestamp_seconds", **one)
        assert lifetime == 90 * 24 * 3600, lifetime
        assert value("certreload_identity_health", state="ok", **one) == 1
        assert value("certreload_identity_health", state="stale", **one) == 0


main()
