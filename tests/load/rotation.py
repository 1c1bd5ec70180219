"""The ways in which tools change the two files that a server was told, and break them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from authority import Pair


class Site:
    """`live/fullchain.pem` and `live/privkey.pem`, and what writers do to them.

    Every method works whatever the one before it left behind: plain files, links, or nothing.
    """

    def __init__(self, root: Path):
        self.root = root
        self.live = root / "live"
        self.archive = root / "archive"
        self.chain = self.live / "fullchain.pem"
        self.key = self.live / "privkey.pem"

    def create(self, pair: Pair) -> None:
        self.live.mkdir(parents=True)
        self.archive.mkdir()
        self.delete_and_create(pair)

    # --- whole replacements ---------------------------------------------------------------------

    def rename_key_first(self, pair: Pair, pause: float = 0.0) -> None:
        self._rename_over(self.key, pair.key)
        writer_takes(pause)
        self._rename_over(self.chain, pair.chain)

    def rename_chain_first(self, pair: Pair, pause: float = 0.0) -> None:
        self._rename_over(self.chain, pair.chain)
        writer_takes(pause)
        self._rename_over(self.key, pair.key)

    def certbot(self, pair: Pair, pause: float = 0.0) -> None:
        """New numbered files in archive/; each link in live/ is removed and made again."""
        number = 1 + sum(1 for _ in self.archive.glob("privkey*.pem"))
        for path, content in ((self.key, pair.key), (self.chain, pair.chain)):
            target = self.archive / f"{path.stem}{number}.pem"
            write(target, content)
            path.unlink(missing_ok=True)
            path.symlink_to(Path("..") / "archive" / target.name)
            writer_takes(pause)

    def kubernetes(self, pair: Pair, pause: float = 0.0) -> None:
        """A kubelet volume: the link `..data` is renamed onto a new directory, the old one goes."""
        data = self.live / "..data"
        before = link_of(data)
        directory = self.live / f"..{time.time_ns()}"
        directory.mkdir()
        write(directory / self.chain.name, pair.chain)
        write(directory / self.key.name, pair.key)
        replace_link(data, directory.name)
        for path in (self.key, self.chain):
            if link_of(path) != f"..data/{path.name}":  # the volume is mounted for the first time
                replace_link(path, f"..data/{path.name}")
                writer_takes(pause)
        if before is not None:
            shutil.rmtree(self.live / before)

    def replace_directory(self, pair: Pair, pause: float = 0.0) -> None:
        """The directory is moved away, and another one moved to its place."""
        following, last = self.root / "live.next", self.root / "live.last"
        following.mkdir()
        write(following / self.chain.name, pair.chain)
        write(following / self.key.name, pair.key)
        self.live.rename(last)
        writer_takes(pause)
        following.rename(self.live)
        shutil.rmtree(last)

    # --- file by file, half-written in between --------------------------------------------------

    def in_place(self, pair: Pair, pause: float = 0.0) -> None:
        """`cat new > file`: truncated, then written in pieces; links are followed."""
        for path, content in ((self.key, pair.key), (self.chain, pair.chain)):
            with open_private(path) as file:
                for start in range(0, len(content), 500):
                    file.write(content[start : start + 500])
                    file.flush()
                    writer_takes(pause / 4)

    def lego(self, pair: Pair, pause: float = 0.0) -> None:
        """Chain first, then the key, both in place."""
        write(self.chain, pair.chain)
        writer_takes(pause)
        write(self.key, pair.key)

    def delete_and_create(self, pair: Pair, pause: float = 0.0) -> None:
        self.chain.unlink(missing_ok=True)
        self.key.unlink(missing_ok=True)
        writer_takes(pause)
        write(self.key, pair.key)
        write(self.chain, pair.chain)

    # --- mistakes -------------------------------------------------------------------------------

    def wrong_key(self, other: Pair) -> None:
        self._rename_over(self.key, other.key)

    def truncated_chain(self, other: Pair) -> None:
        self._rename_over(self.chain, other.chain[:300])

    def garbage_key(self, other: Pair) -> None:
        self._rename_over(self.key, b"not a key\n" * 20)

    def empty_chain(self, other: Pair) -> None:
        self._rename_over(self.chain, b"")

    def missing_key(self, other: Pair) -> None:
        self.key.unlink()

    def wrong_chain(self, other: Pair) -> None:
        self._rename_over(self.chain, other.chain)

    def _rename_over(self, path: Path, content: bytes) -> None:
        temporary = path.with_suffix(".new")
        write(temporary, content)
        os.replace(temporary, path)


GOOD = {
    "rename-key-first": Site.rename_key_first,
    "rename-chain-first": Site.rename_chain_first,
    "in-place": Site.in_place,
    "certbot": Site.certbot,
    "kubernetes": Site.kubernetes,
    "directory": Site.replace_directory,
    "delete-create": Site.delete_and_create,
    "lego": Site.lego,
}

# These look half-written, so they are waited for, and no failure if repaired in time.
PENDING = {
    "wrong-key": Site.wrong_key,
    "wrong-chain": Site.wrong_chain,
    "truncated-chain": Site.truncated_chain,
    "missing-key": Site.missing_key,
}

BROKEN = {**PENDING, "garbage-key": Site.garbage_key, "empty-chain": Site.empty_chain}


def writer_takes(seconds: float) -> None:
    """A writer's own pace: part of what is tested, not a wait for something to happen."""
    if seconds > 0:
        time.sleep(seconds)


def write(path: Path, content: bytes) -> None:
    with open_private(path) as file:
        file.write(content)


def open_private(path: Path):
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))


def link_of(path: Path) -> str | None:
    return os.readlink(path) if path.is_symlink() else None


def replace_link(path: Path, target: str) -> None:
    temporary = path.with_name(f"{path.name}_tmp")
    temporary.symlink_to(target)
    os.replace(temporary, path)
