"""Pebble, the ACME server for tests: a certificate authority of our own, on a loopback address.

It validates http-01 challenges for real when a name is first asked for, and as public authorities
do, it asks no more while that is fresh. Certificates last as long as the test says.
"""

from __future__ import annotations

import json
import os
import random
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from challenges import Challenges
from names import Names

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "load"))
from server import die_with_parent  # noqa: E402

PATIENCE = 60.0  # seconds; generous: only a hang takes this long
SETTINGS = {
    "PEBBLE_VA_NOSLEEP": "1",  # no random pauses before a validation
    "PEBBLE_WFE_NONCEREJECT": "0",  # no nonce refused at random: dehydrated does not try again
    "PEBBLE_AUTHZREUSE": "100",  # always, where the default is a coin
    "PEBBLE_CHAIN_LENGTH": "2",  # intermediates
}


class Pebble:
    """The authority, the name server that it asks, and the web server that it validates at."""

    def __init__(self, directory: Path, lifetime: int, web: Path):
        directory.mkdir(parents=True)
        self.directory = directory
        # An address of its own: whatever else runs here, its ports are free.
        self.address = ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])
        self.listener_root = directory / "listener.pem"  # verifies its HTTPS interface
        self.root = directory / "root.pem"  # verifies the certificates that it issues
        self.names = Names(self.address)
        self.challenges = Challenges(self.address, web)
        self.log = open(directory / "pebble.log", "w")
        self._process = None
        try:
            self._start(lifetime)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # it keeps nothing
            self._process.wait()
        self.names.close()
        self.challenges.close()
        self.log.close()

    def _start(self, lifetime: int) -> None:
        acme, management = free_port(self.address), free_port(self.address)
        self.url = f"https://{self.address}:{acme}/dir"
        key = self._make_listener_certificate()
        config = self.directory / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"{self.address}:{acme}",
            "managementListenAddress": f"{self.address}:{management}",
            "certificate": str(self.listener_root),
            "privateKey": str(key),
            "httpPort": self.challenges.port,
            "tlsPort": 0,
            "certificateValidityPeriod": lifetime,
        }}))
        self._process = subprocess.Popen(
            ["pebble", "-config", config, "-dnsserver", self.names.server],
            env={**os.environ, **SETTINGS}, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, start_new_session=True, preexec_fn=die_with_parent,
        )
        self.root.write_bytes(self._get(f"https://{self.address}:{management}/roots/0"))
        self._get(self.url)

    def _make_listener_certificate(self) -> Path:
        key = self.directory / "listener.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=pebble", "-addext",
             f"subjectAltName=IP:{self.address}", "-keyout", key, "-out", self.listener_root],
            check=True, capture_output=True)
        return key

    def _get(self, url: str) -> bytes:
        """What is there, as soon as pebble answers."""
        trusting = ssl.create_default_context(cafile=str(self.listener_root))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting))
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with opener.open(url, timeout=PATIENCE) as answer:
                    return answer.read()
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = Path(self.log.name).read_text()
                    raise RuntimeError(f"no answer from pebble: {error}; it said: {said}") from None
            time.sleep(0.02)  # between two looks


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]
