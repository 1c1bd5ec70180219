"""Checks the licences of all packages of a crate against deny.toml, as cargo-deny does, but with nothing else installed.

usage: cargo metadata ... | licences.py DENY_TOML
"""

import json
import re
import sys

try:
    import tomllib
except ImportError:
    print("NOT TESTED: licences: this takes Python 3.11 or later, or cargo-deny")
    sys.exit(77)


def tokens_of(expression):
    """Splits an SPDX expression; a slash is the old way to write OR."""
    return re.findall(r"[()]|[^\s()]+(?:\s+WITH\s+[^\s()]+)?", expression.replace("/", " OR "))


def is_allowed(expression, allowed):
    """Returns whether a choice among what the expression offers needs nothing but what is allowed."""
    tokens = tokens_of(expression)

    def operand():
        token = tokens.pop(0)
        if token != "(":
            return " ".join(token.split()) in allowed
        result = alternatives()
        if tokens.pop(0) != ")":
            raise ValueError(expression)
        return result

    def series(word, term):
        result = term()
        values = [result]
        while tokens and tokens[0] == word:
            tokens.pop(0)
            values.append(term())
        return all(values) if word == "AND" else any(values)

    def alternatives():
        return series("OR", lambda: series("AND", operand))

    result = alternatives()
    if tokens:
        raise ValueError(expression)
    return result


def main():
    """Prints each package whose licence is not allowed."""
    with open(sys.argv[1], "rb") as file:
        rules = tomllib.load(file)["licenses"]
    packages = json.load(sys.stdin)["packages"]
    refused = 0
    for package in packages:
        if package["publish"] == []:
            continue
        allowed = set(rules["allow"])
        for exception in rules["exceptions"]:
            if exception["crate"] == package["name"]:
                allowed.update(exception["allow"])
        licence = package["license"] or ""
        try:
            is_good = is_allowed(licence, allowed)
        except (IndexError, ValueError):
            is_good = False
        if not is_good:
            refused += 1
            print(f"{package['name']} {package['version']}: not allowed by deny.toml: {licence or 'no licence'}")
    print(f"licences of {len(packages)} packages, {refused} not allowed")
    sys.exit(1 if refused else 0)


main()
