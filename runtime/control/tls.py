"""TLS of the endpoint: its certificate, and whose certificates it asks for."""

import os
import ssl
from dataclasses import dataclass
from typing import TypeAlias

from everact.runtime.errors import EndpointError

File: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerTLS:
    """Files in PEM form: the certificate with its chain, and its key.

    With `client_ca` (mutual TLS) only clients that show a certificate signed by it
    get as far as sending a request; they still need a token.
    """

    certificate: File
    key: File
    client_ca: File | None = None

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later with these files; EndpointError if they cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # An encrypted key would otherwise be asked for at the terminal.
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
            if self.client_ca is not None:
                context.load_verify_locations(cafile=self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            raise EndpointError(
                f"the files for TLS cannot be used: {error}. Give a certificate and "
                "its key, unencrypted, in PEM form"
            ) from error
        return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")
