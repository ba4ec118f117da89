"""What a daemon knows of revocations, on disk as in memory. Everything here blocks for a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from twisted.logger import Logger

from p2p.base.errors import IdentityError
from p2p.base.saving import save_file
from p2p.identity.authority import has_signed
from p2p.identity.revocations import (
    BadStatement,
    Revocation,
    RevocationList,
    encode_statements,
    parse_statement,
    split_statements,
)

__all__ = ["REVOCATIONS_FILE", "Believed"]

REVOCATIONS_FILE: Final = "revocations"

log = Logger()


class Believed:
    """The revocations of one daemon.

    :param folder: where they are kept; None if they can't be.
    :param authority: the PEM file of the authorities that may revoke.
    :param wall: reads the Unix time, seconds.
    :ivar revocations: those that are known.
    :ivar watchers: are told the new ones, after they have been written down.
    :raises IdentityError: if the authorities can't be read.
    """

    def __init__(self, folder: Path | None, authority: Path, wall: Callable[[], float]) -> None:
        self.revocations = RevocationList()
        self.watchers: list[Callable[[list[Revocation]], object]] = []
        self._path = None if folder is None else folder / REVOCATIONS_FILE
        self._wall = wall
        try:
            self._authorities = x509.load_pem_x509_certificates(authority.read_bytes())
        except (OSError, ValueError) as error:
            raise IdentityError(f"{authority}: the authority's certificate can't be read") from error
        self._load()

    def add(self, statements: Sequence[bytes]) -> None:
        """Take in what another daemon, or the signer, tells.

        :raises BadStatement: if one of them isn't the authority's; then none is taken.
        """
        new = self.revocations.add([self._parsed(one) for one in statements], self._wall())
        if new:
            self._save()
            log.info("{count} keys aren't believed any more, {all} in all", count=len(new), all=len(self.revocations))
            for watcher in self.watchers:
                watcher(new)

    def _parsed(self, statement: bytes) -> Revocation:
        return parse_statement(
            statement,
            lambda signature, signed: any(has_signed(one, signature, signed) for one in self._authorities),
        )

    def _load(self) -> None:
        if self._path is None or not self._path.is_file():
            return
        found = []
        for statement in split_statements(self._path.read_bytes()):
            try:
                found.append(self._parsed(statement))
            except BadStatement as error:
                log.warn("{path}: {reason}; it is left out", path=str(self._path), reason=str(error))
        self.revocations.add(found, self._wall())

    def _save(self) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            save_file(self._path, encode_statements(self.revocations.statements))
        except OSError as error:
            log.warn(
                "{path}: can't be written ({reason}); what is revoked is forgotten at the next start, until it is told "
                "again",
                path=str(self._path),
                reason=error.strerror,
            )
