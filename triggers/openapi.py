"""The HTTP interface as OpenAPI 3.1, its schemas from the very types that requests are read with."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from gateway.gateway import SessionStatus
from trading.messages import UnblockSymbol
from trading.specs import Amendment
from triggers.requests import SPECS, HaltRequest
from triggers.views import (
    AmendmentNoted,
    Cancelling,
    ExposureView,
    Halted,
    HaltView,
    OrderList,
    OrderView,
    Placed,
    PositionList,
    ReconciliationList,
    Refusal,
    Released,
    ResetView,
)

_SHOWN = (
    Placed,
    AmendmentNoted,
    Cancelling,
    OrderView,
    OrderList,
    PositionList,
    ExposureView,
    UnblockSymbol,
    HaltRequest,
    Halted,
    HaltView,
    SessionStatus,
    ResetView,
    ReconciliationList,
    Released,
    Refusal,
)
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


@cache
def document() -> dict[str, Any]:
    """The document that `GET /api/openapi.json` serves."""
    types = (*SPECS, Amendment, *_SHOWN)
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "durable-orders",
            "version": "1",
            "description": "Orders, positions and the FIX session. Prices and quantities are decimal strings; in "
            "requests numbers will do. Every 4xx names the field, its value, and what would be right.",
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-functions-key"}},
        },
        "security": [{"key": []}],
        "paths": _paths(),
    }


def _paths() -> dict[str, Any]:
    one_of = {"oneOf": [_ref(request) for request in SPECS], "discriminator": {"propertyName": "type"}}
    return {
        "/api/orders": {
            "post": {
                "summary": "Place an order, once for each order_id",
                "requestBody": {"required": True, "content": {"application/json": {"schema": one_of}}},
                "responses": _responses(
                    {202: (Placed, "Accepted"), 200: (Placed, "The same order had been placed already")},
                    {400: "A field is wrong", 409: "Another order has this id"},
                ),
            },
            "get": {
                "summary": "The newest orders",
                "parameters": [
                    {"name": "open", "in": "query", "schema": {"type": "boolean", "default": False}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
                ],
                "responses": _responses({200: (OrderList, "Orders")}, {400: "A parameter is wrong"}),
            },
        },
        "/api/orders/{id}": {
            "parameters": [_ID],
            "get": {
                "summary": "Show an order",
                "responses": _responses({200: (OrderView, "The order")}, {404: "No such order"}),
            },
            "patch": {
                "summary": "Amend an open order: the new values; what is left out or null stays as it is",
                "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(Amendment)}}},
                "responses": _responses(
                    {202: (AmendmentNoted, "Noted: what the order is to be")},
                    {
                        400: "A field is wrong",
                        404: "No such order",
                        409: "It has ended or was told to, has no such field, or has filled too much for it",
                    },
                ),
            },
            "delete": {
                "summary": "End an order: its entry is cancelled; what it has filled is closed, or left to its exits",
                "parameters": [
                    {
                        "name": "mode",
                        "in": "query",
                        "schema": {"enum": ["flatten", "keep_exits"], "default": "flatten"},
                        "description": "keep_exits may be followed by flatten; flatten is not taken back",
                    }
                ],
                "responses": _responses(
                    {202: (Cancelling, "Noted; it is carried out in any case")},
                    {
                        400: "The mode is wrong",
                        404: "No such order",
                        409: "It has ended, is about to, or its orchestration has died",
                    },
                ),
            },
        },
        "/api/positions": {
            "get": {"summary": "Positions", "responses": _responses({200: (PositionList, "Positions")}, {})}
        },
        "/api/exposure": {
            "get": {"summary": "What is at stake", "responses": _responses({200: (ExposureView, "Exposure")}, {})}
        },
        "/api/exposure/blocked": {
            "delete": {
                "summary": "Let new orders in a symbol come again",
                "description": "A symbol is blocked when both exits of a bracket have traded in full. The answer says "
                "for which reason; where it is blocked for another one by the time this is carried out, it stays so. "
                "GET /api/exposure shows whether it is blocked still: ask again then.",
                "parameters": [{"name": "symbol", "in": "query", "required": True, "schema": {"type": "string"}}],
                "responses": _responses(
                    {202: (UnblockSymbol, "Noted; it may come later")}, {404: "The symbol is not blocked"}
                ),
            }
        },
        "/api/halt": {
            "post": {
                "summary": "Halt trading: entries are cancelled, exits stay, and only what reduces is approved",
                "description": "May be repeated: nothing is done twice, and what could not be done yet is done then.",
                "requestBody": {"required": False, "content": {"application/json": {"schema": _ref(HaltRequest)}}},
                "responses": _responses(
                    {202: (Halted, "Halted, and all open orders told")},
                    {
                        400: "A field is wrong",
                        409: "Another request was carried out meanwhile, or trading resumed: ask again",
                        503: "It may not have come about, or not all orders could be told: ask again",
                    },
                ),
            },
            "get": {
                "summary": "Whether trading is halted",
                "responses": _responses({200: (HaltView, "The mode")}, {}),
            },
            "delete": {
                "summary": "Let trading go on",
                "responses": _responses(
                    {200: (HaltView, "The mode is open")},
                    {
                        409: "Another request was carried out meanwhile, and trading is halted: ask again",
                        503: "It may not have come about: ask again",
                    },
                ),
            },
        },
        "/api/session": {
            "get": {
                "summary": "The FIX session, as the process that answers sees it",
                "responses": _responses({200: (SessionStatus, "The session")}, {}),
            }
        },
        "/api/session/reset": {
            "post": {
                "summary": "Have both sides' sequence numbers begin again at 1",
                "description": "For when the venue refuses our numbers, or we its. Any process may be asked, and "
                "asking again changes nothing: the holder logs out, delivers what has come, and logs on with "
                "ResetSeqNumFlag (141=Y); out of hours, when they begin. What the venue had still to send again is "
                "not sent any more.",
                "responses": _responses({202: (ResetView, "Noted; it is carried out in any case")}, {}),
            },
            "get": {
                "summary": "Whether such a reset is still to come",
                "responses": _responses({200: (ResetView, "Whether it is wanted")}, {}),
            },
        },
        "/api/session/reconciliations": {
            "get": {
                "summary": "What came of comparing the venue's open orders with ours, after the last logons",
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
                ],
                "responses": _responses({200: (ReconciliationList, "Newest first")}, {400: "The limit is wrong"}),
            }
        },
        "/api/session/drop-copy/reset": {
            "post": {
                "summary": "The same of the drop copy",
                "description": "What the venue had still to send again is not compared with the journal any more.",
                "responses": _responses(
                    {202: (ResetView, "Noted; it is carried out in any case")}, {409: "There is no drop copy"}
                ),
            }
        },
        "/api/session/release": {
            "post": {
                "summary": "Let held orders go; for replays",
                "responses": _responses({200: (Released, "How many")}, {409: "Orders are not held"}),
            }
        },
    }


def _responses(good: Mapping[int, tuple[type, str]], bad: Mapping[int, str]) -> dict[str, Any]:
    found = {status: (kind, text) for status, (kind, text) in good.items()}
    found |= {status: (Refusal, text) for status, text in bad.items()}
    return {
        str(status): {"description": text, "content": {"application/json": {"schema": _ref(kind)}}}
        for status, (kind, text) in sorted(found.items())
    }


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
