"""Prepares the machine for the demonstration: a Docker engine, a LAN with its parent interface, the runtime image.

Uses a running engine if there is one and restores it afterwards; otherwise starts a private one. The LAN is always
virtual: a demonstration must not take addresses on a real plant's network.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker

from scripts.demo.terminal import say
from tests.support import dockerd, image
from tests.support import lan as lans
from tests.support.dhcp_server import DhcpServer


@dataclass(frozen=True)
class Host:
    """The engine's URL, and what a runtime needs: its image, a parent interface and an address on the LAN.

    With ``dhcp``, a server on the LAN assigns the address.
    """

    docker_url: str
    lan: lans.Lan
    dhcp: bool
    repository: str
    version: str

    @property
    def address(self) -> str:
        """The runtime's address on the LAN."""
        return self.lan.address(50)


@contextlib.contextmanager
def prepared(folder: Path, *, dhcp: bool) -> Iterator[Host]:
    """Prepare the machine; with ``dhcp`` start a DHCP server on the LAN, which writes to ``folder``.

    Everything is removed at the end, even after an error.
    """
    lans.remove_orphans()
    dockerd.remove_orphans()
    with contextlib.ExitStack() as stack:
        url = _running_engine() or stack.enter_context(_private_engine()).url
        say("a LAN: a network namespace, and a host interface that is connected to it")
        lan = stack.enter_context(lans.Lan())
        if dhcp:
            say("a DHCP server on that LAN, with leases of two minutes")
            stack.enter_context(DhcpServer(lan, folder))
        stack.enter_context(_images(url))
        yield Host(url, lan, dhcp, image.REPOSITORY, "1")


def _running_engine() -> str | None:
    url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    try:
        with contextlib.closing(docker.DockerClient(base_url=url, timeout=10)) as client:
            say(f"the Docker engine {client.version()['Version']} at {url}")
    except docker.errors.DockerException:
        return None
    return url


@contextlib.contextmanager
def _private_engine() -> Iterator[dockerd.Engine]:
    say("no Docker engine is running: starting a private one for this demonstration")
    with dockerd.Engine() as engine:
        yield engine


@contextlib.contextmanager
def _images(url: str) -> Iterator[None]:
    say("the runtime image, built on this machine")
    made = image.runtime_images()[:1]
    with contextlib.closing(docker.DockerClient(base_url=url)) as client:
        present = {tag for found in client.images.list(image.REPOSITORY) for tag in found.tags}
        missing = [one for one in made if one.reference not in present]
        if missing:
            image.load(client, missing)
        try:
            yield
        finally:
            for one in missing:
                with contextlib.suppress(docker.errors.DockerException):
                    client.images.remove(one.reference, force=True)
