"""What goes to the SDK and what comes back, for tests of the protocol."""

import json
from typing import Any

import pytest

from devhost import worker
from devhost.app import Function
from devhost.matching import Answer, read_answer


class Spied:
    """What the host has sent to orchestrators and entities, and the SDK's answers, in order."""

    def __init__(self) -> None:
        self.orchestrator_calls: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.entity_calls: list[dict[str, Any]] = []
        self.entity_answers: list[dict[str, Any]] = []


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Spied:
    found = Spied()
    orchestrator, entity = worker.Worker.orchestrator, worker.Worker.entity

    async def spy_on_orchestrator(self: worker.Worker, function: Function, payload: str) -> worker.Episode:
        found.orchestrator_calls.append(json.loads(payload))
        return await orchestrator(self, function, payload)

    async def spy_on_entity(self: worker.Worker, function: Function, payload: str) -> str:
        found.entity_calls.append(json.loads(payload))
        answer = await entity(self, function, payload)
        found.entity_answers.append(json.loads(answer))
        return answer

    def spy_on_answer(text: str) -> Answer:
        found.answers.append(json.loads(text))
        return read_answer(text)

    monkeypatch.setattr(worker.Worker, "orchestrator", spy_on_orchestrator)
    monkeypatch.setattr(worker.Worker, "entity", spy_on_entity)
    monkeypatch.setattr(worker, "read_answer", spy_on_answer)
    return found
