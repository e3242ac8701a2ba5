"""Whatever the OpenAPI document allows, and some that it does not: Central answers, and never with a 500."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode

from redoubt.central.exits import Exits
from redoubt.central.images import parts
from redoubt.central.services import Services
from redoubt.egress import Policy
from redoubt.wire.identity import Service
from support.centrals import PASSWORD, Central
from support.wire import Certificates

NOWHERE = "127.0.0.1:1"
CHROMIUM = "/usr/bin/chromium"

Migrated = Callable[[str], str]


class Equipped(Central):
    """With a place for integrations, and a Scanner that is not there."""

    async def equip(self, services: Services) -> None:
        services.policy = Policy(offline=True)
        services.exits = Exits(self.pool, services.policy, {})
        tls = Certificates(self.settings.data / "certificates").material(Service.CENTRAL)
        parts.equip(services, tls, lambda: "")
        assert services.images is not None
        services.images.patience = 0.0


@contextmanager
def served(url: str, folder: Path) -> Iterator[tuple[str, str]]:
    """A Central on a port of its own, in a thread: its address and an administrator's token."""
    ready: list[Any] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with Equipped(url, folder, indexer=NOWHERE, matcher=NOWHERE) as central:
            server = uvicorn.Server(uvicorn.Config(central.app, port=0, lifespan="off", log_config=None))
            running = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            ready.extend((f"http://127.0.0.1:{port}", await central.token("Admin")))
            started.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await running

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(30), "Central does not start"
        yield ready[0], ready[1]
    finally:
        stop.set()
        thread.join(30)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_makes_a_500(migrated: Migrated, tmp_path: Path, mode: GenerationMode) -> None:
    with served(migrated("redoubt.central.migrations"), tmp_path) as (address, token):
        schema = schemathesis.openapi.from_url(f"{address}/api/docs/openapi.json")
        asked: Counter[int] = Counter()
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.label.startswith("PATCH /v1/debug"):
                continue  # turns the log of the whole process
            strategy = operation.as_strategy(generation_mode=mode)

            @hypothesis.settings(
                max_examples=20,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @hypothesis.given(case=strategy)
            def ask(case: Any) -> None:
                answer = case.call(headers={"Authorization": f"Bearer {token}"})
                asked[answer.status_code] += 1
                missing = answer.status_code == 503  # this Central has neither definitions nor a Scanner
                assert answer.status_code < 500 or missing, (case.as_curl_command(), answer.text)
                if answer.status_code >= 400:
                    assert set(answer.json()) == {"code", "message", "error", "details"}, (
                        case.as_curl_command()
                    )

            try:
                ask()
            except hypothesis.errors.Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE  # nothing to get wrong
        # It went past the guard, and past the checks of what is sent.
        assert asked[401] + asked[403] < asked.total() / 4, asked
        assert asked[200] > (100 if mode is GenerationMode.POSITIVE else 0), asked


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Debian's chromium")
def test_the_page_of_the_api_works_in_a_browser_that_reaches_nothing_else(
    migrated: Migrated, tmp_path: Path
) -> None:
    from playwright.sync_api import expect, sync_playwright

    with (
        served(migrated("redoubt.central.migrations"), tmp_path) as (address, token),
        sync_playwright() as playwright,
    ):
        described = httpx.get(f"{address}/api/docs/openapi.json").json()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            asked: list[str] = []
            said: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            page.goto(f"{address}/api/docs/swagger")
            page.wait_for_selector("section details")
            shown = page.locator("details").count()
            assert shown == sum(len(methods) for methods in described["paths"].values())
            page.fill("input[name=search]", "get /v1/apitokens tokens")
            row = page.locator("details:visible", has_text="All tokens")
            row.locator("summary").click()
            shown_answer = row.locator("pre").last
            for credentials, expected in (
                ("", "401"),
                (token, "200"),
                (f"admin:{PASSWORD}", "200"),
                ("x:y", "401"),
            ):
                page.fill("input[name=credentials]", credentials)
                row.get_by_role("button").click()
                expect(shown_answer).to_contain_text(re.compile(f"^{expected}"))
            assert all(url.startswith((address, "data:")) for url in asked)
            # The one refused call is said by the browser; nothing else is.
            assert [text for text in said if "401" not in text] == []
        finally:
            browser.close()
