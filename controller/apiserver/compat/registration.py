"""The table of what this package adds to the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controller.apiserver.compat import cluster_kinds, events, protobuf
from controller.apiserver.compat.scales import Scales
from controller.apiserver.http.json_bodies import Decoded
from controller.apiserver.http.request_bodies import Decoder
from controller.apiserver.http.requests import ObjectView
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.verbs.writing import Verbs


def _of_protobuf(raw: bytes) -> Decoded:
    return Decoded(protobuf.decode(raw), ())


RESOURCES: tuple[Resource, ...] = (events.RESOURCE, *cluster_kinds.resources())
DECODERS: Mapping[str, Decoder] = {protobuf.CONTENT_TYPE: _of_protobuf}
VIEWS: Mapping[str, Callable[[Verbs], ObjectView]] = {"scale": Scales}
