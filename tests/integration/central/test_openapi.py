"""Whatever the OpenAPI document allows, and some that it does not: Central answers, and never with a 500."""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode

from redoubt.central.config import Settings
from redoubt.central.images.scanning import Pace
from redoubt.central.serving import central
from redoubt.wire.identity import Service
from support.centrals import PASSWORD
from support.wire import Certificates

NOWHERE = "127.0.0.1:1"
PARTS = 3  # of all operations; each a test of its own
NEED_A_SCANNER = {
    "POST /v1/images/scan",
    "POST /v1/detect/build",
    "POST /api/v1/images/sbom",
    "POST /api/v1/sboms/scan",
}
CHROMIUM = "/usr/bin/chromium"

Migrated = Callable[[str], str]


class Served(NamedTuple):
    """A whole Central on a port of its own, and an administrator's token."""

    address: str
    token: str
    ca: str


@contextmanager
def served(url: str, folder: Path) -> Iterator[Served]:
    """``redoubt central`` in a thread, whose Scanner is not there and is not waited for."""
    certificates = Certificates(folder)
    certificates.files(Service.CENTRAL, "certificates")
    settings = Settings(
        data=folder / "data",
        certificates=folder / "certificates",
        database_url=url,
        host="127.0.0.1",
        port=0,
        offline=True,
        indexer=NOWHERE,
        matcher=NOWHERE,
        admin_password=PASSWORD,
    )
    ca = str(folder / "authority" / "ca.pem")
    address: list[str] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with central(settings) as running:
            assert running.services.images is not None
            running.services.images.pace = Pace(patience=0.0, registry_tries=1)
            address.append(f"https://localhost:{running.port}")
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(120), "Central does not start"
        body = {"name": "test", "roles": ["Admin"]}
        generate = f"{address[0]}/v1/apitokens/generate"
        tls = ssl.create_default_context(cafile=ca)
        made = httpx.post(generate, json=body, auth=("admin", PASSWORD), verify=tls, timeout=60)
        yield Served(address[0], made.json()["token"], ca)
    finally:
        stop.set()
        thread.join(60)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_makes_a_500(migrated: Migrated, tmp_path: Path, mode: GenerationMode, part: int) -> None:
    with served(migrated("redoubt.central.migrations"), tmp_path) as at:
        schema = schemathesis.openapi.from_url(
            f"{at.address}/api/docs/openapi.json", verify=at.ca, timeout=60
        )
        asked: Counter[int] = Counter()
        session = requests.Session()  # one connection, and not a handshake for each of thousands of requests
        for found in islice(schema.get_all_operations(), part, None, PARTS):
            operation = found.ok()
            if operation.label.startswith("PATCH /v1/debug"):
                continue  # turns the log of the whole process
            strategy = operation.as_strategy(generation_mode=mode)

            @hypothesis.settings(
                max_examples=20 if mode is GenerationMode.POSITIVE else 8,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @hypothesis.given(case=strategy)
            def ask(case: Any) -> None:
                answer = case.call(
                    headers={"Authorization": f"Bearer {at.token}"}, verify=at.ca, session=session, timeout=60
                )
                asked[answer.status_code] += 1
                # Nobody is at the Scanner's address here; whatever needs it may say so, and nobody else.
                away = answer.status_code == 503 and NOWHERE in answer.json()["message"]
                assert answer.status_code < 500 or (away and case.operation.label in NEED_A_SCANNER), (
                    case.as_curl_command(),
                    answer.text,
                )
                # A length that is none is no HTTP: it is refused before anybody knows of a path.
                unreadable = {"content-length", "transfer-encoding"} & {each.lower() for each in case.headers}
                if answer.status_code >= 400 and not unreadable:
                    assert set(answer.json()) == {"code", "message", "error", "details"}, (
                        case.as_curl_command()
                    )

            try:
                ask()
            except hypothesis.errors.Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE  # nothing to get wrong
        # It went past the guard, and past the checks of what is sent.
        assert asked[401] + asked[403] < asked.total() / 4, asked
        assert asked[200] > (100 // PARTS if mode is GenerationMode.POSITIVE else 0), asked


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Debian's chromium")
def test_the_page_of_the_api_works_in_a_browser_that_reaches_nothing_else(
    migrated: Migrated, tmp_path: Path
) -> None:
    from playwright.sync_api import expect, sync_playwright

    with (
        served(migrated("redoubt.central.migrations"), tmp_path) as at,
        sync_playwright() as playwright,
    ):
        described = httpx.get(
            f"{at.address}/api/docs/openapi.json",
            verify=ssl.create_default_context(cafile=at.ca),
            timeout=60,
        ).json()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        try:
            page = browser.new_context(ignore_https_errors=True).new_page()
            asked: list[str] = []
            said: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            page.goto(f"{at.address}/api/docs/swagger")
            page.wait_for_selector("section details")
            shown = page.locator("details").count()
            assert shown == sum(len(methods) for methods in described["paths"].values())
            page.fill("input[name=search]", "get /v1/apitokens tokens")
            row = page.locator("details:visible", has_text="All tokens")
            row.locator("summary").click()
            shown_answer = row.locator("pre").last
            for credentials, expected in (
                ("", "401"),
                (at.token, "200"),
                (f"admin:{PASSWORD}", "200"),
                ("x:y", "401"),
            ):
                page.fill("input[name=credentials]", credentials)
                row.get_by_role("button").click()
                expect(shown_answer).to_contain_text(re.compile(f"^{expected}"), timeout=60_000)
            assert all(url.startswith((at.address, "data:")) for url in asked)
            # The one refused call is said by the browser; nothing else is.
            assert [text for text in said if "401" not in text] == []
        finally:
            browser.close()
