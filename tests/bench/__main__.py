"""``make bench``: compare the controller with raw Docker calls in the same run, and print one table. Not a test."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

from controller.localcloud.server import Cloud
from tests.bench import api, devices, failover, healing, leases, many, measures, pods
from tests.cluster.programs import Unavailable
from tests.support import image
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost
from tests.support.lan import Lan
from tests.support.serial_port import Host

WIDTH = 48


def milliseconds(seconds: list[float]) -> str:
    """Format median, extremes and count."""
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    return f"{middle * 1e3:.1f} ms (min {low * 1e3:.1f}, max {high * 1e3:.1f}, n {len(seconds)})"


def say(text: str) -> None:
    """Print progress to standard error; the table goes to standard output."""
    print(f"# {text}", file=sys.stderr, flush=True)


async def measure(edge: EdgeHost, lan: Lan, engine: Engine, options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Measure everything; return rows of (what, goal, measured)."""
    rows = []
    began = time.perf_counter()
    await edge.start()
    rows.append(("start to connected", "<= 1.5 s", f"{time.perf_counter() - began:.2f} s"))
    say(f"create compared with raw Docker, {options.rounds} rounds of each")
    creation = await measures.creation(edge, lan, engine, options.rounds)
    ratio = statistics.median(creation.ours) / statistics.median(creation.raw)
    rows.append(("raw Docker: create to running", "", milliseconds(creation.raw)))
    rows.append(("create command to running", "", milliseconds(creation.ours)))
    rows.append(("... as a multiple of raw", "<= 1.25", f"{ratio:.2f}"))
    rows.append(("answer to create_new_runtime", "p50 <= 6 ms", milliseconds(creation.answers)))
    say(f"{options.runtimes} runtimes")
    await measures.populate(edge, lan, options.runtimes)
    idle = await measures.idle(edge, options.seconds)
    rows.append((f"memory with {options.runtimes} runtimes", "<= 100 MB", f"{idle.resident_mib:.0f} MiB"))
    rows.append((f"idle CPU with {options.runtimes} runtimes", "<= 1 %", f"{idle.cpu_percent:.2f} % of a core"))
    say(f"heartbeats over {options.seconds} s while runtimes come and go")
    gaps = await measures.heartbeat_gaps(edge, lan, options.seconds)
    span = f"{min(gaps):.3f} to {max(gaps):.3f} s (n {len(gaps)})"
    rows.append(("heartbeat gaps under load", "5.00 +- 0.10 s", span))
    say(f"{options.cycles} creates and deletes")
    leaks = await measures.leaks(edge, lan, engine, options.cycles)
    rows.append((f"left after {options.cycles} creates and deletes", "nothing", leaks))
    say(f"{options.healing} runtimes, their parent unplugged and plugged in again")
    rows += await healing.parent_return(edge, lan, options.healing)
    return rows


async def compare_apis(rounds: int) -> list[tuple[str, str, str]]:
    """Compare the embedded API with a real one: median and 99th percentile of each operation."""
    say(f"the embedded API compared with kube-apiserver and etcd, {rounds} rounds")
    try:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = await api.compare(Path(folder), rounds)
    except Unavailable as error:
        return [("the embedded API compared with kube-apiserver", "", f"not measured: {error}")]
    rows = []
    for name, seconds in ours.seconds.items():
        ours_50, ours_99 = (api.percentile(seconds, part) for part in (50, 99))
        theirs_50, theirs_99 = (api.percentile(theirs.seconds[name], part) for part in (50, 99))
        measured = f"p50 {ours_50:.1f} ms, p99 {ours_99:.1f} ms (kube-apiserver {theirs_50:.1f}, {theirs_99:.1f})"
        rows.append((f"API: {name}", f"<= {theirs_50:.1f} ms", measured))
    rows.append(("API: start to first answer", "<= 0.5 s", f"{ours.start_seconds:.2f} s ({theirs.start_seconds:.2f})"))
    rows.append(("API: memory", "", f"{ours.resident_mib:.0f} MiB (with etcd {theirs.resident_mib:.0f})"))
    return rows


async def run(options: argparse.Namespace) -> None:
    """Set everything up, measure, print, clean up."""
    if options.api_rounds:
        show(await compare_apis(options.api_rounds))
    if options.api_only:
        return
    show(await measure_controller(options))
    say("DHCP compared with udhcpc")
    show(await asyncio.to_thread(leases.ours_and_udhcpc, options.rounds))
    show(await leases.many(options.seconds))
    show(await measure_cluster(options))


def show(rows: list[tuple[str, str, str]]) -> None:
    """Print rows of the table; each part as soon as it is measured, because a later one may fail."""
    for what, goal, measured in rows:
        print(f"{what:<{WIDTH}}  {goal:<15}  {measured}", flush=True)


async def measure_cluster(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Measure scale and failover: many Runtimes, and a killed leader."""
    say(f"{options.many} Runtimes on an in-memory backend")
    rows = await many.rows(options.many)
    say(f"the leader of two replicas killed, {options.failovers} times")
    try:
        taken = milliseconds(await failover.seconds(options.failovers))
    except Unavailable as error:
        taken = f"not measured: {error}"
    rows.append(("leader killed to the other connected", "<= 15 s", taken))
    say(f"pods compared with kubectl create, {options.pods} rounds of each")
    return [*rows, *await measure_pods(options.pods)]


async def measure_pods(rounds: int) -> list[tuple[str, str, str]]:
    """Compare the creation of a pod through the controller with kubectl."""
    try:
        found = await pods.creation(rounds)
    except Unavailable as error:
        return [("pod: create command to Ready", "", f"not measured: {error}")]
    ratio = statistics.median(found.ours) / statistics.median(found.raw)
    return [
        ("pod: kubectl create to Ready", "", milliseconds(found.raw)),
        ("pod: create command to Ready", "", milliseconds(found.ours)),
        ("... as a multiple of kubectl", "<= 1.2", f"{ratio:.2f}"),
    ]


async def measure_controller(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Measure the whole controller on its own engine and LAN."""
    with Engine() as engine, Lan() as lan, tempfile.TemporaryDirectory() as folder:
        images = image.runtime_images()
        with contextlib.closing(engine.client()) as client:
            image.load(client, images)
        directory = Path(folder)
        cloud = Cloud(directory / "cloud")
        await cloud.start()
        certificates = await cloud.enroll(AGENT)
        edge = EdgeHost(directory, engine.url, cloud, certificates, image.REPOSITORY, "1")
        host = Host(directory / "host")
        edge.environment |= {"EDGE_DEV_DIR": str(host.roots.dev), "EDGE_SYS_DIR": str(host.roots.sys)}
        try:
            rows = await measure(edge, lan, engine, options)
            say(f"a serial device plugged in {options.rounds} times")
            return rows + await devices.replug(edge, lan, engine, host, options.rounds)
        finally:
            await edge.close()
            await cloud.stop()


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="creations of each kind (15)")
    parser.add_argument("--runtimes", type=int, default=20, help="runtimes for memory, CPU and heartbeats (20)")
    parser.add_argument("--seconds", type=int, default=60, help="how long to watch CPU and heartbeats (60)")
    parser.add_argument("--cycles", type=int, default=200, help="creates and deletes for the leak check (200)")
    parser.add_argument(
        "--api-rounds", type=int, default=200, help="rounds of the comparison with kube-apiserver; 0: none (200)"
    )
    parser.add_argument("--healing", type=int, default=50, help="runtimes on the parent that is unplugged (50)")
    parser.add_argument("--many", type=int, default=1000, help="Runtimes on an in-memory backend (1000)")
    parser.add_argument("--failovers", type=int, default=3, help="how often a leader is killed (3)")
    parser.add_argument("--pods", type=int, default=10, help="pods created by the cloud and by kubectl (10)")
    parser.add_argument("--api-only", action="store_true", help="measure only the API")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
