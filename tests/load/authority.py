"""A throw-away certificate authority and what it signs, made with the openssl command."""

from __future__ import annotations

import hashlib
import secrets
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

EXTENSIONS = """
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Pair:
    """What a renewal brings: leaf and intermediate in one PEM, the key in another."""

    chain: bytes
    key: bytes
    sha256: str

    @staticmethod
    def fingerprint_of(chain: bytes) -> str:
        """SHA-256 of the first certificate."""
        leaf = chain.partition(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----"
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.decode())).hexdigest()


class Authority:
    """A root that clients trust, and an intermediate that signs: as public authorities do it."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.root = directory / "ca.pem"

    @classmethod
    def create(cls, directory: Path) -> Authority:
        directory.mkdir(parents=True)
        authority = cls(directory)
        (directory / "extensions.cnf").write_text(EXTENSIONS)
        authority._sign("ca", "/CN=certreload throw-away root", "root", signer=None)
        authority._sign("intermediate", "/CN=certreload throw-away issuer", "intermediate", "ca")
        return authority

    def issue(self) -> Pair:
        name = f"leaf-{secrets.token_hex(8)}"
        self._sign(name, "/CN=localhost", "leaf", "intermediate")
        leaf = (self.directory / f"{name}.pem").read_bytes()
        issuer = (self.directory / "intermediate.pem").read_bytes()
        key = (self.directory / f"{name}.key").read_bytes()
        return Pair(leaf + issuer, key, Pair.fingerprint_of(leaf))

    def issue_many(self, count: int) -> list[Pair]:
        with ThreadPoolExecutor(max_workers=4) as pool:
            return list(pool.map(lambda _: self.issue(), range(count)))

    def _sign(self, name: str, subject: str, section: str, signer: str | None) -> None:
        request = self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", subject, "-keyout", f"{name}.key",
        )
        if signer is None:
            by = ["-signkey", f"{name}.key"]
        else:
            by = ["-CA", f"{signer}.pem", "-CAkey", f"{signer}.key"]
        self._openssl(
            "x509", "-req", "-sha256", "-days", "30", "-set_serial", f"0x{secrets.token_hex(15)}",
            "-extfile", "extensions.cnf", "-extensions", section, *by, "-out", f"{name}.pem",
            stdin=request,
        )

    def _openssl(self, *arguments: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.directory, input=stdin, capture_output=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.decode().strip()}")
        return done.stdout
