"""lego, certbot and dehydrated, run as their manuals say, with the layout of files that each has.

None is given a hook, and none knows of the server.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pebble import Pebble

PATIENCE = 120.0  # seconds; generous: only a hang takes this long


@dataclass(frozen=True)
class Renewal:
    """What is asked of a renewal, and what of the key is to come of it."""

    what: str
    options: tuple[str, ...] = ()
    key: str = "EC"
    same_key: bool = False


class Tool:
    """An ACME client, and where it keeps what it was issued."""

    def __init__(self, name: str, directory: Path, pebble: Pebble):
        self.name = name
        self.directory = directory
        self.pebble = pebble
        directory.mkdir(parents=True)

    def run(self, *command: str | Path) -> None:
        # Nothing of the caller's: no proxy, no configuration of theirs.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LEGO_CA_CERTIFICATES": str(self.pebble.listener_root),
            "REQUESTS_CA_BUNDLE": str(self.pebble.listener_root),
            "CURL_CA_BUNDLE": str(self.pebble.listener_root),
        }
        done = subprocess.run(
            [*map(str, command)], cwd=self.directory, env=environment, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")

    def last_written(self) -> float:
        """When the last of what the server was told was written: a file, or a link to it."""
        paths = (self.chain, self.key)
        return max(at for path in paths for at in (path.stat().st_ctime, path.lstat().st_ctime))


class Lego(Tool):
    """Writes both files in place, the chain first, into `.lego/certificates`."""

    renewals = (
        Renewal("a new key"),
        Renewal("the same key", ("--reuse-key",), same_key=True),
        Renewal("an RSA key", ("--key-type=rsa2048",), key="RSA"),
        Renewal("that RSA key", ("--key-type=rsa2048", "--reuse-key"), key="RSA", same_key=True),
        Renewal("a P-384 key", ("--key-type=ec384",)),
    )

    @property
    def chain(self) -> Path:
        return self.directory / ".lego" / "certificates" / f"{self.name}.crt"

    @property
    def key(self) -> Path:
        return self.chain.with_suffix(".key")

    def issue(self) -> None:
        self._lego((), "run")

    def renew(self, renewal: Renewal) -> None:
        of_renew = [option for option in renewal.options if option == "--reuse-key"]
        of_lego = [option for option in renewal.options if option not in of_renew]
        self._lego(of_lego, "renew", "--no-random-sleep", *of_renew)

    def _lego(self, options, *command: str) -> None:
        self.run(
            "lego", "--server", self.pebble.url, "--accept-tos", "--email", "admin@acme.test",
            "--http", "--http.webroot", self.pebble.challenges.directory, "--domains", self.name,
            *options, *command)


class Certbot(Tool):
    """Writes numbered files into `archive`, and makes the links in `live` anew, one by one."""

    renewals = (
        Renewal("a new key"),
        Renewal("the same key", ("--reuse-key",), same_key=True),
        Renewal("the same key again", same_key=True),
        Renewal("an RSA key", ("--no-reuse-key", "--key-type=rsa"), key="RSA"),
        Renewal("another RSA key", key="RSA"),
    )

    @property
    def live(self) -> Path:
        return self.directory / "letsencrypt" / "live" / self.name

    @property
    def chain(self) -> Path:
        return self.live / "fullchain.pem"

    @property
    def key(self) -> Path:
        return self.live / "privkey.pem"

    def issue(self) -> None:
        self._certbot(
            "certonly", "--non-interactive", "--agree-tos", "--register-unsafely-without-email",
            "--server", self.pebble.url, "--webroot", "--webroot-path",
            self.pebble.challenges.directory, "--domain", self.name)

    def renew(self, renewal: Renewal) -> None:
        self._certbot("renew", "--no-random-sleep-on-renew", *renewal.options)

    def move_to(self, pebble: Pebble) -> None:
        """Renews from another authority, where an account is needed first."""
        self.pebble = pebble
        self._certbot(
            "renew", "--no-random-sleep-on-renew", "--agree-tos",
            "--register-unsafely-without-email", "--server", pebble.url)

    def archived_chain(self, number: int) -> Path:
        return self.directory / "letsencrypt" / "archive" / self.name / f"fullchain{number}.pem"

    def point_links_at(self, number: int) -> None:
        """As certbot itself does it: each link is removed and made again."""
        for kind in ("cert", "privkey", "chain", "fullchain"):
            link = self.live / f"{kind}.pem"
            link.unlink()
            link.symlink_to(Path("..", "..", "archive", self.name, f"{kind}{number}.pem"))

    def _certbot(self, *arguments: str | Path) -> None:
        self.run(
            "certbot", *arguments, "--config-dir", self.directory / "letsencrypt",
            "--work-dir", self.directory / "work", "--logs-dir", self.directory / "logs")


class Dehydrated(Tool):
    """Writes files with a timestamp in the name beside the links, and makes the links anew."""

    renewals = (
        Renewal("a new key"),
        Renewal("the same key", ("PRIVATE_KEY_RENEW=no",), same_key=True),
        Renewal("an RSA key", ("KEY_ALGO=rsa", "KEYSIZE=2048"), key="RSA"),
        Renewal("a P-256 key", ("KEY_ALGO=prime256v1",)),
    )

    @property
    def chain(self) -> Path:
        return self.directory / "certs" / self.name / "fullchain.pem"

    @property
    def key(self) -> Path:
        return self.directory / "certs" / self.name / "privkey.pem"

    def issue(self) -> None:
        (self.directory / "domains.txt").write_text(f"{self.name}\n")
        self._dehydrated((), "--register", "--accept-terms")
        self._dehydrated((), "--cron")

    def renew(self, renewal: Renewal) -> None:
        self._dehydrated(renewal.options, "--cron")

    def _dehydrated(self, settings, *arguments: str) -> None:
        config = self.directory / "config"
        config.write_text("\n".join((
            f'CA="{self.pebble.url}"', f'BASEDIR="{self.directory}"',
            f'WELLKNOWN="{self.pebble.challenges.tokens}"', *settings, "")))
        self.run("dehydrated", "--config", config, *arguments)
