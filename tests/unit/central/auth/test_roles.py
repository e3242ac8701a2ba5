"""Default roles and what they give."""

from __future__ import annotations

import pytest

from redoubt.central.auth.roles import (
    DEFAULT_PERMISSION_SETS,
    DEFAULT_ROLES,
    DENY_ALL,
    UNRESTRICTED,
    Access,
    AccessScope,
    AccessWord,
    Level,
    PermissionSet,
    Resolved,
    Resource,
    Role,
    combined,
    default,
    excess,
    resolve,
)
from support.centrals import caller


def custom(resource: Resource, access: Access, scope: str) -> Resolved:
    found = PermissionSet(id="1", name="mine", resource_to_access={resource.value: access.word})
    return resolve(Role(name="mine"), found, AccessScope(id=scope, name=scope))


def test_there_are_the_originals_roles() -> None:
    assert set(DEFAULT_ROLES) == {
        "Admin",
        "Analyst",
        "Configuration Controller",
        "Continuous Integration",
        "Network Graph Viewer",
        "None",
        "Sensor Creator",
        "Vulnerability Management Approver",
        "Vulnerability Management Requester",
        "Vulnerability Report Creator",
    }
    assert {found.name for found in DEFAULT_PERMISSION_SETS.values()} == set(DEFAULT_ROLES) | {
        "Vulnerability Management Admin",
        "Vulnerability Management Consumer",
    }
    assert len(Resource) == 26


def test_an_analyst_reads_everything_but_the_administration() -> None:
    held = combined([default("Analyst")])
    assert held.pop(Resource.ADMINISTRATION) is Access.NO
    assert set(held.values()) == {Access.READ}


def test_none_gives_nothing_and_admin_everything() -> None:
    assert set(combined([default("None")]).values()) == {Access.NO}
    assert set(combined([default("Admin")]).values()) == {Access.READ_WRITE}


@pytest.mark.parametrize("scope", [DENY_ALL, "some"])
def test_scopes_touch_what_can_be_scoped_and_nothing_else(scope: str) -> None:
    administration = custom(Resource.ADMINISTRATION, Access.READ_WRITE, scope)
    assert administration.gives(Resource.ADMINISTRATION, everywhere=True) is Access.READ_WRITE
    image = custom(Resource.IMAGE, Access.READ, scope)
    assert image.gives(Resource.IMAGE, everywhere=True) is Access.NO
    assert image.gives(Resource.IMAGE) is (Access.NO if scope == DENY_ALL else Access.READ)


def test_several_roles_give_the_most_of_each_but_not_together() -> None:
    held = combined(
        [custom(Resource.IMAGE, Access.READ_WRITE, "some"), custom(Resource.IMAGE, Access.READ, UNRESTRICTED)]
    )
    assert held[Resource.IMAGE] is Access.READ_WRITE
    everywhere = combined(
        [
            custom(Resource.IMAGE, Access.READ_WRITE, "some"),
            custom(Resource.IMAGE, Access.READ, UNRESTRICTED),
        ],
        everywhere=True,
    )
    assert everywhere[Resource.IMAGE] is Access.READ


def test_a_role_whose_parts_are_gone_gives_nothing() -> None:
    assert set(combined([resolve(Role(name="x"), None, AccessScope(id=UNRESTRICTED))]).values()) == {
        Access.NO
    }
    found = DEFAULT_PERMISSION_SETS[DEFAULT_ROLES["Admin"].permission_set_id]
    assert set(combined([resolve(Role(name="x"), found, None)]).values()) == {Access.NO}


def test_unknown_resources_give_nothing() -> None:
    found = PermissionSet(id="1", resource_to_access={"Everything": AccessWord.READ_WRITE})
    assert resolve(Role(), found, AccessScope(id=UNRESTRICTED)).permissions == {}


def test_more_than_is_held_is_told() -> None:
    admin, analyst, ci = default("Admin"), default("Analyst"), default("Continuous Integration")
    assert excess([admin], [admin, analyst, ci]) == []
    assert excess([analyst], [ci]) == ["Image with READ_WRITE_ACCESS in scope 'Unrestricted'"]
    assert excess([], [default("None")]) == []
    assert len(excess([analyst], [admin])) == len(Resource)


def test_a_permission_is_covered_in_its_own_scope_or_everywhere() -> None:
    here = custom(Resource.IMAGE, Access.READ, "here")
    there = custom(Resource.IMAGE, Access.READ, "there")
    assert excess([here], [here]) == []
    assert excess([here], [there]) != []
    assert excess([default("Analyst")], [there]) == []
    assert excess([here], [custom(Resource.IMAGE, Access.READ, DENY_ALL)]) == []
    assert excess([here], [custom(Resource.IMAGE, Access.READ, UNRESTRICTED)]) != []
    assert excess([], [custom(Resource.ACCESS, Access.READ, DENY_ALL)]) != []


def test_watched_images_open_what_replaced_them() -> None:
    role = custom(Resource.WATCHED_IMAGE, Access.READ_WRITE, UNRESTRICTED)
    assert caller(roles=[role]).may(Resource.IMAGE_ADMINISTRATION, Access.READ_WRITE)
    assert not caller(roles=[role]).may(Resource.IMAGE, Access.READ)


def test_levels_are_the_originals() -> None:
    assert Resource.IMAGE.level is Level.NAMESPACE
    assert Resource.CLUSTER.level is Level.CLUSTER
    assert Resource.ACCESS.level is Level.GLOBAL
