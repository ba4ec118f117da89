"""The files of a machine that joins a lab: its key first, and what it has got when it is there. All of it blocks.

They lie in one folder as they do in that of a lab: ``ca.pem``, ``certificates/n5.n.pem`` and ``.key``, and
``peer-n5.n.yaml``, besides an inbox.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from p2p.base.errors import IdentityError, LocalFileError
from p2p.base.names import parse_peer
from p2p.identity.authority import AUTHORITY_CERTIFICATE
from p2p.identity.lab import make_inbox, require_console_path
from p2p.identity.lab_files import CERTIFICATES, LabPlan, RouterPlace, peer_file, peers_yaml
from p2p.identity.pem_files import load_key, write_new

__all__ = ["JoiningFiles"]


class JoiningFiles:
    """The folder of a machine that joins.

    :param folder: where its files shall lie; it needn't exist.
    :param place: where the cluster's router is.
    :param systemd: whether the daemon is a unit of systemd, which keeps console and inbox in its own folders.
    :ivar config: the YAML file of its daemon.
    :ivar key_file: its key.
    :raises LocalFileError: if there is no room for the files.
    """

    def __init__(self, folder: Path, name: str, place: RouterPlace, *, systemd: bool = False) -> None:
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links in the path stay as the user wrote them
        self.name = name
        self.config = self.folder / peer_file(name)
        self._certificates = self.folder / CERTIFICATES
        self.key_file = self._certificates / f"{name}.key"
        self._place = place
        self._systemd = systemd
        self._cluster = parse_peer(name).cluster
        self._plan("tls")
        for path in (self.config, self._certificates / f"{name}.pem"):
            if path.exists():
                raise LocalFileError(f"{path}: is there already; {name} seems to have joined, or name another folder")

    def key(self) -> bytes:
        """Return the public key (SubjectPublicKeyInfo, DER), of a key that is made, or left of an earlier try.

        :raises IdentityError: if the key that is there can't be used.
        :raises LocalFileError: if the file can't be written.
        """
        path = self.key_file
        try:
            self._certificates.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                key = ec.generate_private_key(ec.SECP256R1())
                encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
                write_new(path, key.private_bytes(encoding, form, serialization.NoEncryption()), 0o600)
        except OSError as error:
            raise LocalFileError(f"{error.filename or path}: can't be written ({error.strerror})") from error
        public = load_key(path).public_key()
        return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def finish(self, authority: x509.Certificate, certificate: x509.Certificate, links: str) -> None:
        """Write everything else.

        :raises IdentityError: if there are files of another lab in the folder, or what the lab says makes no sense.
        :raises LocalFileError: if a file can't be written.
        """
        plan = self._plan(links)
        try:
            self._write_authority(authority.public_bytes(serialization.Encoding.PEM))
            pem = certificate.public_bytes(serialization.Encoding.PEM)
            write_new(self._certificates / f"{self.name}.pem", pem, 0o644)
            make_inbox(plan, self.folder, self.name)
            text = peers_yaml(plan, self._cluster, self.config.name, [self.name])
            write_new(self.config, text.encode(), 0o644)
        except OSError as error:
            raise LocalFileError(f"{error.filename or self.folder}: can't be written ({error.strerror})") from error

    def _write_authority(self, pem: bytes) -> None:
        path = self.folder / AUTHORITY_CERTIFICATE
        if path.exists():
            if pem not in path.read_bytes():
                raise IdentityError(f"{path}: is the authority of another lab; name another folder with --dir")
            return
        write_new(path, pem, 0o644)

    def _plan(self, links: str) -> LabPlan:
        try:
            plan = LabPlan.model_validate(
                {"clusters": {self._cluster: self._place}, "links": links, "systemd": self._systemd}
            )
        except ValidationError as error:
            raise IdentityError(f"the lab's links are {links[:20]!r}, which this p2p doesn't know") from error
        require_console_path(plan, self.folder, self.config.name)
        return plan
