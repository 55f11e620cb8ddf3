"""The contents of the image: the packages of the lock file, reproducible, with a bill of materials."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import docker
import pytest
import yaml
from packaging.utils import canonicalize_name

from scripts import sbom
from tests.support import controller_image, kubeconfigs
from tests.support.controller_image import REFERENCE
from tests.support.dockerd import Engine
from tests.support.locks import locked

pytestmark = pytest.mark.timeout(300)  # an image is built
LIMIT_BYTES = 100 << 20  # added to the base image


def output(client: docker.DockerClient, *command: str, **options: Any) -> str:
    """Run a program of the image and return its output."""
    printed: bytes = client.containers.run(
        REFERENCE, list(command[1:]), entrypoint=command[0], network_mode="none", remove=True, **options
    )
    return printed.decode()


def test_the_build_is_reproducible(built: Any, engine: Engine) -> None:
    with contextlib.closing(engine.client(timeout=300)) as client:
        again = controller_image.build(client, cached=False)
    assert again.attrs["RootFS"]["Layers"] == built.attrs["RootFS"]["Layers"]


def test_it_is_small_and_without_pip(built: Any, docker_client: docker.DockerClient) -> None:
    added = [layer["Size"] for layer in docker_client.images.get(built.id).history()][:-1]
    assert sum(added) < LIMIT_BYTES
    assert "pip" not in output(docker_client, "ls", "/opt/edge-controller/lib/python3.11/site-packages").split()


def test_the_bill_of_materials_names_every_locked_package_and_its_licence(
    built: Any, docker_client: docker.DockerClient
) -> None:
    bom = json.loads(output(docker_client, "cat", "/opt/edge-controller/share/sbom.json"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    named = {canonicalize_name(each["name"]): each for each in bom["components"]}
    assert {name: each["version"] for name, each in named.items() if name != "edge-controller"} == locked()
    assert [name for name, each in named.items() if "licenses" not in each] == []
    listed = output(docker_client, "cat", "/opt/edge-controller/share/licences.txt")
    assert len(listed.splitlines()) == len(bom["components"])


def test_it_runs_as_any_user_with_a_read_only_root(built: Any, docker_client: docker.DockerClient) -> None:
    as_in_a_cluster = {"user": "65532:65532", "read_only": True, "cap_drop": ["ALL"]}
    assert "kind: CustomResourceDefinition" in output(docker_client, "edge-controller", "crds", **as_in_a_cluster)
    assert output(docker_client, "nsenter", "--version").startswith("nsenter")


def test_it_reads_a_kubeconfig(built: Any, docker_client: docker.DockerClient) -> None:
    """The build removes most of the package that reads it."""
    made = yaml.safe_dump(kubeconfigs.document(user={"token": "of-the-image"}))
    read = "KUBECONFIG=/tmp/kubeconfig python -m controller.machinery.kubeconfig 20 kubeconfig /tmp"
    script = f'echo "$0" >/tmp/kubeconfig; {read}'
    found = json.loads(output(docker_client, "sh", "-c", script, made))
    assert (found["url"], found["token"]) == ("https://example.test:6443", "of-the-image")


def test_debian_packages_are_read_from_the_status_of_dpkg(tmp_path: Any) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: iproute2\nStatus: install ok installed\nVersion: 6.1.0-3\nDescription: tools\n for: networks\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    (part,) = sbom.debian_parts(status)
    assert (part.name, part.version, part.url) == ("iproute2", "6.1.0-3", "pkg:deb/debian/iproute2@6.1.0-3")


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ("License-Expression: MIT\nClassifier: License :: OSI Approved :: BSD License", "MIT"),
        ("Classifier: License :: OSI Approved :: BSD License\nLicense: see LICENSE", "BSD License"),
        ("License: Apache 2\n", "Apache 2"),
        ("Summary: nothing", ""),
    ],
)
def test_the_licence_is_the_most_precise_one_in_the_metadata(tmp_path: Any, fields: str, licence: str) -> None:
    from importlib.metadata import PathDistribution

    folder = tmp_path / "one-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: one\nVersion: 1\n{fields}\n")
    assert sbom.licence(PathDistribution(folder).metadata) == licence
