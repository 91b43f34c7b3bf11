"""A real Elasticsearch without Docker, from the jars that Elastic publishes on Maven Central.

The jars are fetched once into the git-ignored folder ``.elasticsearch`` of the checkout. Seen with
8.19.21 on Java 17: HTTP answers about three seconds after the start. The plain server has no
plug-in modules: no ``GET /``, no stemmers, no scripts, no ``_reindex``; our engine needs none.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".elasticsearch"
JARS = CACHE / "jars"
PLUGIN_FILES = "META-INF/es-plugins/transport-netty4/"
START_S = 240
ATTEMPTS = 3


class Unavailable(Exception):
    """No Elasticsearch can be had here; the message says why."""


def fetch_jars() -> None:
    """Fetch server and transport plug-in once.

    Raises:
        Unavailable: no Java, no Maven, or Maven Central does not answer.
    """
    for tool in ("java", "javac", "mvn"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is not installed; set ELASTICSEARCH_URL to use a server")
    if (CACHE / "fetched").exists():
        return
    JARS.mkdir(parents=True, exist_ok=True)
    command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
               f"-DoutputDirectory={JARS}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Unavailable(f"Maven could not fetch Elasticsearch: {done.stdout[-300:]}")
    (CACHE / "fetched").touch()


def compiled() -> Path:
    """The folder of the compiled main class; compiled once."""
    folder = CACHE / "classes"
    if not (folder / "TestNode.class").exists():
        jars = os.pathsep.join(str(jar) for jar in JARS.glob("*.jar"))
        command = ["javac", "-cp", jars, "-d", str(folder), str(HERE / "TestNode.java")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise Unavailable(f"TestNode.java does not compile: {done.stderr[-300:]}")
    return folder


class PortTaken(Unavailable):
    """Another program had the port of a node first."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Node:
    """One server process; ``url`` is where HTTP answers."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        """Wait until the cluster answers."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                told = self.log.read_text()
                ended = PortTaken if "Address already in use" in told else Unavailable
                raise ended(f"Elasticsearch ended at once: {told[-500:]}")
            try:
                address = f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=1s"
                with urllib.request.urlopen(address, timeout=3) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise Unavailable(f"Elasticsearch did not answer within {START_S} s")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Cluster:
    """Nodes started together."""

    nodes: list[Node] = field(default_factory=list)

    @property
    def url(self) -> str:
        return ",".join(node.url for node in self.nodes)

    def stop(self) -> None:
        for node in self.nodes:
            if node.process.poll() is None:
                node.kill()


def start(folder: Path, count: int = 1, heap: str = "512m") -> Cluster:
    """Start a node, or several that form a cluster.

    Raises:
        Unavailable: see ``fetch_jars``, or a node does not come up.
    """
    fetch_jars()
    for attempt in range(ATTEMPTS - 1):
        try:
            return _start(folder / f"attempt{attempt}", count, heap)
        except PortTaken:
            # Free when it was chosen, and taken by another test's server since.
            continue
    return _start(folder, count, heap)


def _start(folder: Path, count: int, heap: str) -> Cluster:
    cluster = Cluster()
    transports = [free_port() for _ in range(count)]
    seeds = ",".join(f"127.0.0.1:{port}" for port in transports)
    names = [f"node{number}" for number in range(count)]
    try:
        for name, transport in zip(names, transports, strict=True):
            settings = [f"node.name={name}", f"transport.port={transport}"]
            if count == 1:
                settings.append("discovery.type=single-node")
            else:
                settings += [f"discovery.seed_hosts={seeds}",
                             f"cluster.initial_master_nodes={','.join(names)}"]  # fmt: skip
            cluster.nodes.append(_start_node(folder / name, settings, heap))
        for node in cluster.nodes:
            node.wait()
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _start_node(home: Path, settings: Sequence[str], heap: str) -> Node:
    module = home / "modules" / "transport-netty4"
    for part in (home / "config", home / "data", home / "logs", module):
        part.mkdir(parents=True, exist_ok=True)
    (home / "config" / "log4j2.properties").write_text(
        "appender.out.type = Console\nappender.out.name = out\n"
        "appender.out.layout.type = PatternLayout\n"
        "appender.out.layout.pattern = [%d] %p %c: %m%n\n"
        "rootLogger.level = warn\nrootLogger.appenderRef.out.ref = out\n"
    )
    classpath = [str(compiled())]
    for jar in sorted(JARS.glob("*.jar")):
        if jar.name.startswith(("transport-netty4", "netty-")):
            shutil.copy(jar, module)
        else:
            classpath.append(str(jar))
    plugin = next(JARS.glob("transport-netty4*.jar"))
    with zipfile.ZipFile(plugin) as archive:
        for name in ("plugin-descriptor.properties", "entitlement-policy.yaml"):
            text = archive.read(PLUGIN_FILES + name).decode()
            # Without a module name the plug-in loads from the class path; on the module path the
            # loader of this bare server fails.
            kept = [line for line in text.splitlines() if not line.startswith("modulename=")]
            (module / name).write_text("\n".join(kept) + "\n")
    port = free_port()
    log = home / "logs" / "out.log"
    command = [
        "java", f"-Xms{heap}", f"-Xmx{heap}", f"-Des.path.home={home}", "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1", "-cp", os.pathsep.join(classpath), "TestNode",
        "network.host=127.0.0.1", f"http.port={port}", "cluster.name=pan-commons-test",
        *settings,
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    return Node(home, port, process, log)
