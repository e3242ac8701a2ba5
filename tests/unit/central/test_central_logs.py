"""The log: levels, and no secrets."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from redoubt.central import logs
from redoubt.central.refusals import InvalidArgument
from support.data import ROOT


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("info", "json", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_a_line_with_its_module(out: io.StringIO) -> None:
    structlog.get_logger("auth").info("wrong password", user="a\nb")
    (line,) = lines(out)
    assert (line["event"], line["module"], line["level"], line["user"]) == (
        "wrong password",
        "auth",
        "info",
        "a\nb",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "geheim"},
        {"admin_password": "geheim"},
        {"api_token": "geheim"},
        {"Authorization": "geheim"},
        {"client_secret": "geheim"},
        {"text": "Authorization: Bearer geheimgeheim"},
        {"text": "Basic geheimgeheim"},
        {"url": "postgresql://central:geheim@db.example/central"},
        {"text": "token eyJhbGciOiJFZERTQSJ9.geheim.geheim was sent"},
    ],
)
def test_secrets_are_blotted_out(out: io.StringIO, fields: dict[str, object]) -> None:
    structlog.get_logger("auth").warning("x", **fields)
    logging.getLogger("library").warning("%s", fields.get("text") or fields.get("url") or "")
    assert out.getvalue()
    assert "geheim" not in out.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_show_no_values(form: str) -> None:
    stream = io.StringIO()
    logs.configure("info", form, stream)
    try:
        try:
            secret = "ge" + "heim"
            raise RuntimeError("no " + str(len(secret)))
        except RuntimeError as error:
            structlog.get_logger("api").error("unforeseen", exc_info=error)
        assert "RuntimeError: no 6" in stream.getvalue()
        assert "geheim" not in stream.getvalue()
    finally:
        structlog.reset_defaults()


def test_levels_are_changed_for_all_and_for_one(out: io.StringIO) -> None:
    auth, api = structlog.get_logger("auth"), structlog.get_logger("api")
    auth.debug("no")
    logs.set_level("Debug", ["auth"])
    auth.debug("yes")
    api.debug("no")
    assert logs.level() == "Info"
    assert logs.module_levels() == {"auth": "Debug"}
    assert logs.module_levels(["auth", "api"]) == {"auth": "Debug", "api": "Info"}
    logs.set_level("error")
    api.warning("no")
    auth.warning("no")
    api.error("yes")
    assert logs.module_levels() == {}
    assert [line["event"] for line in lines(out)] == ["yes", "yes"]


def test_other_libraries_records_come_the_same_way(out: io.StringIO) -> None:
    logging.getLogger("library.part").warning("it %s", "works")
    logging.getLogger("library.part").debug("no")
    (line,) = lines(out)
    assert (line["event"], line["module"], line["level"]) == ("it works", "library", "warning")
    logs._Bridge().emit(logging.LogRecord("library", logging.ERROR, "", 0, "%d", ("geheim",), None))
    assert lines(out)[-1]["event"] == "%d"


def test_unknown_levels_and_modules_are_refused(out: io.StringIO) -> None:
    with pytest.raises(InvalidArgument, match="Loud"):
        logs.set_level("Loud")
    with pytest.raises(InvalidArgument, match="kitchen"):
        logs.set_level("Info", ["kitchen"])
    with pytest.raises(InvalidArgument, match="kitchen"):
        logs.module_levels(["kitchen"])
    with pytest.raises(InvalidArgument):
        logs.configure("loud")


def test_every_module_of_central_that_writes_has_a_level_of_its_own() -> None:
    sources = (ROOT / "src/redoubt/central").rglob("*.py")
    named = {name for path in sources for name in re.findall(r'get_logger\("([a-z.]+)"\)', path.read_text())}
    assert named
    assert named <= logs.MODULES
    with pytest.raises(InvalidArgument, match=r"unknown modules: nosuch; there are activity, .*definitions"):
        logs.set_level("Debug", ["nosuch"])
