"""Where the FIX logon comes from: Key Vault, or the local settings in development."""

from collections.abc import Callable
from typing import Protocol

from storage.settings import Settings

USERNAME_SECRET = "fix-username"
PASSWORD_SECRET = "fix-password"
DROP_COPY_USERNAME_SECRET = "drop-copy-username"
DROP_COPY_PASSWORD_SECRET = "drop-copy-password"


class SecretsError(Exception):
    """Key Vault has no usable value for a secret."""


class _Secret(Protocol):
    @property
    def value(self) -> str | None: ...


class SecretReader(Protocol):
    """The one call of `azure.keyvault.secrets.SecretClient` that is used here."""

    def get_secret(self, name: str) -> _Secret: ...


Credentials = Callable[[], tuple[str, str]]
"""Fetches username and password (553, 554) anew, so that a rotated password is used at the next logon. May block."""


def fix_credentials(settings: Settings, reader: SecretReader | None = None) -> Credentials | None:
    """How to get the FIX logon; None where the venue wants none. Nothing is fetched before it is called."""
    local = (settings.fix_username, str(settings.fix_password))
    return _credentials(settings, reader, (USERNAME_SECRET, PASSWORD_SECRET), local)


def drop_copy_credentials(settings: Settings, reader: SecretReader | None = None) -> Credentials | None:
    """The same of the drop copy's logon; None where there is no drop copy."""
    if not settings.drop_copy_session:
        return None
    local = (settings.drop_copy_username, str(settings.drop_copy_password))
    return _credentials(settings, reader, (DROP_COPY_USERNAME_SECRET, DROP_COPY_PASSWORD_SECRET), local)


def _credentials(
    settings: Settings, reader: SecretReader | None, names: tuple[str, str], local: tuple[str, str]
) -> Credentials | None:
    username, password = names
    if settings.key_vault_uri:
        vault = reader or _key_vault(settings.key_vault_uri)
        return lambda: (_read(vault, username), _read(vault, password))
    return (lambda: local) if local[0] else None


def _read(vault: SecretReader, name: str) -> str:
    value = vault.get_secret(name).value
    if not value:
        raise SecretsError(f"Key Vault's secret {name} is empty: it has to hold the venue's FIX logon")
    return value


def _key_vault(uri: str) -> SecretReader:
    # Imported here because azure-identity takes half a second that a start without Key Vault need not spend.
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient

    return SecretClient(vault_url=uri, credential=DefaultAzureCredential())
