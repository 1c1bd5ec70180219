"""The demo's second half: a server, a held connection, load, renewals, a table of what happened.

scripts/demo.sh builds the server and calls this. Every row of the table is checked before it is
printed; the first promise that is not kept ends the demo with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # leaves nothing beside the sources
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "load"))

from authority import Authority, Pair  # noqa: E402
from clients import Clients, Ledger, Probe, WrongPair  # noqa: E402
from rotation import BROKEN, GOOD, Site, replace_link, write  # noqa: E402
from server import Event, Server  # noqa: E402

# So long that no poll comes round: what goes live, went by the kernel's notification or a signal.
POLL_MS = 600_000
IN_TIME = 5.0  # seconds in which a renewal has to be live
REQUESTS_PER_ROW = 300
WIDTHS = (41, 15, 8, 15, 10)


class BrokenPromise(Exception):
    """Something was not as the table would have said."""


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    arguments = parse_arguments()
    if arguments.renew:
        return renew_by_hand(*arguments.renew)
    directory = Path(tempfile.mkdtemp(prefix="certreload-demo-"))
    demo = None
    try:
        demo = Demo(arguments.server, arguments.port, directory)
        demo.prove()
        if arguments.serve:
            demo.serve()
        else:
            print("\nTo play with it yourself: scripts/demo.sh --serve")
        demo.close()
        return 0
    except (BrokenPromise, WrongPair, RuntimeError, OSError) as trouble:
        print(f"\n{red('NOT AS PROMISED')}: {trouble}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if demo:
            demo.abandon()
        shutil.rmtree(directory, ignore_errors=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo.sh")
    parser.add_argument("--server", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--renew", nargs="+", metavar=("DIRECTORY", "METHOD"))
    arguments = parser.parse_args()
    if arguments.renew and len(arguments.renew) > 2:
        parser.error("--renew takes a directory and one method")
    return arguments


class Demo:
    """One server and all that is done to its certificate, row by row."""

    def __init__(self, program: Path, port: int, directory: Path):
        self.directory = directory
        self.authority = Authority.create(directory / "authority")
        self.site = Site(directory)
        self.ledger = Ledger()
        self.disk = self.new_pair()
        self.site.create(self.disk)
        self.server = Server(program, self.site.chain, self.site.key, port, POLL_MS)
        self.probe = Probe(self.server.port, self.authority.root, self.ledger)
        self.held = self.probe.connect()
        self.born = self.held.ask()
        self.ledger.note_answer(self.born, at_least=1)
        self.generation = self.born.generation
        self.clients = Clients(
            self.server.port, self.authority.root, self.ledger, workers=4, seed=1
        )
        self.times: list[float] = []
        self.requests_before = 0

    # --- the proof ------------------------------------------------------------------------------

    def prove(self) -> None:
        print(f"  server    https://localhost:{self.server.port}/ (pid {self.server.pid})")
        print("  held      one TLS connection, opened before anything changes")
        print("  load      4 clients: new TLS 1.2 and 1.3 connections, 1 to 20 requests on each\n")
        print_row("what was done", "new connections", "after", "held connection", "failed", bold)
        print("  " + "  ".join("-" * width for width in WIDTHS))
        self.row("start", None)
        self.renewal("renamed over, key first (a careful tool)", Site.rename_key_first)
        self.renewal("chain, 300 ms later the key (lego)", Site.lego, 0.3)
        self.renewal("cat > file, piece by piece (acme.sh)", Site.in_place, 0.1)
        self.renewal("links to archive/ made anew (certbot)", Site.certbot)
        self.same_bytes_behind_links("same bytes, moved behind ..data links")
        self.renewal("..data renamed over (Kubernetes)", Site.kubernetes)
        self.renewal("..data renamed over, once more", Site.kubernetes)
        self.renewal("renamed over, and kill -HUP", self.rename_and_hang_up)
        self.broken_pair_and_repair()
        self.clients.stop()
        self.check_promises()
        self.summarize()

    def renewal(self, what: str, method, pause: float = 0.0) -> None:
        pair = self.new_pair()
        method(self.site, pair, pause)
        self.disk = pair
        self.goes_live(what)

    def rename_and_hang_up(self, site: Site, pair: Pair, pause: float) -> None:
        site.rename_chain_first(pair, pause)
        self.server.hang_up()

    def same_bytes_behind_links(self, what: str) -> None:
        """Only names change, no content: that is not a renewal."""
        looked = int(self.probe.status()["unchanged"])
        volume = self.site.live / "..first"
        volume.mkdir()
        write(volume / self.site.chain.name, self.disk.chain)
        write(volume / self.site.key.name, self.disk.key)
        replace_link(self.site.live / "..data", volume.name)
        for path in (self.site.key, self.site.chain):
            replace_link(path, f"..data/{path.name}")
        self.probe.wait_for_status(
            lambda status: int(status["unchanged"]) > looked, "a look at the files", IN_TIME
        )
        self.stays(what)

    def broken_pair_and_repair(self) -> None:
        pair, other = self.new_pair(), self.authority.issue()
        self.site.rename_chain_first(Pair(pair.chain, other.key, pair.sha256))
        event = self.wait_for_failure()
        self.stays("broken: a key of another certificate")
        said = event.message.replace(f"{self.directory}/", "")
        print(dim(f"    the server says: {event.kind}: {said}"))
        if self.site.key.name not in event.message and self.site.chain.name not in event.message:
            raise BrokenPromise("the event of the failure names neither of the files")
        if self.probe.status()["health"] != "stale":
            raise BrokenPromise("with a broken pair on disk the health is not 'stale'")
        write(self.site.key, pair.key)
        self.disk = pair
        self.goes_live("repaired: the right key")

    def wait_for_failure(self) -> Event:
        """A broken pair may be a half-written one, so it takes seconds until it is reported."""
        deadline = time.monotonic() + 60
        while not (failed := self.server.events("reload-failed")):
            if time.monotonic() > deadline:
                raise BrokenPromise("the broken pair was not reported within a minute")
            self.held.ask()  # silent connections are let go
            time.sleep(0.1)  # between two looks
        return failed[0]

    # --- what is checked for each row -----------------------------------------------------------

    def goes_live(self, what: str) -> None:
        written = time.monotonic()
        answer = self.probe.wait_until_served(self.disk.sha256, IN_TIME)
        self.times.append(time.monotonic() - written)
        if answer.generation != self.generation + 1:
            raise BrokenPromise(f"{what}: one change made generation {answer.generation}")
        self.generation = answer.generation
        self.row(what, self.times[-1])

    def stays(self, what: str) -> None:
        self.row(what, None)

    def row(self, what: str, seconds: float | None) -> None:
        """After some load, asks a new connection and the held one, and prints what they say."""
        self.ledger.wait_for_requests(REQUESTS_PER_ROW)
        fresh, old = self.probe.ask(), self.held.ask()
        if fresh.generation != self.generation:
            raise BrokenPromise(f"{what}: new connections got generation {fresh.generation}")
        if old != self.born:
            raise BrokenPromise(f"{what}: the held connection was {self.born} and became {old}")
        requests, failed = self.ledger.requests, self.trouble()
        after = "-" if seconds is None else f"{seconds * 1000:.0f} ms"
        ratio = f"{len(failed)} of {requests - self.requests_before}"
        self.requests_before = requests
        print_row(what, brief(fresh), after, brief(old), ratio, red if failed else green)
        if failed:
            raise BrokenPromise(f"{what}: {failed[0]}")

    def check_promises(self) -> None:
        if self.trouble():
            raise BrokenPromise(self.trouble()[0])
        status = self.probe.status()
        if status["health"] != "ok":
            raise BrokenPromise(f"at the end the health is {status['health']}")
        if self.probe.ask().certificate != Pair.fingerprint_of(self.site.chain.read_bytes()):
            raise BrokenPromise("at the end another certificate is served than is on disk")
        # The first is of opening; the last may be told a moment after its generation serves.
        self.server.wait_for_event("reloaded", self.generation, IN_TIME)
        told = [event.generation for event in self.server.events("reloaded")]
        if told != list(range(1, self.generation + 1)):
            raise BrokenPromise(f"each renewal has to be reported once, in order; it was {told}")
        if len(self.server.events("reload-failed")) != 1:
            raise BrokenPromise("the server did not report the broken pair exactly once")

    def summarize(self) -> None:
        ledger = self.ledger
        milliseconds = sorted(round(seconds * 1000) for seconds in self.times)
        print(
            f"\n{green('All as promised.')} {len(self.times)} renewals, live after "
            f"{milliseconds[0]} to {milliseconds[-1]} ms; one broken pair never served; "
            f"no restart, no connection dropped.\n"
            f"{bold(f'{ledger.requests} requests over {ledger.connections} connections, ')}"
            f"{bold(f'failed {len(ledger.failures)}, wrong pairs {len(ledger.wrong_pairs)}')}"
        )

    def trouble(self) -> list[str]:
        return self.ledger.failures + self.ledger.wrong_pairs

    def new_pair(self) -> Pair:
        pair = self.authority.issue()
        self.ledger.allow(pair.sha256)
        return pair

    # --- afterwards -----------------------------------------------------------------------------

    def serve(self) -> None:
        url = f"https://localhost:{self.server.port}/"
        renew = f"scripts/demo.sh --renew {self.directory}"
        print(
            f"\nThe server goes on until Ctrl-C, which also removes {self.directory}.\n\n"
            f"  curl      curl --cacert {self.authority.root} {url}\n"
            f"  browser   {url} (import {self.authority.root}, or pass the warning)\n"
            f"  status    curl --cacert {self.authority.root} {url}status\n"
            f"  renew     {renew}\n"
            f"            {renew} certbot (or {', '.join(GOOD)})\n"
            f"  break     {renew} wrong-key (or {', '.join(BROKEN)})\n"
            f"  SIGHUP    kill -HUP {self.server.pid}\n\n"
            f"What the server says from now on:",
            flush=True,
        )
        self.server.on_event = lambda event: print(
            f"  event {event.kind} generation {event.generation}: {event.message}", flush=True
        )
        try:
            code = self.server.process.wait()
            raise BrokenPromise(f"the server ended by itself with {code}")
        except KeyboardInterrupt:
            print("\nstopping")

    def close(self) -> None:
        self.held.__exit__()
        code = self.server.stop()
        if code != 0:
            raise BrokenPromise(f"the server ended with {code} after SIGTERM")

    def abandon(self) -> None:
        self.clients.stop()
        self.server.kill()


def renew_by_hand(directory: str, method: str = "rename-key-first") -> int:
    methods = {**GOOD, **BROKEN}
    authority = Path(directory) / "authority"
    if method not in methods:
        print(f"no such method: {method}; there are {', '.join(methods)}", file=sys.stderr)
        return 2
    if not authority.is_dir():
        print(f"{directory} is not the directory of a demo that serves", file=sys.stderr)
        return 2
    pair = Authority(authority).issue()
    methods[method](Site(Path(directory)), pair)
    print(f"{method}: " + (pair.sha256 if method in GOOD else "the pair on disk is broken now"))
    return 0


def brief(answer) -> str:
    return f"gen {answer.generation:<2} {answer.certificate[:8]}"


def print_row(what: str, fresh: str, after: str, held: str, failed: str, paint) -> None:
    cells = (
        f"{what:<{WIDTHS[0]}}", f"{fresh:<{WIDTHS[1]}}", f"{after:>{WIDTHS[2]}}",
        f"{held:<{WIDTHS[3]}}", paint(f"{failed:>{WIDTHS[4]}}"),
    )
    print("  " + "  ".join(cells).rstrip(), flush=True)


def on_colour_terminal() -> bool:
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    return wanted and sys.stdout.isatty()


def painter(code: str):
    return lambda text: f"\033[{code}m{text}\033[0m" if on_colour_terminal() else text


bold, dim, red, green = painter("1"), painter("2"), painter("31"), painter("32")

if __name__ == "__main__":
    sys.exit(main())
