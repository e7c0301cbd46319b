"""The process's own stores, made once from its settings. All of them may be shared by threads."""

from functools import cache

from storage.alerts import Alerts
from storage.instructions import Instructions
from storage.orders import OrderRegister
from storage.settings import settings
from storage.signals import SignalStore
from storage.tables import Tables


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
def signal_store() -> SignalStore:
    return SignalStore(tables(), settings().market_data_hub)


@cache
def alerts() -> Alerts:
    return Alerts(tables())
