#!/usr/bin/env python3
"""Writes LICENSE-THIRD-PARTY: the software that is linked into the library, with its licences.

The texts come from the sources that cargo unpacked. tests/notices.rs checks that the committed file lists what
Cargo.lock names. Run it after a change of Cargo.lock or of the dependencies in Cargo.toml.
"""

import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUTPUT = os.path.join(ROOT, "LICENSE-THIRD-PARTY")
# What is linked is the same on the other systems that are supported.
TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]
TEXT_FILE = re.compile(r"(licen[sc]e|copying|copyright|notice|unlicense)", re.IGNORECASE)

INTRODUCTION = """\
Third-party software in certreload

libcertreload.so and libcertreload.a contain the software that is listed here. The numbers name its licence
texts, which follow the list. Where a licence is a choice, certreload passes on the choice. The licence of
certreload itself is in LICENSE-APACHE, LICENSE-ISC and LICENSE-MIT.

"""


def run(*command):
    """Returns what a command prints."""
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False, text=True)
    if result.returncode:
        sys.exit(f"notices.py: {' '.join(command)} failed")
    return result.stdout


def linked_crates():
    """Returns (name, version) of each crate that is linked into the library: no build tools, macros or tests."""
    linked = set()
    for target in TARGETS:
        tree = run("cargo", "tree", "--locked", "--target", target, "--edges", "normal,no-proc-macro",
                   "--prefix", "none", "--format", "{p}")
        for line in tree.splitlines():
            name, version = line.split()[:2]
            linked.add((name, version.lstrip("v")))
    return sorted(crate for crate in linked if crate[0] != "certreload")


def packages():
    """Returns what the manifests say, by (name, version)."""
    metadata = json.loads(run("cargo", "metadata", "--locked", "--format-version", "1"))
    return {(package["name"], package["version"]): package for package in metadata["packages"]}


def read(*path):
    """Returns a text without what differs between editors: line ends, trailing blanks, a byte order mark."""
    with open(os.path.join(*path), encoding="utf-8-sig") as file:
        return "\n".join(line.rstrip() for line in file.read().splitlines()).strip("\n")


def texts_of(directory):
    """Returns the licence texts that a crate comes with."""
    names = sorted(name for name in os.listdir(directory) if TEXT_FILE.match(name))
    return [read(directory, name) for name in names if os.path.isfile(os.path.join(directory, name))]


def parts_of_aws_lc(directory):
    """Yields the parts of AWS-LC whose licences are not in its own LICENSE: line of the list, texts."""
    third_party = os.path.join(directory, "aws-lc", "third_party")
    yield "Fiat Cryptography (in aws-lc-sys), MIT", [read(third_party, "fiat", "LICENSE")]
    # Its LICENSE is not part of the crate: the header begins with the same text.
    header = read(third_party, "jitterentropy", "jitterentropy-library", "jitterentropy.h")
    comment = header[: header.index("*/") + 2]
    if "Redistribution and use" not in comment:
        sys.exit("notices.py: jitterentropy.h does not begin with its licence any more")
    yield "Jitter Entropy RNG (in aws-lc-sys), BSD-3-Clause", [comment]


def rust():
    """Returns the list's line and the texts of the Rust standard library, which comes with the compiler."""
    directory = os.path.join(run("rustc", "--print", "sysroot").strip(), "share", "doc", "rust", "licenses")
    if not os.path.isdir(directory):
        sys.exit(f"notices.py: {directory} is missing: this takes a Rust of rustup's")
    copyright_line = "Copyright: The Rust Project Developers (see https://thanks.rust-lang.org)\n\n"
    names = ["Apache-2.0.txt", "MIT.txt", "Unicode-3.0.txt"]
    texts = [read(directory, name) for name in names]
    texts[1] = copyright_line + texts[1]
    line = "Rust standard library, (MIT OR Apache-2.0) AND Unicode-3.0; notices of each part are in the\n" \
        "  compiler's share/doc/rust/COPYRIGHT-library.html"
    return line, texts


def entries():
    """Yields what is linked: line of the list, texts."""
    known = packages()
    for crate in linked_crates():
        package = known[crate]
        directory = os.path.dirname(package["manifest_path"])
        licence = package["license"] or "see its text"
        texts = texts_of(directory)
        if not texts:
            sys.exit(f"notices.py: {crate[0]} {crate[1]} comes without a licence text")
        yield f"{crate[0]} {crate[1]}, {licence.replace('/', ' OR ')}", texts
        if crate[0] == "aws-lc-sys":
            yield from parts_of_aws_lc(directory)
    yield rust()


def main():
    """Writes the file."""
    numbers, texts, listed = {}, [], []
    for line, own in entries():
        cited = []
        for text in own:
            # Texts that differ in blanks and line breaks only are one.
            key = " ".join(text.split())
            if key not in numbers:
                texts.append(text)
                numbers[key] = len(texts)
            if numbers[key] not in cited:
                cited.append(numbers[key])
        listed.append(f"- {line} {' '.join(f'[{number}]' for number in cited)}\n")
    with open(OUTPUT, "w", encoding="utf-8") as file:
        file.write(INTRODUCTION)
        file.writelines(listed)
        for number, text in enumerate(texts, 1):
            file.write(f"\n\n{'=' * 100}\n[{number}]\n\n{text}\n")


main()
