"""Asks the web app without a server between: one request, one answer, and what Prometheus reads out of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the app answered."""

    status: int
    content_type: str
    text: str


class Metrics(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """Samples by name and labels."""

    def value(self, name: str, **labels: str) -> float | None:
        """The sample of exactly these labels; None when there is none."""
        return self.get((f"facefleet_{name}", frozenset(labels.items())))

    def labelled(self, name: str) -> list[tuple[Mapping[str, str], float]]:
        """All samples of a name with their labels, in the order of the answer."""
        return [(dict(labels), value) for (found, labels), value in self.items() if found == f"facefleet_{name}"]

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self}


def ask(app: Starlette, path: str, accept: str = "") -> Answer:
    """Send one GET."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"accept", accept.encode())] if accept else []
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b"", "root_path": ""}
    asyncio.run(app(scope, receive, send))
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(status=int(sent[0]["status"]), content_type=head["content-type"], text=body.decode())


def scrape(app: Starlette) -> Metrics:
    """Read the app's metrics as Prometheus does."""
    answer = ask(app, "/metrics")
    assert answer.status == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    found = Metrics()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{sample.name} {sample.labels} is there twice"
            found[key] = sample.value
    return found
