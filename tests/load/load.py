#!/usr/bin/env python3
"""Renews a server's certificate hundreds of times under load, and checks every single answer.

Workers open TLS connection after connection and send keep-alive requests. Meanwhile the pair is
renewed in all the ways that tools do it, and broken now and then. Not one request may fail, no
connection may be shown a certificate other than its own, none that was never whole on disk, none
older than one already served; every renewal must go live as exactly one generation.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True  # leaves nothing beside the sources

from authority import Authority, Pair  # noqa: E402
from clients import Clients, Ledger, Probe  # noqa: E402
from rotation import BROKEN, GOOD, PENDING, Site  # noqa: E402
from server import Server  # noqa: E402

PAIRS = 40
LONGEST_PAUSE = 0.02  # seconds between the steps of one writer
EVERY_MENDED = 7  # renewals from one broken pair that is mended at once to the next
EVERY_HELD = 50  # renewals from one broken pair that stays until it is reported to the next


def main() -> int:
    arguments = parse_arguments()
    print(f"load: seed {arguments.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="certreload-load-") as directory:
        run = Run(arguments, Path(directory))
        try:
            trouble = run.everything()
        finally:
            run.server.kill()
    for line in trouble:
        print(f"load: {line}", file=sys.stderr)
    print(run.summary("FAILED" if trouble else "ok"))
    return 1 if trouble else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=Path, required=True, help="an example server's program")
    parser.add_argument("--renewals", type=int, default=200, help="default %(default)s")
    parser.add_argument("--workers", type=int, default=4, help="threads, default %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="default: any")
    parser.add_argument("--poll", type=int, help="the server's poll interval in ms")
    parser.add_argument(
        "--storm", type=int, default=0, metavar="N", help="also send N SIGHUPs while renewing"
    )
    return parser.parse_args()


class Run:
    """One server, its clients, and everything that happens to its files."""

    def __init__(self, arguments: argparse.Namespace, directory: Path):
        self.arguments = arguments
        self.rng = random.Random(arguments.seed)
        self.authority = Authority.create(directory / "authority")
        self.pairs = self.authority.issue_many(min(PAIRS, arguments.renewals + 1))
        self.never = self.authority.issue()  # stands on disk only broken: nobody may ever see it
        self.ledger = Ledger()
        self.site = Site(directory / "site")
        self.current = self.pairs[0]
        self.ledger.allow(self.current.sha256)
        self.site.create(self.current)
        self.server = Server(
            arguments.server, self.site.chain, self.site.key, poll_ms=arguments.poll
        )
        self.probe = Probe(self.server.port, self.authority.root, self.ledger)
        self.generation = 1
        self.held = 0
        self.signals = 0
        self.slowest = 0.0
        self.started = time.monotonic()

    def everything(self) -> list[str]:
        """Does it all, and tells what was not as promised."""
        arguments = self.arguments
        clients = Clients(
            self.server.port, self.authority.root, self.ledger, arguments.workers, arguments.seed
        )
        trouble = []
        try:
            for number, method in enumerate(self.methods(), start=1):
                storm = threading.Thread(target=self.blow, args=(self.share_of_storm(number),))
                storm.start()
                try:
                    self.break_now_and_then(number)
                    self.renew(method)
                finally:
                    storm.join()
                if self.ledger.failures or self.ledger.wrong_pairs:
                    break
            trouble += self.check_at_rest()
        except Exception as failure:
            trouble.append(f"{type(failure).__name__}: {failure}")
        finally:
            clients.stop()
        trouble += [f"failed: {text}" for text in self.ledger.failures[:5]]
        trouble += [f"wrong pair: {text}" for text in self.ledger.wrong_pairs[:5]]
        code = self.server.stop()
        if code != 0:
            trouble.append(f"the server ended with {code} after SIGTERM")
        return trouble

    def methods(self):
        """As many as there are to be renewals; each in turn, in ever new order."""
        names: list[str] = []
        for _ in range(self.arguments.renewals):
            if not names:
                names = self.rng.sample(list(GOOD), len(GOOD))
                # Twice: only where the volume is mounted already is its `..data` swapped in one go.
                names.insert(names.index("kubernetes"), "kubernetes")
            yield names.pop()

    def renew(self, method: str) -> None:
        pair = self.rng.choice([pair for pair in self.pairs if pair is not self.current])
        self.ledger.allow(pair.sha256)
        GOOD[method](self.site, pair, self.rng.uniform(0, LONGEST_PAUSE))
        written = time.monotonic()
        try:
            answer = self.probe.wait_until_served(pair.sha256)
        except RuntimeError as failure:
            raise RuntimeError(f"renewal by {method}: {failure}") from None
        self.slowest = max(self.slowest, time.monotonic() - written)
        if answer.generation != self.generation + 1:
            raise RuntimeError(
                f"renewal by {method}: generation {self.generation} became {answer.generation}, "
                "and not the one after it"
            )
        self.generation, self.current = answer.generation, pair

    def break_now_and_then(self, number: int) -> None:
        """The renewal that follows mends it: at once, or when the failure has been reported."""
        # Under a storm the clock of a failure is the storm's; what is waited for then is no matter.
        if number % EVERY_HELD == 0 and not self.arguments.storm:
            self.held += 1
            kind = self.rng.choice(list(BROKEN))
            BROKEN[kind](self.site, self.never)
            self.server.wait_for_event("reload-failed", self.held, timeout=60)
            self.probe.wait_until_served(self.current.sha256)
        elif number % EVERY_MENDED == 0:
            PENDING[self.rng.choice(list(PENDING))](self.site, self.never)

    def share_of_storm(self, number: int) -> int:
        whole, renewals = self.arguments.storm, self.arguments.renewals
        return whole * number // renewals - whole * (number - 1) // renewals

    def blow(self, share: int) -> None:
        for _ in range(share):
            os.kill(self.server.pid, signal.SIGHUP)
        self.signals += share

    def check_at_rest(self) -> list[str]:
        """What is served at the end is what is on disk, and the server thinks itself well."""
        trouble = []
        served, on_disk = self.probe.ask().certificate, fingerprint_on_disk(self.site)
        if served != on_disk:
            trouble.append(f"at the end {served[:8]} is served, and {on_disk[:8]} is on disk")
        status = self.probe.status()
        if status["health"] != "ok":
            trouble.append(f"at the end the health is {status['health']}")
        # The first is of opening; the last may be told a moment after its generation serves.
        self.server.wait_for_event("reloaded", self.generation, timeout=30)
        told = [event.generation for event in self.server.events("reloaded")]
        if told != list(range(1, self.generation + 1)):
            trouble.append(f"events of generations 1 to {self.generation} were told as {told}")
        reported = len(self.server.events("reload-failed"))
        if reported != self.held:
            trouble.append(f"{self.held} broken pairs were left to stand, {reported} were reported")
        return trouble

    def summary(self, verdict: str) -> str:
        ledger = self.ledger
        return (
            f"load: {verdict}: {self.generation - 1} renewals, {self.held} broken pairs held, "
            f"{self.signals} SIGHUPs, {ledger.connections} connections, "
            f"{ledger.requests} requests, failed {len(ledger.failures)}, "
            f"wrong pairs {len(ledger.wrong_pairs)}, "
            f"slowest renewal {self.slowest * 1000:.0f} ms, "
            f"{time.monotonic() - self.started:.0f} s"
        )


def fingerprint_on_disk(site: Site) -> str:
    return Pair.fingerprint_of(site.chain.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
