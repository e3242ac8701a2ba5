"""CSAF 2.0 documents as VEX: products by purl and digest, their states, flags and impact statements.

https://docs.oasis-open.org/csaf/csaf/v2.0/ (section 4.5: the profile "VEX"). Pure: bytes in, a document out. It reads for
what a user was handed; the feed of Red Hat's documents reads for CPEs and has a reader of its own.
"""

from __future__ import annotations

import msgspec

from redoubt.assessments.statements import (
    Document,
    Product,
    State,
    Statement,
    flaws_of,
    line,
    moment,
    names_of,
    version_of,
)
from redoubt.errors import UnreadableInput

#: Relationships that may lead from one product to what it is a component of.
_HOPS = 5
_MAX_GROUPS = 100  # of one product

#: What a list of products says of them (3.2.3.9), the more cautious last: in one document the last word counts.
_STATES = {
    "known_not_affected": State.NOT_AFFECTED,
    "fixed": State.FIXED,
    "first_fixed": State.FIXED,
    "under_investigation": State.UNDER_INVESTIGATION,
    "last_affected": State.AFFECTED,
    "first_affected": State.AFFECTED,
    "known_affected": State.AFFECTED,
}


class _Tracking(msgspec.Struct):
    id: str
    current_release_date: str
    version: str | int | None = None


class _Header(msgspec.Struct):
    tracking: _Tracking
    csaf_version: str = ""


class _Hash(msgspec.Struct):
    algorithm: str
    value: str


class _Hashes(msgspec.Struct):
    file_hashes: list[_Hash] = []


class _Helper(msgspec.Struct):
    purl: str | None = None
    purls: list[str] | None = None  # CSAF 2.1
    hashes: list[_Hashes] | None = None


class _Product(msgspec.Struct):
    product_id: str
    product_identification_helper: _Helper | None = None


class _Branch(msgspec.Struct):
    branches: list[_Branch] | None = None
    product: _Product | None = None


class _Relationship(msgspec.Struct):
    full_product_name: _Product
    product_reference: str
    relates_to_product_reference: str


class _Group(msgspec.Struct):
    group_id: str
    product_ids: list[str] = []


class _Tree(msgspec.Struct):
    branches: list[_Branch] | None = None
    full_product_names: list[_Product] | None = None
    relationships: list[_Relationship] | None = None
    product_groups: list[_Group] | None = None


class _Flag(msgspec.Struct):
    label: str
    product_ids: list[str] | None = None
    group_ids: list[str] | None = None


class _Threat(msgspec.Struct):
    category: str
    details: str = ""
    product_ids: list[str] | None = None
    group_ids: list[str] | None = None


class _Id(msgspec.Struct):
    text: str


class _Vulnerability(msgspec.Struct):
    cve: str | None = None
    ids: list[_Id] | None = None
    product_status: dict[str, list[str]] | None = None
    flags: list[_Flag] | None = None
    threats: list[_Threat] | None = None


class _Document(msgspec.Struct):
    document: _Header
    product_tree: _Tree | None = None
    vulnerabilities: list[_Vulnerability] = []


_decode = msgspec.json.Decoder(_Document).decode


def read(data: bytes, file: str) -> Document:
    """The document in ``data``. Raises ``UnreadableInput``; msgspec's and recursion errors pass through."""
    found = _decode(data)
    header = found.document
    if not header.csaf_version.startswith("2."):
        raise UnreadableInput(f"{file}: CSAF {header.csaf_version[:20]!r} is not read here; 2.0 is")
    time = moment(header.tracking.current_release_date, file)
    products = _Products(found.product_tree)
    statements: list[Statement] = []
    unaddressed = 0
    for flaw in found.vulnerabilities:
        made, lost = _statements(flaw, products, time)
        statements += made
        unaddressed += lost
    return Document(
        file=file,
        id=line(header.tracking.id),
        version=version_of(header.tracking.version),
        time=time,
        statements=tuple(statements),
        unaddressed=unaddressed,
    )


def _statements(flaw: _Vulnerability, products: _Products, time: float) -> tuple[list[Statement], int]:
    """A statement for each state and its reason, and how many products could not be told."""
    flaws = flaws_of([flaw.cve, *(item.text for item in flaw.ids or ())])
    said = flaw.product_status or {}
    labels = _Words([(item.label, item.product_ids, item.group_ids) for item in flaw.flags or ()])
    impacts = _Words(
        [
            (item.details, item.product_ids, item.group_ids)
            for item in flaw.threats or ()
            if item.category == "impact"
        ]
    )
    alike: dict[tuple[State, str, str], list[Product]] = {}
    lost = 0
    for key, state in _STATES.items():
        for product_id in dict.fromkeys(said.get(key, ())):
            product = products.product(product_id) if flaws else None
            if product is None:
                lost += 1
                continue
            groups = products.groups(product_id)
            why = ("", "")
            if state is State.NOT_AFFECTED:
                why = (labels.of(product_id, groups), impacts.of(product_id, groups))
            alike.setdefault((state, *why), []).append(product)
    made = [
        Statement(flaws, tuple(named), state, time, justification=line(label), reason=line(impact))
        for (state, label, impact), named in alike.items()
    ]
    return made, lost


class _Words:
    """Words about products or groups of them: the first about a product is its own."""

    def __init__(self, said: list[tuple[str, list[str] | None, list[str] | None]]) -> None:
        self._of_products: dict[str, str] = {}
        self._of_groups: dict[str, str] = {}
        self._of_all = ""
        for word, product_ids, group_ids in said:
            for product_id in product_ids or ():
                self._of_products.setdefault(product_id, word)
            for group_id in group_ids or ():
                self._of_groups.setdefault(group_id, word)
            if not product_ids and not group_ids:
                self._of_all = self._of_all or word

    def of(self, product_id: str, groups: list[str]) -> str:
        """The word about a product that is in ``groups``; empty where there is none."""
        if (word := self._of_products.get(product_id)) is not None:
            return word
        return next((self._of_groups[group] for group in groups if group in self._of_groups), self._of_all)


class _Products:
    """The product tree of one document, by product id."""

    def __init__(self, tree: _Tree | None) -> None:
        self._names: dict[str, tuple[str, ...]] = {}
        self._relations: dict[str, list[tuple[str, str]]] = {}
        self._groups: dict[str, list[str]] = {}
        self._known: dict[str, Product | None] = {}
        if tree is None:
            return
        waiting = list(tree.branches or ())
        listed = list(tree.full_product_names or ())
        while waiting:
            branch = waiting.pop()
            if branch.product:
                listed.append(branch.product)
            waiting += branch.branches or ()
        for relation in tree.relationships or ():
            listed.append(relation.full_product_name)
            pairs = self._relations.setdefault(relation.full_product_name.product_id, [])
            pairs.append((relation.product_reference, relation.relates_to_product_reference))
        for product in listed:
            if names := _names(product.product_identification_helper):
                self._names[product.product_id] = names
        for group in tree.product_groups or ():
            for product_id in dict.fromkeys(group.product_ids):
                groups = self._groups.setdefault(product_id, [])
                if len(groups) < _MAX_GROUPS:
                    groups.append(group.group_id)

    def groups(self, product_id: str) -> list[str]:
        """The groups that a product is in."""
        return self._groups.get(product_id, [])

    def product(self, product_id: str) -> Product | None:
        """What a product id in a state stands for; None where nothing that can be compared names it."""
        if product_id not in self._known:
            self._known[product_id] = self._product(product_id)
        return self._known[product_id]

    def _product(self, product_id: str) -> Product | None:
        pairs = self._relations.get(product_id)
        if not pairs:
            names = self._names.get(product_id, ())
            return Product(names) if names else None
        if len(pairs) > 1:  # one id for two things: nobody can tell which
            return None
        component, whole = pairs[0]
        part, outer = self._part(component), self._whole(whole)
        return Product(outer, (part,)) if part and outer else None

    def _part(self, product_id: str) -> tuple[str, ...]:
        """The names of a component, which may itself be said as part of another."""
        for _ in range(_HOPS):
            pairs = self._relations.get(product_id, ())
            if (names := self._names.get(product_id)) or len(pairs) != 1:
                return names or ()
            product_id = pairs[0][0]
        return ()

    def _whole(self, product_id: str) -> tuple[str, ...]:
        """The names of the nearest thing that can be compared, of those that a component is in."""
        for _ in range(_HOPS):
            pairs = self._relations.get(product_id, ())
            if (names := self._names.get(product_id)) or len(pairs) != 1:
                return names or ()
            if names := self._part(pairs[0][0]):
                return names
            product_id = pairs[0][1]
        return ()


def _names(helper: _Helper | None) -> tuple[str, ...]:
    if helper is None:
        return ()
    digests = [
        f"sha256:{item.value.lower()}"
        for hashes in helper.hashes or ()
        for item in hashes.file_hashes
        if item.algorithm.lower().replace("-", "") == "sha256"
    ]
    return names_of([helper.purl, *(helper.purls or ()), *digests])
