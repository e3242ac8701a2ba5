"""What is left in sight when layers lie over each other, and which layer brought it."""

from __future__ import annotations

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexing import Lines, Memory, digest

from ociwriter import Entry, directory, hardlink, layer_tar, opaque, symlink, whiteout
from redoubt.indexer.index import index_image
from redoubt.model import IndexReport, ProblemKind

DB = "db/list"


def index(*layers: list[Entry]) -> IndexReport:
    tars = [layer_tar(entries) for entries in layers]
    source = Memory(tars, tars)
    return index_image(source, source.resolve(None), catalogers=[Lines()])


def found(*layers: list[Entry]) -> dict[str, list[str]]:
    """Package → ``PATH@LAYER NUMBER`` of each location."""
    report = index(*layers)
    assert report.problems == ()
    number = {layer.diff_id: n for n, layer in enumerate(report.layers)}
    return {
        f"{p.name} {p.version}": [f"{place.path}@{number[place.layer]}" for place in p.locations]
        for p in report.packages
    }


def db(*lines: str, path: str = DB) -> Entry:
    return Entry(path, "\n".join(lines).encode())


def other(path: str = "etc/other") -> Entry:
    """Something that keeps layers with the same content apart."""
    return Entry(path, b"x")


def test_a_package_is_told_with_its_file_and_layer() -> None:
    assert found([other()], [db("a 1")]) == {"a 1": ["db/list@1"]}


def test_a_database_written_anew_keeps_the_layer_that_first_brought_each_package() -> None:
    assert found([db("a 1", "b 1")], [db("a 1", "b 2", "c 1")]) == {
        "a 1": ["db/list@0"],
        "b 2": ["db/list@1"],
        "c 1": ["db/list@1"],
    }


def test_a_package_that_was_away_is_introduced_again() -> None:
    assert found([db("a 1", "z 1")], [db("z 1")], [other(), db("a 1", "z 1")]) == {
        "a 1": ["db/list@2"],
        "z 1": ["db/list@0"],
    }


def test_a_file_that_was_removed_and_came_back_begins_a_new_run() -> None:
    assert found([db("a 1")], [whiteout(DB)], [other(), db("a 1")]) == {"a 1": ["db/list@2"]}


def test_a_file_replaced_in_one_layer_by_marker_and_file_stays_an_unbroken_run() -> None:
    assert found([db("a 1")], [whiteout(DB), db("a 1")]) == {"a 1": ["db/list@0"]}


def test_the_same_package_in_several_files_is_one_with_several_places() -> None:
    assert found([db("a 1", path="x/db/list"), db("a 1")], [db("a 1", path="w/db/list")]) == {
        "a 1": ["db/list@0", "w/db/list@1", "x/db/list@0"]
    }


@pytest.mark.parametrize(
    "upper",
    [
        [whiteout(DB)],
        [whiteout("db")],
        [opaque("db")],
        [Entry(".wh..wh..opq")],
        [symlink(DB, "elsewhere")],
        [Entry(DB, kind=tarfile.FIFOTYPE)],
        [Entry("db", b"now a file")],
        [symlink("db", "nowhere")],
        [directory(DB)],
        [Entry(DB, b"")],
        [Entry("db", kind=tarfile.CHRTYPE)],
        [hardlink("db", "etc/other")],
    ],
    ids=lambda upper: f"{upper[0].path}-{upper[0].kind.decode()}",
)
def test_what_an_upper_layer_removes_or_covers_is_gone(upper: list[Entry]) -> None:
    assert found([db("a 1"), other()], upper) == {}
    assert found([db("a 1"), other()], [other()], upper, [other("more")]) == {}


@pytest.mark.parametrize(
    "upper",
    [
        [whiteout("db/lis")],
        [whiteout("db/list2")],
        [whiteout("b/list")],
        [opaque("d")],
        [opaque("db/list")],
        [directory("db")],
        [Entry("db/lis", b"x")],
        [Entry("x/db/list", b"")],
        [Entry("db/.wh..wh.aufs")],
        [Entry(".wh..wh.plnk")],
        [Entry("db/.wh..wh.list")],
        [Entry("a\ndb/list")],
        [Entry("db/list\n")],
    ],
    ids=lambda upper: upper[0].path,
)
def test_what_does_not_touch_it_leaves_it_there(upper: list[Entry]) -> None:
    assert found([db("a 1")], upper) == {"a 1": ["db/list@0"]}


@pytest.mark.parametrize("marker", [whiteout(DB), whiteout("db"), opaque("db"), Entry(".wh..wh..opq")])
@pytest.mark.parametrize("first", [True, False])
def test_a_marker_does_not_touch_its_own_layer(marker: Entry, first: bool) -> None:
    layer = [marker, db("b 1")] if first else [db("b 1"), marker]
    assert found([db("a 1")], layer) == {"b 1": ["db/list@1"]}
    assert found(layer) == {"b 1": ["db/list@0"]}


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh..."])
def test_a_whiteout_of_no_name_is_hostile_and_changes_nothing(name: str) -> None:
    report = index([db("a 1")], [Entry(f"db/{name}")])
    assert [package.name for package in report.packages] == ["a"]
    assert [problem.kind for problem in report.problems] == [ProblemKind.HOSTILE]
    assert report.problems[0].layer == report.layers[1].diff_id


def test_a_covered_folder_takes_everything_below_with_it() -> None:
    lower = [
        db("a 1", path="app/x/db/list"),
        db("b 1", path="app/y/z/db/list"),
        db("c 1", path="apps/db/list"),
    ]
    assert found(lower, [Entry("app", b"file")]) == {"c 1": ["apps/db/list@0"]}


def test_a_folder_over_a_link_takes_its_place() -> None:
    lower = [db("a 1", path="real/list"), symlink("db", "real")]
    assert found(lower) == {"a 1": ["real/list@0"]}
    assert found(lower, [directory("db")]) == {}


def test_problems_of_a_file_leave_with_the_file() -> None:
    assert len(index([db("!")]).problems) == 1
    assert index([db("!")], [db("a 1")]).problems == ()
    assert index([db("!")], [whiteout("db")]).problems == ()


def test_the_last_of_several_entries_with_one_path_counts() -> None:
    assert found([db("a 1"), db("b 1")]) == {"b 1": ["db/list@0"]}
    assert found([db("a 1"), symlink(DB, "nowhere")]) == {}
    assert found([db("a 1"), directory(DB)]) == {}
    assert found([db("a 1"), Entry("db", b"file")]) == {}
    assert found([symlink(DB, "nowhere"), db("a 1")]) == {"a 1": ["db/list@0"]}
    assert found([db("a 1"), Entry("db", b"file"), db("b 1")]) == {"b 1": ["db/list@0"]}


# --- links


def test_a_hard_link_with_a_wanted_name_says_what_its_target_says() -> None:
    assert found([db("a 1"), hardlink("x/db/list", DB)]) == {"a 1": ["db/list@0", "x/db/list@0"]}


def test_a_hard_link_to_an_unwanted_name_is_collected() -> None:
    assert found([Entry("blob", b"a 1"), hardlink(DB, "blob")]) == {"a 1": ["db/list@0"]}
    assert found([Entry("blob", b"a 1"), hardlink(DB, "./blob"), symlink(DB, "gone")]) == {}


def test_a_hard_link_with_an_unwanted_name_is_not_a_second_database() -> None:
    assert found([db("a 1"), hardlink("db/list-old", DB)]) == {"a 1": ["db/list@0"]}


def test_a_hard_link_to_a_lower_layer_is_followed() -> None:
    assert found([Entry("blob", b"a 1")], [hardlink(DB, "blob")]) == {"a 1": ["blob@0"]}


def test_hard_links_of_a_streamed_file_are_places_of_it() -> None:
    program = Entry("usr/bin/tool", b"#GO mod 1\n", 0o755)
    assert found([program, hardlink("usr/bin/same", "usr/bin/tool")]) == {
        "mod 1": ["usr/bin/same@0", "usr/bin/tool@0"]
    }


@pytest.mark.parametrize(
    ("links", "real"),
    [
        ([symlink("db", "usr/share/db")], "usr/share/db/list"),
        ([symlink("db", "/usr/share/db")], "usr/share/db/list"),
        ([symlink("db", "../../../usr/share/db")], "usr/share/db/list"),
        ([symlink(DB, "list.real")], "db/list.real"),
        ([symlink(DB, "../data/store")], "data/store"),
        ([symlink("db", "one"), symlink("one", "two"), symlink("two", "deep/three")], "deep/three/list"),
        ([symlink(DB, "one"), symlink("db/one", "/a/two"), symlink("a", "b")], "b/two"),
        ([symlink("db", "./x//y/./../y")], "x/y/list"),
    ],
)
@pytest.mark.parametrize("link_first", [True, False])
def test_a_linked_database_is_found_where_it_is(links: list[Entry], real: str, link_first: bool) -> None:
    target = [db("a 1", path=real)]
    assert found(links + target if link_first else target + links) == {"a 1": [f"{real}@0"]}
    if link_first:
        assert found(links, target) == {"a 1": [f"{real}@1"]}
    else:
        assert found(target, links) == {"a 1": [f"{real}@0"]}


def test_a_database_reached_by_two_paths_is_counted_once() -> None:
    layer = [db("a 1", path="usr/db/list"), symlink("db", "usr/db")]
    assert found(layer) == {"a 1": ["usr/db/list@0"]}


def test_writing_through_a_linked_folder_replaces_the_one_database() -> None:
    lower = [db("a 1", "b 1", path="usr/db/list"), symlink("db", "usr/db")]
    assert found(lower, [db("a 1", "c 1")]) == {"a 1": ["usr/db/list@0"], "c 1": ["usr/db/list@1"]}
    assert found(lower, [whiteout(DB)]) == {}
    assert found(lower, [opaque("db")]) == {}


def test_links_in_circles_and_to_nothing_find_nothing() -> None:
    for links in (
        [symlink(DB, "list")],
        [symlink("db", "db2"), symlink("db2", "db")],
        [symlink("db", "nowhere")],
    ):
        assert found(links) == {}
    assert found([symlink("db", "/" + "../" * 1300)]) == {}


def test_an_opaque_folder_behind_a_circle_of_links_hides_nothing() -> None:
    lower = [db("a 1", path="x/db/list"), symlink("db", "etc"), symlink("etc", "db")]
    assert found(lower, [opaque("db")]) == {"a 1": ["x/db/list@0"]}


def test_a_link_that_is_covered_is_not_followed() -> None:
    real = db("a 1", path="data/store")
    assert found([real, symlink(DB, "../data/store")], [db("b 1")]) == {"b 1": ["db/list@1"]}
    assert found([real, symlink(DB, "../data/store")], [whiteout(DB)]) == {}


def test_a_linked_target_is_followed_in_the_layer_on_top() -> None:
    link = symlink(DB, "../data/store")
    lower, upper = db("a 1", path="data/store"), db("a 1", "b 1", path="data/store")
    assert found([link, lower], [upper]) == {"a 1": ["data/store@0"], "b 1": ["data/store@1"]}
    assert found([link, lower], [whiteout("data/store")]) == {}
    assert found([link, lower], [Entry("data", b"file")]) == {}


# --- the distribution


def test_etc_os_release_goes_before_the_one_in_usr_lib() -> None:
    both = [Entry("usr/lib/os-release", b"lower"), Entry("etc/os-release", b"upper")]
    assert index(both).distribution.id == "upper"  # type: ignore[union-attr]
    assert index(both, [whiteout("etc/os-release")]).distribution.id == "lower"  # type: ignore[union-attr]


def test_a_linked_os_release_is_the_one_it_leads_to() -> None:
    layer = [
        symlink("etc/os-release", "../usr/lib/os-release"),
        Entry("usr/lib/os-release", b"right"),
        Entry("a/os-release", b"wrong"),
    ]
    assert index(layer).distribution.id == "right"  # type: ignore[union-attr]
    elsewhere = [symlink("etc/os-release", "../opt/rel"), Entry("opt/rel", b"far")]
    assert index(elsewhere).distribution.id == "far"  # type: ignore[union-attr]


def test_an_image_without_os_release_has_no_distribution() -> None:
    assert index([db("a 1")]).distribution is None


# --- against a plain model

NAMES = ["db/list", "x/db/list", "x/y/db/list", "x", "x/y", "db", "x/y/db"]


@st.composite
def changes(draw: st.DrawFn) -> Entry:
    path = draw(st.sampled_from(NAMES))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return whiteout(path)
    if kind == 1:
        return opaque(path)
    if kind == 2:
        return Entry(path, kind=tarfile.FIFOTYPE)
    if kind == 3:
        return directory(path)
    return db(f"p{draw(st.integers(0, 3))} 1", path=path if path.endswith("list") else path + "/db/list")


def applied(layers: list[list[Entry]]) -> set[tuple[str, str]]:
    """What a plain unpacking of the layers leaves: (path, content) of every database."""
    tree: dict[str, str | None] = {}  # path → content, None for a folder

    def drop(path: str, keep_itself: bool = False) -> None:
        for old in [old for old in tree if old.startswith(path + "/") or (old == path and not keep_itself)]:
            del tree[old]

    for layer in layers:
        entries = {entry.path: entry for entry in layer}
        for path in entries:
            folder, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                drop(folder, keep_itself=True)
            elif name.startswith(".wh."):
                drop(f"{folder}/{name[4:]}" if folder else name[4:])
        for path, entry in entries.items():
            if "/.wh." in path or path.startswith(".wh."):
                continue
            if entry.kind == tarfile.DIRTYPE:
                if tree.get(path) is not None:
                    del tree[path]
                tree[path] = None
                continue
            drop(path)
            tree[path] = entry.data.decode() if entry.kind == tarfile.REGTYPE else ""
    return {(path, content) for path, content in tree.items() if content and path.endswith("db/list")}


def sound(layer: list[Entry]) -> bool:
    """A layer that can be unpacked: nothing lies below what is not a folder, and no path is there twice."""
    files = {e.path for e in layer if e.kind != tarfile.DIRTYPE and ".wh." not in e.path}
    everything = [e.path for e in layer]
    return len(set(everything)) == len(everything) and not any(
        path.startswith(file + "/") for file in files for path in everything
    )


@settings(max_examples=250, deadline=None)
@given(st.lists(st.lists(changes(), max_size=4).filter(sound), min_size=1, max_size=4))
def test_random_layers_leave_what_a_plain_unpacking_leaves(layers: list[list[Entry]]) -> None:
    # An upper layer must not put something below a lower file without a folder entry: no runtime unpacks that.
    for number, layer in enumerate(layers):
        for entry in layer:
            parts = entry.path.split("/")
            above = {"/".join(parts[:n]) for n in range(1, len(parts))}
            below = {e.path for lower in layers[:number] for e in lower if e.kind != tarfile.DIRTYPE}
            if above & below:
                return
    report = index(*layers)
    got = {(place.path, f"{p.name} {p.version}") for p in report.packages for place in p.locations}
    assert got == applied(layers)


def test_layers_that_are_the_same_are_read_once_and_told_twice() -> None:
    tar = layer_tar([db("a 1")])
    source = Memory([tar, tar], [tar, tar])
    report = index_image(source, source.resolve(None), catalogers=[Lines()])
    assert [layer.diff_id for layer in report.layers] == [digest(tar)] * 2
    assert source.opened == [digest(tar)]
