"""TLS for both sides. The defaults are safe: the peer's certificate is checked, and that it is for the host called.

No client certificate of ours does not mean no checking; there is no switch that turns checking off.
"""

import ssl
from collections.abc import Callable
from pathlib import Path


class TlsError(ValueError):
    """A certificate or key cannot be used: which setting, which file, and why."""


def client_tls(
    *,
    ca_file: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    password: Callable[[], str] | None = None,
) -> ssl.SSLContext:
    """For an initiator. `ca_file`: whose certificates are believed (PEM), by default whose the machine believes.
    `certificate` (PEM, with its chain) and `key` where the venue asks for one of ours; `password` of an encrypted key.
    Raises `TlsError`."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _believe(context, "ca_file", ca_file)
    if certificate is not None:
        _show(context, certificate, key, password)
    elif key is not None:
        raise TlsError(f"certificate is missing: key {key} needs the certificate that it is of")
    return context


def server_tls(
    *,
    certificate: Path,
    key: Path | None = None,
    password: Callable[[], str] | None = None,
    client_ca_file: Path | None = None,
) -> ssl.SSLContext:
    """For an acceptor. With `client_ca_file`, an initiator must show a certificate that these have signed. Raises
    `TlsError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _show(context, certificate, key, password)
    if client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _believe(context, "client_ca_file", client_ca_file)
    return context


def _believe(context: ssl.SSLContext, name: str, path: Path) -> None:
    _check_readable(name, path)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise TlsError(f"{name} is {path}: it must have certificates in PEM form ({error.reason})") from error


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None, password: Callable[[], str] | None) -> None:
    _check_readable("certificate", certificate)
    if key is not None:
        _check_readable("key", key)
    try:
        # Without a password, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=password or (lambda: ""))
    except ssl.SSLError as error:
        of = f" and key {key}" if key else ""
        why = error.reason or "the password of the key is wrong or missing"
        raise TlsError(
            f"certificate is {certificate}{of}: it must be a certificate and its key in PEM form ({why})"
        ) from error


def _check_readable(name: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise TlsError(f"{name} is {path}: it cannot be read: {error.strerror}") from error
