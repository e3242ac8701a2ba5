"""What integrations mean, which one an image gets, and what never shows of them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from redoubt.central.integrations import defaults, ecr, pullsecrets, records, secrecy
from redoubt.central.integrations.records import MASK, EcrConfig, ImageIntegration, Place
from redoubt.central.integrations.registries import chosen
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.integrations import Row
from redoubt.indexer.sources.reference import parse_reference


def integration(**more: Any) -> ImageIntegration:
    body = {
        "name": "x",
        "type": "docker",
        "categories": ["REGISTRY"],
        "docker": {"endpoint": "registry.example", "username": "u", "password": "secret"},
        **more,
    }
    return msgspec.convert(body, ImageIntegration)


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("registry.example", Place("registry.example")),
        ("https://Registry.Example/", Place("registry.example")),
        ("https://registry.example:443", Place("registry.example")),
        ("http://registry.example:5000/v2/", Place("registry.example:5000")),
        ("registry.example:5000/team/shop", Place("registry.example:5000", "team/shop")),
        ("https://index.docker.io/v1/", Place("docker.io")),
        ("registry-1.docker.io/library", Place("docker.io", "library")),
        ("[::1]:5000", Place("[::1]:5000")),
    ],
)
def test_endpoints_name_a_registry_or_a_part_of_it(endpoint: str, place: Place) -> None:
    assert records.place_of(endpoint) == place


@pytest.mark.parametrize(
    "endpoint",
    ["", "https://", "ftp://x", "u:p@x", "x?y", "x#y", "a b", "x/Team", "x/../y?", "https://[", "x:99999999"],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidArgument):
        records.place_of(endpoint)


def test_every_type_has_its_configuration_and_no_other() -> None:
    for kind, field in records.TYPES.items():
        config = {"endpoint": "registry.example"}
        checked = records.checked(_of(kind, field, config))
        assert records.place(checked) == Place("registry.example")
        with pytest.raises(InvalidArgument, match="exactly one"):
            records.checked(msgspec.structs.replace(checked, **{field: None}))
    with pytest.raises(InvalidArgument, match="exactly one"):
        records.checked(integration(quay={"endpoint": "quay.example"}))


def _of(kind: str, field: str, config: dict[str, str]) -> ImageIntegration:
    body = {"name": "x", "type": kind, "categories": ["REGISTRY"], field: config}
    return msgspec.convert(body, ImageIntegration)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"type": "clairify"}, "no type of registry"),
        ({"categories": []}, "require a category"),
        ({"categories": ["REGISTRY", "SCANNER"]}, "own Scanner"),
        ({"ca": "x"}, "PEM"),
        ({"ca": "ü"}, "PEM"),
        ({"tokenHosts": ["https://x"]}, "tokenHosts"),
        ({"blobHosts": ["x:443"]}, "without scheme and port"),
        ({"blobHosts": [f"h{n}" for n in range(60)]}, "at most"),
        ({"type": "ecr", "docker": None, "ecr": {"region": "x", "useIam": True}}, "no role"),
        ({"type": "ecr", "docker": None, "ecr": {"region": "x"}}, "registryId"),
        (
            {"type": "google", "docker": None, "google": {"endpoint": "gcr.example", "wifEnabled": True}},
            "workload identities",
        ),
    ],
)
def test_what_cannot_work_is_said(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        records.checked(integration(**more))


def test_an_old_azure_integration_is_taken() -> None:
    found = records.checked(integration(type="azure"))
    assert found.docker is None
    assert found.azure is not None
    assert (found.azure.endpoint, found.azure.password) == ("registry.example", "secret")


def test_an_ecr_is_found_by_account_and_region() -> None:
    made = _of("ecr", "ecr", {"registryId": "123456789012", "region": "eu-central-1"})
    assert records.place(made).host == "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


def row(endpoint: str, *, pull_secret: str = "", sealed: bytes | None = b"x", record: str = "") -> Row:
    made = integration(docker={"endpoint": endpoint})
    return Row(
        id=uuid4(),
        name=endpoint,
        pull_secret=pull_secret,
        record=record or msgspec.json.encode(made).decode(),
        sealed=sealed,
    )


def test_the_longest_part_of_the_name_counts_and_then_what_somebody_made() -> None:
    rows = [
        row("registry.example"),
        row("registry.example/team"),
        row("registry.example/team/shop", pull_secret="ci"),
        row("registry.example:5000"),
        row("broken", record="{"),
    ]

    def found(text: str) -> str:
        best = chosen(rows, parse_reference(text))
        return best.name if best else ""

    assert found("registry.example/other:1") == "registry.example"
    assert found("registry.example/team/other") == "registry.example/team"
    assert found("registry.example/team/shop:1") == "registry.example/team/shop"
    assert found("registry.example/team/shopping:1") == "registry.example/team"
    assert found("registry.example/teams/x") == "registry.example"
    assert found("registry.example:5000/x") == "registry.example:5000"
    assert found("alpine") == ""
    own, secret = row("r.example"), row("r.example", pull_secret="ci")
    assert chosen([secret, own], parse_reference("r.example/x")) is own
    empty = row("r.example", sealed=None)
    assert chosen([empty, own], parse_reference("r.example/x")) is own


def test_secrets_of_every_type_are_taken_apart_and_put_together() -> None:
    whole = msgspec.convert(
        {
            "docker": {"endpoint": "a", "password": "1"},
            "quay": {"oauthToken": "2", "registryRobotCredentials": {"username": "r", "password": "3"}},
            "ecr": {"accessKeyId": "4", "secretAccessKey": "5", "authorizationData": {"password": "6"}},
            "google": {"serviceAccount": "7"},
            "azure": {"password": "8"},
            "ibm": {"apiKey": "9"},
        },
        ImageIntegration,
    )
    shown, secrets = secrecy.apart(whole)
    assert sorted(secrets.values()) == [str(n) for n in range(1, 10)]
    text = msgspec.json.encode(shown).decode()
    assert text.count(MASK) == 9
    assert secrecy.together(shown, secrets) == whole
    assert secrecy.together(shown, {}).docker == records.DockerConfig(endpoint="a")
    for path in secrets:
        with pytest.raises(InvalidArgument, match=path):
            secrecy.refuse_mask(secrecy.together(whole, {**secrets, path: MASK}))


def test_no_field_that_sounds_secret_is_left_out() -> None:
    """A new field of a configuration is thought of."""
    known = {path[-1] for path in records.SECRETS}
    for field in ("docker", "quay", "ecr", "google", "azure", "ibm"):
        kinds = [records.DockerConfig, records.QuayConfig, records.EcrConfig, records.GoogleConfig]
        kinds += [records.AzureConfig, records.IbmConfig, records.RobotAccount, records.AuthorizationData]
        assert field in {path[0] for path in records.SECRETS}
    for kind in kinds:
        for each in msgspec.structs.fields(kind):
            loud = any(word in each.encode_name.lower() for word in ("password", "secret", "token", "key"))
            assert not loud or each.encode_name in known, each.encode_name


@pytest.mark.parametrize("encoded", [False, True])
def test_a_pull_secret_is_an_integration_for_each_of_its_registries(encoded: bool) -> None:
    login = base64.b64encode(b"me:pass:word").decode()
    text = json.dumps(
        {
            "auths": {
                "https://index.docker.io/v1/": {"auth": login},
                "registry.example/team": {"username": "u", "password": "p"},
                "token.example": {"auth": login, "identitytoken": "t"},
                "empty.example": {},
            }
        }
    )
    made = pullsecrets.integrations("ci", base64.b64encode(text.encode()).decode() if encoded else text)
    told = [
        (each.docker.endpoint, each.docker.username, each.docker.password) for each in made if each.docker
    ]
    assert told == [
        ("index.docker.io", "me", "pass:word"),
        ("registry.example/team", "u", "p"),
        ("token.example", "<token>", "t"),
    ]
    assert made == pullsecrets.integrations("ci", text)
    assert next(records.place(records.checked(each)).host for each in made) == "docker.io"


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"auths": []}', '{"auths": {}}', '{"auths": {"x": 1}}', "e30=", "%%%"),
        '{"auths": {"x": {"auth": "bm8="}}}',
        '{"auths": {"x": {"auth": "/w=="}}}',
        '{"auths": ' * 5000,
        "x" * (2 << 20),
        json.dumps({"auths": {f"r{n}.example": {"username": "u"} for n in range(600)}}),
    ],
)
def test_what_is_no_pull_secret_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        pullsecrets.integrations("ci", text)
    assert len(str(refused.value)) < 300


def test_a_request_to_amazon_is_signed_as_amazon_says() -> None:
    """The signature was compared with botocore's of the same request."""
    config = EcrConfig(region="eu-central-1", access_key_id="AKIDEXAMPLE", secret_access_key="secret/key+1")
    headers = ecr.signed(
        "api.ecr.eu-central-1.amazonaws.com", b"{}", config, datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    assert headers["x-amz-date"] == "20990102T030405Z"
    assert headers["Authorization"].endswith(SIGNATURE)
    assert "secret" not in str(headers)


SIGNATURE = "Signature=7dc7dd1e8ec78193a9b2f329c752531928e37eddd3b83492440dab45f20a19e9"


def test_public_registries_are_in_order() -> None:
    assert len({each.id for each in defaults.PUBLIC}) == len({each.name for each in defaults.PUBLIC})
    for each in defaults.PUBLIC:
        assert records.checked(each) == each
        assert secrecy.apart(each)[1] == {}
