"""Where the FIX logon comes from: Key Vault, or the local settings in development."""

from collections.abc import Callable
from typing import Protocol

from storage.settings import Settings

USERNAME_SECRET = "fix-username"
PASSWORD_SECRET = "fix-password"


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
    if settings.key_vault_uri:
        vault = reader or _key_vault(settings.key_vault_uri)
        return lambda: (_read(vault, USERNAME_SECRET), _read(vault, PASSWORD_SECRET))
    if settings.fix_username:
        return lambda: (settings.fix_username, str(settings.fix_password))
    return None


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
