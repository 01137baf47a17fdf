"""Certificates of an authority that is made for the test."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

import trustme

from everact.runtime.control.tls import ServerTLS


class Files(NamedTuple):
    authority: trustme.CA
    tls: ServerTLS
    mutual: ServerTLS
    folder: Path

    def client(self, issuer: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if issuer is not None:
            issuer.issue_cert("client.example").configure_cert(context)
        return context


def make_files(folder: Path) -> Files:
    """An authority, and what a server for this machine needs of it."""
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key, ca = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
    for part in made.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    made.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    tls = ServerTLS(certificate=certificate, key=key)
    mutual = ServerTLS(certificate=certificate, key=key, client_ca=ca)
    return Files(authority, tls, mutual, folder)
