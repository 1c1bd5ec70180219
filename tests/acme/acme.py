"""Real ACME: lego, certbot and dehydrated renew from a real authority, and the server follows.

The authority is pebble, on a loopback address. Each tool issues and renews short-lived certificates
into the places that it uses by default; the server was told these places and runs with the
library's defaults. No hook tells it of a renewal, and no signal.

CERTRELOAD_EXAMPLES_DIR names the directory that holds the built https_server.

SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True  # leaves nothing beside the sources

from pebble import Pebble  # noqa: E402
from tools import Certbot, Dehydrated, Lego, Renewal  # noqa: E402
from visitors import PATIENCE, Visitors  # noqa: E402

from server import Server  # noqa: E402

LIFETIME = 300  # seconds that a certificate is valid: more than a renewal takes on a busy machine
BRIEF_LIFETIME = 2  # seconds, of one that is to be expired
LIVE_WITHIN = 3.0  # seconds from the last write; well before the next poll
PROGRAMS = ("pebble", "lego", "certbot", "dehydrated", "curl", "openssl")
SKIPPED = 77


def main() -> int:
    """Runs the tests that are named, or all of them; side by side, as the tools mostly wait."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        print(f"NOT TESTED: renewals by ACME clients: not installed: {', '.join(missing)}")
        return SKIPPED
    started = time.monotonic()
    names = sys.argv[1:] or [case.__name__ for case in (*Followed.__subclasses__(), LinksBack)]
    with ThreadPoolExecutor(len(names)) as pool:
        good = list(pool.map(run_test_case, names))
    print(f"acme: {'ok' if all(good) else 'FAILED'}, {time.monotonic() - started:.0f} s")
    return 0 if all(good) else 1


def run_test_case(name: str) -> bool:
    suite = unittest.defaultTestLoader.loadTestsFromName(name, sys.modules[__name__])
    said = io.StringIO()
    result = unittest.TextTestRunner(said, verbosity=2).run(suite)
    print(said.getvalue(), end="", flush=True)
    return result.wasSuccessful() and result.testsRun > 0


class Acme(unittest.TestCase):
    """A place to work in, an authority, and what every test checks of a server that follows."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="certreload-acme-")
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)

    def start_pebble(self, name: str, lifetime: int) -> Pebble:
        pebble = Pebble(self.directory / name, lifetime, web=self.directory / "web")
        self.addCleanup(pebble.stop)
        return pebble

    def start_server(self, tool) -> Server:
        server = Server(
            Path(os.environ["CERTRELOAD_EXAMPLES_DIR"], "https_server"), tool.chain, tool.key)
        self.addCleanup(server.kill)
        server.wait_for_event("reloaded", 1, PATIENCE)  # that of opening
        return server

    def start_visitors(self, server: Server, tool, *roots: Path) -> Visitors:
        visitors = Visitors(server.port, tool.name, list(roots))
        self.addCleanup(visitors.stop)
        return visitors

    def renew_and_follow(self, server, visitors, renewal: Renewal, tool) -> float:
        """Returns the seconds from the last write until a client was shown the new certificate."""
        before, old_key = fingerprint(tool.chain), tool.key.read_bytes()
        reloads = len(server.events("reloaded"))
        tool.renew(renewal)
        after = fingerprint(tool.chain)
        self.assertNotEqual(before, after, "the tool has renewed nothing")
        self.assertEqual(old_key == tool.key.read_bytes(), renewal.same_key)
        self.assertEqual(algorithm_of(tool.key), renewal.key)

        latency = visitors.wait_until_shown(after).done - tool.last_written()
        self.assertLess(latency, LIVE_WITHIN)
        self.check_with_other_clients(server.port, tool, after)
        visitors.wait_for_more(20)
        self.check_handshakes(visitors, before, after)
        server.wait_for_event("reloaded", reloads + 1, PATIENCE)
        self.check_events(server, reloads + 1)
        return latency

    def check_handshakes(self, visitors: Visitors, before: str, after: str) -> None:
        """All good; all old or new; and whoever came after the new one was shown got it as well."""
        self.assertEqual(visitors.troubles, [])
        seen = visitors.take()
        self.assertLessEqual({one.certificate for one in seen}, {before, after})
        live = min(one.done for one in seen if one.certificate == after)
        late = [one for one in seen if one.certificate == before and one.began > live]
        self.assertEqual(late, [])

    def check_events(self, server: Server, reloads: int) -> None:
        told = [event.generation for event in server.events("reloaded")]
        self.assertEqual(told, list(range(1, reloads + 1)))
        self.assertEqual(server.events("reload-failed"), [])

    def check_with_other_clients(self, port: int, tool, certificate: str) -> None:
        self.assertIn(f"certificate {certificate}\n", curl(port, tool))
        for version in ("-tls1_2", "-tls1_3"):
            done = subprocess.run(
                ["openssl", "s_client", version, "-connect", f"127.0.0.1:{port}", "-CAfile",
                 tool.pebble.root,
                 "-servername", tool.name, "-verify_hostname", tool.name, "-verify_return_error"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(fingerprint_of(done.stdout), certificate)

    def finish(self, server: Server, visitors: Visitors, tool, reloads: int) -> None:
        """Nothing came after the last reload, and the server ends in order."""
        visitors.stop()
        looks = int(status(server, tool)["unchanged"])
        server.hang_up()  # only now: whatever is still on its way comes before this look
        self.wait_for_status(server, tool, lambda now: int(now["unchanged"]) > looks)
        self.check_events(server, reloads)
        self.assertEqual(server.stop(), 0)

    def wait_for_status(self, server: Server, tool, satisfied) -> None:
        deadline = time.monotonic() + PATIENCE
        while not satisfied(now := status(server, tool)):
            self.assertLess(time.monotonic(), deadline, f"the status stays {now}")
            time.sleep(0.02)  # between two looks


class Followed:
    """What holds for each of the tools. The subclasses below name it."""

    tool = None

    def test_every_renewal_goes_live_as_one_reload(self):
        # G1, G2, G4, G5: within the bound, whole pairs, nothing half-written, nothing twice.
        name = self.tool.__name__.lower()
        pebble = self.start_pebble("pebble", LIFETIME)
        tool = self.tool(f"{name}.acme.test", self.directory / "tool", pebble)
        tool.issue()
        server = self.start_server(tool)
        visitors = self.start_visitors(server, tool, pebble.root)
        visitors.wait_until_shown(fingerprint(tool.chain))
        latencies = []
        for renewal in tool.renewals:
            try:
                latencies.append(self.renew_and_follow(server, visitors, renewal, tool))
            except AssertionError as failure:
                raise AssertionError(f"renewal with {renewal.what}: {failure}") from None
        self.finish(server, visitors, tool, 1 + len(tool.renewals))
        print(f"acme: {name}: {len(latencies)} renewals followed, {visitors.count} handshakes "
              f"verified, slowest {max(latencies) * 1000:.0f} ms from the last write to a client",
              flush=True)


class LegoIsFollowed(Followed, Acme):
    tool = Lego


class CertbotIsFollowed(Followed, Acme):
    tool = Certbot


class DehydratedIsFollowed(Followed, Acme):
    tool = Dehydrated


class LinksBack(Acme):
    """Certbot keeps old certificates, so its links can be made to point at one."""

    def test_an_expired_certificate_is_refused_while_a_valid_one_serves(self):
        # G15, and G3: the old one serves, and the host is told why.
        brief = self.start_pebble("brief", BRIEF_LIFETIME)
        lasting = self.start_pebble("lasting", LIFETIME)
        tool = Certbot("certbot.acme.test", self.directory / "tool", brief)
        tool.issue()
        tool.move_to(lasting)
        self.wait_until_expired(tool.archived_chain(1))
        valid = fingerprint(tool.chain)
        server = self.start_server(tool)
        visitors = self.start_visitors(server, tool, lasting.root)
        visitors.wait_until_shown(valid)

        tool.point_links_at(1)
        failure = server.wait_for_event("reload-failed", 1, PATIENCE)
        self.assertEqual(failure.generation, 1)
        self.assertIn("expired", failure.message)
        self.assertIn(str(tool.chain), failure.message)
        self.check_with_other_clients(server.port, tool, valid)

        tool.point_links_at(2)
        self.wait_for_status(server, tool, lambda now: now["health"] != "stale")
        visitors.wait_for_more(20)
        visitors.stop()
        self.assertEqual(visitors.troubles, [])
        self.assertEqual({one.certificate for one in visitors.take()}, {valid})
        self.assertEqual(len(server.events("reloaded")), 1)
        self.assertEqual(len(server.events("reload-failed")), 1)
        self.assertEqual(server.stop(), 0)
        print(f"acme: an expired one refused, {visitors.count} handshakes verified", flush=True)

    def wait_until_expired(self, certificate: Path) -> None:
        """What is waited for is the time itself."""
        deadline = time.monotonic() + BRIEF_LIFETIME + PATIENCE
        while time.time() <= not_after(certificate):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


def status(server: Server, tool) -> dict[str, str]:
    body = curl(server.port, tool, "status")
    return dict(line.split(" ", 1) for line in body.splitlines())


def curl(port: int, tool, path: str = "") -> str:
    """Fetches as anybody would, trusting the authority alone."""
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", "--max-time", str(PATIENCE), "--noproxy",
         "*", "--cacert", tool.pebble.root, "--resolve", f"{tool.name}:{port}:127.0.0.1",
         f"https://{tool.name}:{port}/{path}"], capture_output=True, text=True, check=True).stdout


def fingerprint(chain: Path) -> str:
    return fingerprint_of(chain.read_text())


def fingerprint_of(text: str) -> str:
    """Of the first certificate in it, wherever that begins."""
    leaf = re.search("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf[0])).hexdigest()


def algorithm_of(key: Path) -> str:
    """RSA or EC."""
    text = openssl("pkey", "-in", key, "-noout", "-text_pub")
    return "EC" if "ASN1 OID" in text else "RSA"


def not_after(certificate: Path) -> float:
    text = openssl("x509", "-in", certificate, "-noout", "-enddate")
    return ssl.cert_time_to_seconds(text.strip().partition("=")[2])


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(
        ["openssl", *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
