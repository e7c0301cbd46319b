"""The process's own stores, made once from its settings. All of them may be shared by threads."""

from functools import cache

from storage.alerts import Alerts
from storage.instructions import Instructions
from storage.orders import OrderRegister
from storage.reconciliations import Reconciliations
from storage.settings import settings
from storage.signals import SignalStore
from storage.tables import Tables
from storage.watches import Watches

_WATCHES_ARE_GOOD_FOR = 1.0
"""Seconds: how late the market data of one process may notice a price that an order begins to wait for in another."""


@cache
def tables() -> Tables:
    return Tables(settings().storage_connection)


@cache
def order_register() -> OrderRegister:
    return OrderRegister(tables())


@cache
def instructions() -> Instructions:
    return Instructions(tables())


@cache
def watches() -> Watches:
    # On the market's own clock a replay has to see every watch at once, or it would not be the same twice.
    return Watches(tables(), time_to_live=0 if settings().market_clock else _WATCHES_ARE_GOOD_FOR)


@cache
def signal_store() -> SignalStore:
    return SignalStore(tables(), settings().market_data_hub)


@cache
def alerts() -> Alerts:
    return Alerts(tables())


@cache
def reconciliations() -> Reconciliations:
    return Reconciliations(tables())
