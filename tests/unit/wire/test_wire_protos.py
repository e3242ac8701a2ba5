"""The protocol definitions and the stubs that are kept beside them."""

from __future__ import annotations

from pathlib import Path

import make_protos
from redoubt.wire.proto.redoubt.v1 import definitions_pb2, failure_pb2, indexer_pb2, matcher_pb2, probes_pb2


def test_the_stubs_are_those_of_the_definitions(tmp_path: Path) -> None:
    stale = [
        str(name)
        for name in make_protos.generate(tmp_path)
        if (tmp_path / name).read_bytes() != (make_protos.SRC / name).read_bytes()
    ]
    assert not stale, "run `make protos`"


def test_no_name_is_of_another_package() -> None:
    for module in (definitions_pb2, failure_pb2, indexer_pb2, matcher_pb2, probes_pb2):
        assert module.DESCRIPTOR.package == "redoubt.v1"
