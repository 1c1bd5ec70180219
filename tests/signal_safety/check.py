#!/usr/bin/env python3
"""What certreload_reload() can reach in the machine code of the library: one write(2), and no more (G9).

usage: check.py LIBRARY C_COMPILER, where LIBRARY is an optimised build: that is what hosts run, and one
for debugging carries checks that would end the process

Follows every jump and every call from the function's first instruction, into whatever is called. Red are:
a call of anything that is not in ALLOWED; a call whose target is only known at run time; a system call
or a trap in line; a loop or a recursion, because a lock that spins is one; and a library that looks
names up at the first call, because that work of the dynamic linker would be done in the handler.

Before that, it is shown that it can be red: cases.c is compiled once for each of its mistakes.
Ends with 77 where a tool is missing, or the processor is another one than what is understood here.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from machine_code import Library

ENTRY = "certreload_reload"

# All that may be called from outside the library, and why.
ALLOWED = {
    "write": "async-signal-safe by POSIX; on an eventfd that does not block",
    "getpid": "async-signal-safe by POSIX; in glibc a system call and no more",
    "__errno_location": "tells where this thread's errno is, so that it can be put back; in glibc an"
    " address in memory that each thread has from its start: no lock, no allocation",
}
# Instructions that leave the program in another way than by a call.
FORBIDDEN = {"syscall", "sysenter", "int", "int1", "int3", "into", "ud0", "ud1", "ud2", "hlt", "(bad)"}
JUMPS = re.compile(r"(jmp|j[a-z]+|loop[a-z]*)q?$")


def main():
    library, compiler = sys.argv[1:]
    for tool in "objdump", "readelf", "nm":
        if shutil.which(tool) is None:
            skip(f"{tool} is not installed")
    if "X86-64" not in run("readelf", "-h", library):
        skip("only the code of x86-64 is understood")
    every_mistake_is_seen(compiler)
    look = Look(Library(library))
    if look.complaints:
        print(*look.complaints[:30], sep="\n")
        sys.exit(f"FAILED: {ENTRY} is not proved to be async-signal-safe")
    print(f"{ENTRY}: {look.instructions} instructions in {len(look.done)} function(s), no loop;"
          f" calls {' and '.join(sorted(look.called))}")


def every_mistake_is_seen(compiler):
    """The first word after "MISTAKE" in cases.c names one; what follows has to be in the complaint."""
    cases = Path(__file__).with_name("cases.c")
    mistakes = re.findall(r"MISTAKE_(\w+): (.*) \*/", cases.read_text())
    with tempfile.TemporaryDirectory() as directory:
        for name, expected in [("NONE", None), *mistakes]:
            made = f"{directory}/{name}.so"
            binding = "lazy" if name == "LAZY" else "now"
            run(compiler, "-shared", "-fPIC", "-O2", f"-Wl,-z,{binding}", f"-DMISTAKE_{name}",
                "-o", made, str(cases))
            complaints = "\n".join(Look(Library(made)).complaints)
            if expected is None and complaints:
                sys.exit(f"FAILED: a good library is called bad: {complaints}")
            if expected is not None and expected not in complaints:
                sys.exit(f"FAILED: not seen: {name}; expected {expected!r} in: {complaints!r}")
    print(f"{len(mistakes)} kinds of mistake would be seen")


class Look:
    """Everything that can be reached from ENTRY, and what is wrong with it."""

    def __init__(self, library):
        self.library = library
        self.complaints = []
        self.called = set()
        self.instructions = 0
        self.done = set()
        if not library.binds_now:
            self.complaints.append("names are looked up at the first call (no BIND_NOW)")
        self.follow(library.functions[ENTRY], ())

    def follow(self, address, callers):
        name = self.library.name_of(address)
        if address in callers:
            self.complaints.append(f"{name}: recursion")
        if address in callers or address in self.done:
            return
        self.done.add(address)
        code = self.library.code_of(address)
        if code is None:
            self.complaints.append(f"{name}: not a function of the library whose end is known")
            return
        ways = {}
        waiting = [address]
        while waiting:
            at = waiting.pop()
            if at in ways:
                continue
            if at not in code:
                self.complaints.append(f"{name}: runs out of its code at {at:#x}")
                continue
            ways[at] = self.step(name, at, code, (*callers, address))
            waiting.extend(ways[at])
        self.instructions += len(ways)
        if has_circle(ways, address):
            self.complaints.append(f"{name}: a loop")

    def step(self, name, at, code, callers):
        """Where one instruction leads within its function; follows it where it leads out."""
        mnemonic, operands, after = code[at]
        if mnemonic in FORBIDDEN:
            self.complaints.append(f"{name}: {mnemonic}")
            return []
        if mnemonic.startswith("ret"):
            return []
        is_call, is_jump = mnemonic.startswith("call"), JUMPS.match(mnemonic)
        if not is_call and not is_jump:
            return [after]
        target = self.library.target_of(operands)
        inside = is_jump and target in code
        if not inside:
            self.leave(name, f"{mnemonic} {operands}", target, callers)
        onwards = [] if mnemonic.startswith("jmp") else [after]
        return [*onwards, target] if inside else onwards

    def leave(self, name, text, target, callers):
        if target is None:
            self.complaints.append(f"{name}: where this leads is known at run time only: {text}")
        elif isinstance(target, int):
            self.follow(target, callers)
        elif target in ALLOWED:
            self.called.add(target)
        else:
            self.complaints.append(f"{name}: calls {target}")


def has_circle(ways, start):
    """Whether any way through a function comes back to where it was."""
    on_the_way, finished = set(), set()
    stack = [(start, iter(ways[start]))]
    on_the_way.add(start)
    while stack:
        at, onwards = stack[-1]
        following = next(onwards, None)
        if following is None:
            stack.pop()
            on_the_way.discard(at)
            finished.add(at)
        elif following in on_the_way:
            return True
        elif following not in finished and following in ways:
            on_the_way.add(following)
            stack.append((following, iter(ways[following])))
    return False


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def skip(why):
    print(f"NOT TESTED: {why}")
    sys.exit(77)


if __name__ == "__main__":
    main()
