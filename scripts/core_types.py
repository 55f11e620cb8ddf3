"""Writes controller/apiserver/kinds/core_types.txt: the fields of Kubernetes' own kinds, read from its Go modules.

usage: core_types.py   needs Go; the modules are those pinned in tests/cluster/mod-kubernetes

One block per type, one line per field: JSON name, protobuf number, Go type with its package, then marks: ``zero``
(written even when zero), ``merge=KEY`` (strategic patches), ``list=KIND``, ``keys=A,B``, ``map=atomic`` (server-side
apply).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[1]
MODULE = PROJECT / "tests/cluster/mod-kubernetes"
TARGET = PROJECT / "controller/apiserver/kinds/core_types.txt"
PACKAGES = {
    "meta": "k8s.io/apimachinery/pkg/apis/meta/v1",
    "core": "k8s.io/api/core/v1",
    "events": "k8s.io/api/events/v1",
    "coordination": "k8s.io/api/coordination/v1",
    "authentication": "k8s.io/api/authentication/v1",
    "authorization": "k8s.io/api/authorization/v1",
    "extensions": "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1",
}
ROOTS = (
    "core.Namespace", "core.Secret", "core.ConfigMap", "core.ServiceAccount", "core.Event", "core.Node", "core.Service",
    "events.Event", "coordination.Lease", "extensions.CustomResourceDefinition", "meta.DeleteOptions", "meta.ListMeta",
    "authentication.TokenRequest", "authentication.TokenReview", "authentication.SelfSubjectReview",
    "authorization.SelfSubjectAccessReview", "authorization.SelfSubjectRulesReview",
    "authorization.SubjectAccessReview", "authorization.LocalSubjectAccessReview",
)  # fmt: skip
# Types with a special encoding; controller/apiserver/compat/protobuf.py uses these names for them.
SPECIAL = {
    "meta.Time": "time", "meta.MicroTime": "microtime", "meta.Duration": "duration", "meta.FieldsV1": "fields",
    "resource.Quantity": "quantity", "intstr.IntOrString": "intorstring", "runtime.RawExtension": "raw",
    "extensions.JSON": "json", "extensions.JSONSchemaPropsOrBool": "schemaorbool",
    "extensions.JSONSchemaPropsOrArray": "schemaorarray", "extensions.JSONSchemaPropsOrStringArray": "schemaorstrings",
    "types.UID": "string",
}  # fmt: skip
ALIASES = {"metav1": "meta", "v1": "core", "corev1": "core"}
SCALARS = {"string", "bool", "int32", "int64", "float64", "byte", *SPECIAL.values()}
FIELD = re.compile(r'^\t(?:\w+\s+)?(\S+)\s+`json:"([^",]*)(,[^"]*)?"(.*)`')
SKIPPED = ("managedFields",)  # written by the server only


class Field(NamedTuple):
    """One field of a struct."""

    name: str
    number: str
    kind: str
    marks: str


class Source:
    """The type declarations of the packages."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._texts = {
            package: "\n".join(path.read_text() for path in sorted(folder.glob("*types*.go")))
            for package, folder in folders.items()
        }

    def resolve(self, kind: str, package: str) -> str:
        """A Go type with its package, with aliases resolved."""
        for prefix in ("*", "[]", "map[string]"):
            if kind.startswith(prefix):
                inner = self.resolve(kind.removeprefix(prefix), package)
                return "bytes" if (prefix, inner) == ("[]", "byte") else prefix + inner
        if found := re.match(r"map\[\w+\](.*)", kind):
            return "map[string]" + self.resolve(found[1], package)
        if kind in SCALARS:
            return kind
        where, _, name = kind.rpartition(".")
        where = ALIASES.get(where, where) or package
        qualified = f"{where}.{name}"
        if qualified in SPECIAL:
            return SPECIAL[qualified]
        declared = re.search(rf"^(?:type |\t){name} (?!struct)([\w.*\[\]]+)$", self._texts[where], re.MULTILINE)
        return self.resolve(declared[1], where) if declared else qualified

    def is_atomic(self, qualified: str) -> bool:
        """Whether server-side apply treats the struct as atomic."""
        package, _, name = qualified.partition(".")
        comment = re.search(rf"((?:^//.*\n)*)^type {name} struct", self._texts[package], re.MULTILINE)
        return comment is not None and "+structType=atomic" in comment[1]

    def fields(self, qualified: str) -> Iterator[Field]:
        """The fields of a struct, without those of embedded metadata types."""
        package, _, name = qualified.partition(".")
        body = re.search(rf"^type {name} struct ?\{{(\}}|.*?^\}})", self._texts[package], re.MULTILINE | re.DOTALL)
        if body is None:
            raise SystemExit(f"{qualified} is not declared")
        comment: list[str] = []
        for line in body[1].splitlines():
            if line.strip().startswith("//"):
                comment.append(line.strip(" \t/"))
                continue
            field = FIELD.match(line)
            if field and field[2] and field[2] not in SKIPPED:
                yield self._field(field, package, comment)
            comment = []

    def _field(self, field: re.Match[str], package: str, comment: list[str]) -> Field:
        kind, name, options, tags = field.groups()
        number = re.search(r'protobuf:"\w+,(\d+)', tags)
        marks = [] if "omitempty" in (options or "") else ["zero"]
        if 'patchStrategy:"merge' in tags:
            key = re.search(r'patchMergeKey:"([^"]+)"', tags)
            marks.append(f"merge={key[1] if key else ''}")
        markers = {
            key: value for line in comment if line.startswith("+") for key, _, value in [line[1:].partition("=")]
        }
        keys = [line.partition("=")[2] for line in comment if line.startswith("+listMapKey=")]
        marks += [f"list={markers['listType']}"] if "listType" in markers else []
        marks += [f"keys={','.join(keys)}"] if keys else []
        marks += ["map=atomic"] if markers.get("mapType", markers.get("structType")) == "atomic" else []
        return Field(name, number[1] if number else "0", self.resolve(kind, package), " ".join(marks))


def folder(package: str) -> Path:
    """The directory of a package of the pinned modules."""
    command = ["go", "-C", str(MODULE), "list", "-mod=readonly", "-f", "{{.Dir}}", package]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def main() -> None:
    """Write the file, with every type once."""
    source = Source({name: folder(package) for name, package in PACKAGES.items()})
    blocks: dict[str, str] = {}
    pending = list(ROOTS)
    while pending:
        kind = pending.pop(0)
        if kind in blocks:
            continue
        fields = list(source.fields(kind))
        blocks[kind] = "".join(f"  {' '.join(part for part in field if part)}\n" for field in fields)
        pending += [kind for field in fields if "." in (kind := re.sub(r"\*|\[\]|map\[string\]", "", field.kind))]
    head = "# Written by scripts/core_types.py from the Go types of Kubernetes (Apache 2.0); do not edit.\n"
    atomic = {kind: " map=atomic" if source.is_atomic(kind) else "" for kind in blocks}
    TARGET.write_text(head + "".join(f"{kind}{atomic[kind]}\n{blocks[kind]}" for kind in sorted(blocks)))


if __name__ == "__main__":
    main()
