"""Programs under strace: who made which system call, and when."""

import re
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

# A call that did not return before another thread's made a line is shown in two, of which the second
# is none of its own.
CALL = re.compile(r"(\d+) +(\d+\.\d+) (\w+)\((.*)")
Call = namedtuple("Call", "thread at name rest")


def require_strace():
    try:
        subprocess.run(["strace", "-o", "/dev/null", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"NOT TESTED: strace is not installed, or may not trace here ({error})")
        sys.exit(77)


def traced(trace, command):
    """The command that runs another one so that its calls go to the file `trace`."""
    return ["strace", "-f", "-ttt", "-s", "64", "-e", "signal=none", "-o", str(trace), *map(str, command)]


def calls_in(trace):
    lines = (CALL.match(line) for line in Path(trace).read_text().splitlines())
    return [Call(int(m[1]), float(m[2]), m[3], m[4]) for m in lines if m]


class Files:
    """A pair to serve, and a directory for the trace, which the library must not have to watch."""

    def __enter__(self):
        self._directories = tempfile.TemporaryDirectory(), tempfile.TemporaryDirectory()
        pair, trace = (Path(directory.name) for directory in self._directories)
        self.chain, self.key, self.trace = pair / "chain.pem", pair / "key.pem", trace / "trace"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        command += ["-nodes", "-days", "90", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", self.key, "-out", self.chain]
        subprocess.run(command, check=True, capture_output=True)
        return self

    def __exit__(self, *_):
        for directory in self._directories:
            directory.cleanup()
