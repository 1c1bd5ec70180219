"""An example server as a child process: where it listens, and the events that it prints."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

LISTENING = re.compile(r"listening on https://127\.0\.0\.1:(\d+) \(pid (\d+)\)")
EVENT = re.compile(r"event (\S+) generation (\d+): (.*)")
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Event:
    kind: str
    generation: int
    message: str


class Server:
    """Starts the program, waits until it listens, and collects what it prints."""

    def __init__(
        self, program: Path, chain: Path, key: Path, port: int = 0, poll_ms: int | None = None
    ):
        command = [str(program), "--cert", str(chain), "--key", str(key), "--port", str(port)]
        if poll_ms is not None:
            command += ["--poll", str(poll_ms)]
        # A session of its own: Ctrl-C is for us, and we end the server in order.
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            start_new_session=True, preexec_fn=die_with_parent,
        )
        self.port = 0
        self.on_event = lambda event: None
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: self.port or self._ended, timeout=60)
        if not self.port:
            self.kill()
            raise RuntimeError(f"{program} did not start: {' '.join(command)}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self, kind: str | None = None) -> list[Event]:
        with self._changed:
            return [event for event in self._events if kind in (None, event.kind)]

    def wait_for_event(self, kind: str, count: int, timeout: float) -> Event:
        """The `count`-th event of that kind, once it is there."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [event for event in self._events if event.kind == kind]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise RuntimeError(f"no event {kind} (number {count}) within {timeout:.0f} s")
                self._changed.wait(left)

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Ends the server as an init system would, and tells its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError("the server did not end within 60 s of SIGTERM") from None

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        with self.process.stdout as output:
            for line in output:
                self._note(line)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _note(self, line: str) -> None:
        listening, event = LISTENING.match(line), EVENT.match(line)
        with self._changed:
            if listening:
                self.port = int(listening[1])
            if event:
                self._events.append(Event(event[1], int(event[2]), event[3].strip()))
                self.on_event(self._events[-1])
            self._changed.notify_all()


def die_with_parent() -> None:
    """No server is left behind, even where a time limit ends this program by SIGKILL."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
