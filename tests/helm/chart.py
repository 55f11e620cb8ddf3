"""Renders the chart helm/edge-controller with helm."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PROJECT = Path(__file__).parents[2]
CHART = PROJECT / "helm/edge-controller"
RELEASE = "edge-controller"
NAMESPACE = "edge"

Object = dict[str, Any]


class Objects:
    """The objects that a chart renders to, by kind and name."""

    def __init__(self, documents: list[Object]) -> None:
        self.all = documents

    def of(self, kind: str) -> dict[str, Object]:
        """The objects of a kind, by name."""
        return {each["metadata"]["name"]: each for each in self.all if each["kind"] == kind}

    def one(self, kind: str, name: str = "") -> Object:
        """The object of that kind and name, or the only one of the kind."""
        found = self.of(kind)
        if name:
            return found[name]
        (only,) = found.values()
        return only

    def container(self, kind: str) -> Object:
        """The container of the only workload of a kind."""
        container: Object = self.one(kind)["spec"]["template"]["spec"]["containers"][0]
        return container

    def environment(self, kind: str) -> dict[str, str]:
        """The environment variables of that container that have a literal value."""
        return {each["name"]: each["value"] for each in self.container(kind)["env"] if "value" in each}


class Helm(NamedTuple):
    """helm with its own folders for cache, configuration and data."""

    program: Path
    home: Path
    kubeconfig: Path | None = None

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run helm and return its output; with ``fails`` it must fail."""
        folders = {f"HELM_{kind}_HOME": str(self.home / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        kubeconfig = {"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {}
        done = subprocess.run(
            [self.program, *arguments],
            capture_output=True, text=True, check=False, timeout=180,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), **folders, **kubeconfig},
        )  # fmt: skip
        assert (done.returncode != 0) == fails, f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout if not fails else done.stderr

    def render(self, values: Mapping[str, Any] | None = None, *options: str) -> Objects:
        """Render the chart with these values: dotted names as for ``--set``, values of any JSON type."""
        given = [f"--set-json={name}={json.dumps(value)}" for name, value in (values or {}).items()]
        text = self.run("template", RELEASE, str(CHART), "-n", NAMESPACE, "--kube-version=1.35.0", *given, *options)
        return Objects([each for each in yaml.safe_load_all(text) if each])
