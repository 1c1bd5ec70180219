#!/usr/bin/env python3
"""A connection takes the system calls that rustls takes, and no other for certreload.

usage: connections.py PROGRAM, which connections.c makes
Ends with 77 where strace is not to be had.
"""

import subprocess
import sys
from collections import Counter

from tracing import Files, calls_in, require_strace, traced

PEER = "rustls"
WAYS = ["certreload", "config", "generation"]


def main():
    require_strace()
    program = sys.argv[1]
    with Files() as files:
        expected = count(files, program, PEER)
        print(f"200 connections of rustls alone: {tell(expected)}")
        for way in WAYS:
            found = count(files, program, way)
            print(f"200 by way of {way}: {tell(found)}")
            if found != expected:
                sys.exit("FAILED: other system calls than without certreload")


def count(files, program, way):
    """Of the thread that makes the connections, between its two marks."""
    subprocess.run(traced(files.trace, [program, way, files.chain, files.key]), check=True)
    calls = calls_in(files.trace)
    begin, end = (find(calls, mark) for mark in ("begin", "end"))
    thread = calls[begin].thread
    return Counter(call.name for call in calls[begin + 1:end] if call.thread == thread)


def find(calls, mark):
    found = [i for i, call in enumerate(calls) if call.name == "write" and f'-1, "{mark}"' in call.rest]
    assert len(found) == 1, (mark, found)
    return found[0]


def tell(calls):
    return ", ".join(f"{count} {name}" for name, count in sorted(calls.items())) or "no system call"


if __name__ == "__main__":
    main()
