#!/usr/bin/env python3
"""An idle server sleeps: no thread of it makes a system call between two polls (G10).

usage: idle.py SERVER...
Each server is watched under strace with a poll interval of a day, and then of a second, after it has
served a client. Ends with 77 where strace is not to be had.
"""

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tracing import Files, calls_in, require_strace, traced

ONE_DAY = 86_400_000
POLL_SECONDS = 1
IDLE_SECONDS = 2
POLLS = 3
REST_SECONDS = 0.5  # between two looks at whether anything happens
PATIENCE = 30
WORKER = "certreload"
READER = "certreload-evt"
LISTENING = re.compile(r"listening on https://127\.0\.0\.1:(\d+) \(pid (\d+)\)")


def main():
    require_strace()
    with ThreadPoolExecutor() as pool:
        for words in pool.map(watch, sys.argv[1:]):
            print(words)


def watch(program):
    with Files() as files, Server(program, files, ONE_DAY) as server:
        asleep = nothing_happens(server)
    with Files() as files, Server(program, files, POLL_SECONDS * 1000) as server:
        polling = nothing_but_polls_happens(server)
    return f"{Path(program).name}:\n  {asleep}\n  {polling}"


def nothing_happens(server):
    begun = server.rest()
    time.sleep(IDLE_SECONDS)  # not for something to happen in, but for nothing to happen in
    calls = server.calls_since(begun)
    check(not calls, f"{len(calls)} system calls in {IDLE_SECONDS} s", calls)
    threads = ", ".join(sorted(server.threads.values()))
    return f"polls once a day: no system call in {IDLE_SECONDS} s by any of {threads}"


def nothing_but_polls_happens(server):
    """The worker wakes once for each poll, lets the delivery thread read, and waits: all that is
    between two of its waits is one poll. No other thread does anything."""
    begun = time.time()
    time.sleep((POLLS + 1) * POLL_SECONDS)
    calls = server.calls_since(begun)
    others = [call for call in calls if server.threads.get(call.thread) not in (WORKER, READER)]
    check(not others, "not only the worker and the thread that reads", others)
    waits = [i for i, call in enumerate(calls) if call.name == "poll"]
    for wait in waits:
        # The last one has no result yet.
        rest = calls[wait].rest
        check("(Timeout)" in rest or " = " not in rest, "woken by something else than the time", calls)
    check(POLLS <= len(waits) <= POLLS + 2, f"{len(waits)} waits", calls)
    one = calls[waits[-2] + 1:waits[-1]]
    check(one, "it waited again without a look", calls)
    counts = sorted(Counter(call.name for call in one).items())
    return (f"polls every {POLL_SECONDS} s: {len(waits)} in {(POLLS + 1) * POLL_SECONDS} s, each of "
            f"{len(one)} system calls: " + ", ".join(f"{count} {name}" for name, count in counts))


def check(is_so, what, calls):
    if not is_so:
        lines = (f"{call.at:.3f} {call.thread} {call.name}({call.rest}" for call in calls[:40])
        sys.exit("\n".join([f"FAILED: {what}:", *lines]))


class Server:
    """An example server under strace, which has served one client."""

    def __init__(self, program, files, poll_ms):
        command = [program, "--cert", files.chain, "--key", files.key, "--port", 0, "--poll", poll_ms]
        self._trace = files.trace
        self._process = subprocess.Popen(
            traced(files.trace, command), stdout=subprocess.PIPE, text=True)
        self.pid = None

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        check(self._end() == 0, "the server did not end well", [])

    def _start(self):
        for line in self._process.stdout:
            listening = LISTENING.search(line)
            if listening:
                self.pid = int(listening[2])
                serve_once(int(listening[1]))
                self.rest()
                self.threads = self._threads()
                return
        check(False, "the server did not start", [])

    def _end(self):
        if self.pid is not None and self._process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def rest(self):
        """Waits until what the client and the start have set off is done; tells since when."""
        begun, size = time.time(), -1
        while size != self._trace.stat().st_size:
            check(time.time() < begun + PATIENCE, "never at rest", self.calls_since(begun))
            size = self._trace.stat().st_size
            time.sleep(REST_SECONDS)
        return time.time()

    def calls_since(self, begun):
        """strace writes each line when the call returns, but buffers none."""
        return [call for call in calls_in(self._trace) if call.at >= begun]

    def _threads(self):
        """A thread that ends between the listing and the look is not counted."""
        threads = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                threads[int(task.name)] = (task / "comm").read_text().strip()
        return threads


def serve_once(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
        with context.wrap_socket(plain) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while client.recv(4096):
                pass


if __name__ == "__main__":
    main()
