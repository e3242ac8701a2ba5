"""Whom a certificate names."""

from __future__ import annotations

import pytest

from redoubt.wire.identity import Identity, Service, from_certificate

Pairs = list[tuple[str, str]]
GOOD: Pairs = [
    ("commonName", "SENSOR_SERVICE: 6f1d3c52"),
    ("organizationalUnitName", "SENSOR_SERVICE"),
    ("organizationName", "bundle"),
]


def certificate(pairs: Pairs, **more: object) -> dict[str, object]:
    return {"subject": tuple((pair,) for pair in pairs)} | more


def test_a_services_certificate_names_it() -> None:
    told = from_certificate(certificate(GOOD, serialNumber="0AF1", notAfter="Jan  5 09:34:43 2099 GMT"))
    assert told == Identity(Service.SENSOR, "6f1d3c52", "bundle", "0af1", 4071288883)
    assert told is not None
    assert told.valid(4071288882)
    assert not told.valid(4071288883)
    assert str(told) == "SENSOR_SERVICE: 6f1d3c52"


def swapped(key: str, value: str) -> Pairs:
    return [(k, value if k == key else v) for k, v in GOOD]


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("commonName", "localhost")],
        [pair for pair in GOOD if pair[0] != "organizationalUnitName"],
        [pair for pair in GOOD if pair[0] != "commonName"],
        [*GOOD, ("organizationalUnitName", "CENTRAL_SERVICE")],
        [*GOOD, ("commonName", "CENTRAL_SERVICE: Central")],
        [*GOOD, ("organizationName", "another")],
        swapped("organizationalUnitName", "CENTRAL_SERVICE"),
        swapped("commonName", "CENTRAL_SERVICE: Central"),
        swapped("commonName", "SENSOR_SERVICE"),
        swapped("commonName", "SENSOR_SERVICE: "),
        swapped("commonName", "SENSOR_SERVICE: a\nb"),
        swapped("commonName", "SENSOR_SERVICE: " + "a" * 300),
        swapped("organizationName", "a\0b"),
        [("commonName", "UNHEARD_SERVICE: x"), ("organizationalUnitName", "UNHEARD_SERVICE")],
    ],
)
def test_a_certificate_of_another_form_names_nobody(pairs: Pairs) -> None:
    assert from_certificate(certificate(pairs)) is None


@pytest.mark.parametrize("nothing", [None, {}, {"subject": ()}, {"subject": "CN=x"}])
def test_no_certificate_names_nobody(nothing: dict[str, object] | None) -> None:
    assert from_certificate(nothing) is None


def test_labels_are_those_of_the_original() -> None:
    assert [s.label for s in (Service.CENTRAL_DB, Service.SCANNER_V4_MATCHER, Service.ADMISSION_CONTROL)] == [
        "Central DB",
        "Scanner V4 Matcher",
        "Admission Control",
    ]
