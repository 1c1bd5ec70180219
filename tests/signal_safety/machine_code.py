"""The functions of a shared library as objdump takes them apart: instructions, and where calls lead."""

import re
import subprocess

INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\t(.*)")
# What stands in front of an instruction and changes nothing about where it leads.
PREFIX = re.compile(r"(bnd|notrack|lock|repn?z?|data16|addr32|[cdefgs]s|xacquire|xrelease|rex(\.[WRXB]+)?)$")
THROUGH_MEMORY = re.compile(r"\*(-?0x[0-9a-f]+)?\(%rip\)\s+# ([0-9a-f]+)")


class Library:
    def __init__(self, path):
        self.path = path
        self.functions = {}
        self._ends = {}
        self._names = {}
        self._read_symbols()
        self._slots = {}
        self._read_slots()
        dynamic = read("readelf", "-dW", path)
        self.binds_now = re.search(r"\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*\bNOW\b", dynamic) is not None

    def _read_symbols(self):
        for table in ["-D"], []:
            for line in read("nm", *table, "-S", "--defined-only", self.path).splitlines():
                fields = line.split()
                if len(fields) == 4 and fields[2] in "TtWwi":
                    address, size, name = int(fields[0], 16), int(fields[1], 16), fields[3]
                    self.functions[name.partition("@")[0]] = address
                    self._names.setdefault(address, name)
                    self._ends[address] = max(address + size, self._ends.get(address, 0))

    def _read_slots(self):
        """Pointers that the dynamic linker fills in before anything runs, and that nobody can change
        afterwards: what is called through one of them is as good as called by name."""
        segment = re.search(r"GNU_RELRO\s+\S+ (\S+) \S+ \S+ (\S+)", read("readelf", "-lW", self.path))
        if segment is None:
            return
        first, size = (int(number, 16) for number in segment.groups())
        for line in read("readelf", "-rW", self.path).splitlines():
            fields = line.split()
            if len(fields) < 4 or not fields[2].startswith("R_X86_64_"):
                continue
            address, kind = int(fields[0], 16), fields[2].removeprefix("R_X86_64_")
            if not first <= address < first + size:
                continue
            if kind in ("GLOB_DAT", "JUMP_SLOT"):
                name = fields[4].partition("@")[0]
                self._slots[address] = self.functions.get(name, name)
            elif kind == "RELATIVE":
                self._slots[address] = int(fields[3], 16)

    def name_of(self, address):
        return self._names.get(address, f"{address:#x}")

    def code_of(self, address):
        """By address: mnemonic, operands, and the address of what follows; None for no function."""
        end = self._ends.get(address)
        if end is None:
            return None
        text = read("objdump", "-dw", "--no-show-raw-insn", f"--start-address={address:#x}",
                    f"--stop-address={end:#x}", self.path)
        found = [INSTRUCTION.match(line) for line in text.splitlines()]
        lines = [(int(match[1], 16), match[2]) for match in found if match]
        afters = [at for at, _ in lines[1:]] + [end]
        return {at: (*split(text), after) for (at, text), after in zip(lines, afters)}

    def target_of(self, operands):
        """An address in the library, the name of a function outside of it, or None."""
        through = THROUGH_MEMORY.match(operands)
        if through:
            return self._slots.get(int(through[2], 16))
        direct = re.match(r"([0-9a-f]+)\b(?: <(\S+)@plt>)?", operands)
        if direct is None:
            return None
        name = direct[2]
        if name is None:
            return int(direct[1], 16)
        return self.functions.get(name, name)


def split(text):
    """Mnemonic and operands, without prefixes; "(bad)" for what may be a call in a form not known here."""
    words = text.split(None, 1)
    while len(words) == 2 and PREFIX.match(words[0]):
        words = words[1].split(None, 1)
    mnemonic, operands = words[0], (words[1] if len(words) == 2 else "")
    is_known = not re.search(r"\b(call|j[a-z]+)q?\s", operands)
    return (mnemonic if is_known else "(bad)"), operands


def read(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
