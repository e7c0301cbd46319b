"""Where the session is logged on: by TLS where it is set, and at the next host where the first is gone."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from fix.reconnect import Host, Pauses
from fix.tls import server_tls
from tests.gateway.conftest import AT, World, entry_order, until
from tests.gateway.counterparty import Counterparty


class Certificates:
    """Of one authority, as files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self._authority, self._folder = authority, folder

    def of(self, name: str) -> Path:
        """Certificate and key in one file."""
        path = self._folder / f"{name}.pem"
        self._authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(path)
        return path


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


class Venues:
    """More of them than the world's own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._all: list[Counterparty] = []

    def secure(self, certificate: Path, client_ca: Path | None = None) -> Counterparty:
        tls = server_tls(certificate=certificate, client_ca_file=client_ca)
        self._all.append(Counterparty(self._world.settings.fix_sender_comp_id, tls=tls))
        return self._all[-1]

    def close(self) -> None:
        for gateway in self._world.gateways:
            gateway.stop()
        for venue in self._all:
            venue.close()


@pytest.fixture
def venues(world: World) -> Iterator[Venues]:
    venues = Venues(world)
    yield venues
    venues.close()


def test_a_session_by_tls_with_a_certificate_of_our_own(
    world: World, venues: Venues, certificates: Certificates
) -> None:
    venue = venues.secure(certificates.of("127.0.0.1"), client_ca=certificates.ca)
    secure = {"fix_tls": "on", "fix_tls_ca_file": str(certificates.ca), "fix_port": venue.port}
    gateway = world.logged_on(**secure, fix_tls_certificate_file=str(certificates.of("desk.example")))
    order_id = world.order()
    gateway.submit(order_id, entry_order(order_id), AT)
    until(lambda: world.woken)
    assert venue.sent(f"{order_id}.e1")


def test_a_host_whose_certificate_is_for_another_name_is_not_spoken_to(
    world: World, venues: Venues, certificates: Certificates
) -> None:
    venue = venues.secure(certificates.of("venue.example"))
    gateway = world.gateway(fix_tls="on", fix_tls_ca_file=str(certificates.ca), fix_port=venue.port)
    until(lambda: "certificate" in gateway.status().text)
    assert venue.logons == 0


def test_a_certificate_that_cannot_be_read_is_told_and_read_again(
    world: World, venues: Venues, certificates: Certificates
) -> None:
    venue = venues.secure(certificates.of("127.0.0.1"))
    authority = certificates.ca.read_bytes()
    certificates.ca.write_bytes(b"half of it")
    gateway = world.gateway(fix_tls="on", fix_tls_ca_file=str(certificates.ca), fix_port=venue.port)
    until(lambda: "it must have certificates in PEM form" in gateway.status().text)
    certificates.ca.write_bytes(authority)
    until(lambda: gateway.status().logged_on)


def test_each_host_is_called_by_its_own_name(world: World, venues: Venues, certificates: Certificates) -> None:
    wrong = venues.secure(certificates.of("venue.example"))
    right = venues.secure(certificates.of("localhost"))
    world.logged_on(
        fix_tls="on",
        fix_tls_ca_file=str(certificates.ca),
        fix_port=wrong.port,
        fix_backup_hosts=(Host("localhost", right.port),),
    )
    assert (wrong.logons, right.logons) == (0, 1)


def test_where_the_first_host_is_gone_the_next_is_tried_at_once_and_after_its_end_the_first_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.line._PAUSES", Pauses(first=0.1, longest=0.1, stable_after=0.001))
    with socket.create_server(("127.0.0.1", 0)) as gone:
        calls = 0

        def hang_up() -> None:
            nonlocal calls
            with contextlib.suppress(OSError):  # it is no longer listened
                while True:
                    gone.accept()[0].close()
                    calls += 1

        threading.Thread(target=hang_up, daemon=True).start()
        backup = Host("127.0.0.1", world.venue.port)
        gateway = world.logged_on(fix_port=gone.getsockname()[1], fix_backup_hosts=(backup,))
        assert (calls, world.venue.logons) == (1, 1)
        world.venue.cut()
        until(lambda: gateway.status().logged_on and world.venue.logons == 2)
        assert calls == 2
        gateway.stop()
        gone.shutdown(socket.SHUT_RDWR)
