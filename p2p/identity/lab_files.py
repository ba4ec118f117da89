"""The files of a lab: where its routers are, which is the schema of ``lab.yaml``, and the YAML that follows from it.

The text of each file has comments, since people go on with it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from twisted.internet.endpoints import quoteStringArgument

from p2p.base.config import StrictModel
from p2p.base.config_fields import ClusterName, Network
from p2p.base.errors import ConfigError
from p2p.base.names import router_name
from p2p.base.yaml_files import LocatedErrors, nearest
from p2p.base.yaml_tree import key_of, quote
from p2p.identity.authority import AUTHORITY_CERTIFICATE

__all__ = [
    "CERTIFICATES",
    "FIRST_PORT",
    "INBOX",
    "LOCAL_HOST",
    "LabPlan",
    "Links",
    "RouterPlace",
    "console_of",
    "lab_yaml",
    "make_plan",
    "peer_file",
    "peers_yaml",
    "router_file",
    "router_yaml",
]

Links = Literal["tls", "plain"]

FIRST_PORT = 5555
"""The port of the first cluster's router; the next ones count on from it."""

LOCAL_HOST = "127.0.0.1"

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z", re.IGNORECASE)


def _host(text: str) -> str:
    expected = "expected the DNS name or the IP address at which others reach the router"
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        # Nothing but digits and dots is an address that went wrong.
        if not _HOST.match(text) or not text.strip("0123456789."):
            raise ValueError(f"{text[:80]!r} isn't a host, {expected}") from error
    else:
        if address.is_unspecified or address.is_multicast:
            raise ValueError(f"{text} isn't the address of one machine, {expected}")
    return text


class RouterPlace(StrictModel):
    """Where a cluster's router is.

    :ivar network: the network in which the cluster's machines are, if whoever makes the lab says so.
    """

    host: Annotated[str, AfterValidator(_host)] = Field(description="the router's DNS name or IP address")
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(description="the router's TCP port")
    network: Network | None = Field(default=None, description="the network of the cluster's machines")

    @property
    def endpoint(self) -> str:
        """The endpoint at which the router is reached."""
        host: str = quoteStringArgument(self.host)
        return f"tcp:{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only its own machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def peers_network(self) -> Network | None:
        """The network in which the cluster's peers are, as far as that is known: they may be on its machine alone."""
        if self.network is None and self.is_local:
            return ipaddress.ip_network("::1/128" if ":" in self.host else "127.0.0.0/8")
        return self.network

    def listener(self, port: int) -> str:
        """Return the endpoint to listen on for those that reach the host: a lab on one machine stays on it."""
        if ":" in self.host:
            interface = "\\:\\:1" if self.is_local else "\\:\\:"
            return f"tcp:{port}:interface={interface}"
        return f"tcp:{port}:interface={LOCAL_HOST}" if self.is_local else f"tcp:{port}"

    @property
    def fresh_listener(self) -> str:
        """The endpoint of peers' fresh sockets: of both IP versions, but that a lab on one machine stays on it."""
        return self.listener(0) if self.is_local else "tcp6:0"


class LabPlan(StrictModel):
    """The clusters of a lab, in order, and how its daemons run.

    :ivar links: whether its peers ask for direct links without TLS.
    :ivar systemd: whether the daemons are units of systemd, which keep their files in its folders.
    """

    clusters: dict[ClusterName, RouterPlace] = Field(min_length=1, description="a mapping from clusters to routers")
    links: Links = Field(default="tls", description="'tls' or 'plain'")
    systemd: bool = False

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        problems: list[tuple[tuple[str, ...], str]] = []
        taken: dict[tuple[str, int], str] = {}
        far = next((one for one, place in self.clusters.items() if not place.is_local), None)
        for cluster, place in self.clusters.items():
            first = taken.setdefault((place.host, place.port), cluster)
            if first != cluster:
                problems.append(
                    (
                        ("clusters", cluster, "port"),
                        f"{place.host} port {place.port} is that of cluster {first} already",
                    )
                )
            if far is not None and place.is_local:
                text = (
                    f"{place.host} can't be reached from other machines, and the router of {far} is on another; "
                    f"expected the address of {cluster}'s router as the others see it"
                )
                problems.append((("clusters", cluster, "host"), text))
        if problems:
            raise LocatedErrors(problems)
        return self


def make_plan(
    clusters: Iterable[str],
    hosts: Mapping[str, str] | None = None,
    ports: Mapping[str, int] | None = None,
    links: Links = "tls",
    systemd: bool = False,
) -> LabPlan:
    """Make the plan of a new lab.

    :param hosts: where the routers are, by cluster, with the prefix of the cluster's network if it is known
        (``192.0.2.1/24``); this machine alone (127.0.0.1) for a cluster that isn't there.
    :param ports: their TCP ports, by cluster; those left out count on from 5555 in the order of the clusters.
    :raises ConfigError: if the clusters can't reach one another so, or a name isn't one.
    """
    hosts, ports, names = hosts or {}, ports or {}, list(clusters)
    for cluster in (*hosts, *ports):
        if cluster not in names:
            raise ConfigError(f"the lab has no cluster {cluster!r}, {nearest(cluster, names)}")
    if len(set(names)) != len(names):
        raise ConfigError(f"a cluster is named twice: {', '.join(names)}")
    try:
        places = {
            cluster: {**_placed(hosts.get(cluster, LOCAL_HOST)), "port": ports.get(cluster, FIRST_PORT + index)}
            for index, cluster in enumerate(names)
        }
        return LabPlan.model_validate({"clusters": places, "links": links, "systemd": systemd})
    except ValidationError as error:
        raise ConfigError("\n".join(_problems(error))) from error


def _placed(host: str) -> dict[str, str]:
    """Take ``192.0.2.1/24`` apart into the host and its network."""
    address, slash, _ = host.partition("/")
    if not slash:
        return {"host": host}
    try:
        return {"host": address, "network": str(ipaddress.ip_network(host, strict=False))}
    except ValueError as error:
        text = f"{host[:80]!r} isn't an address with the prefix of its network, like 192.0.2.1/24"
        raise ConfigError(text) from error


def _problems(error: ValidationError) -> Iterable[str]:
    for details in error.errors(include_url=False):
        location = tuple(part for part in details["loc"] if part != "[key]")
        raised = details.get("ctx", {}).get("error")
        if isinstance(raised, LocatedErrors):
            yield str(raised)
        else:
            yield f"{key_of(location)}: {raised or details['msg']}".removeprefix(": ")


CERTIFICATES = "certificates"
INBOX = "inbox"
STATE = "state"


def router_file(cluster: str) -> str:
    """Return the name of a router's YAML file."""
    return f"router-{cluster}.yaml"


def peer_file(name: str) -> str:
    """Return the name of the YAML file of a daemon that hosts one peer."""
    return f"peer-{name}.yaml"


def console_of(plan: LabPlan, file_name: str) -> str:
    """Return the path of the UNIX socket of the daemon that a YAML file is for; a relative one starts at that file."""
    stem = PurePath(file_name).stem
    return f"/run/p2p/{stem}/console.sock" if plan.systemd else f"{stem}.sock"


def inbox_of(plan: LabPlan, file_name: str, name: str) -> str:
    """Return the path of the inbox of a peer in the daemon that a YAML file is for."""
    return f"/var/lib/p2p/{PurePath(file_name).stem}/{INBOX}/{name}" if plan.systemd else f"{INBOX}/{name}"


def state_of(plan: LabPlan, file_name: str) -> str:
    """Return the path of the folder for what must outlive the daemon that a YAML file is for, restarts included."""
    stem = PurePath(file_name).stem
    return f"/var/lib/p2p/{stem}/{STATE}" if plan.systemd else f"{STATE}/{stem}"


def lab_yaml(plan: LabPlan) -> str:
    """Return ``lab.yaml``."""
    lines = [
        "# What this lab is. `p2p lab issue` reads it to write the YAML file of a new peer.",
        "# When a router moves, change it here, in the other routers' files and in those of its peers.",
        "clusters:",
    ]
    for cluster, place in plan.clusters.items():
        lines += [f"  {quote(cluster)}:", f"    host: {quote(place.host)}", f"    port: {place.port}"]
    lines += ["# What new peers ask of their direct links: tls or plain.", f"links: {plan.links}"]
    lines += ["# Whether the daemons are the units of etc/systemd, with their files below /run/p2p and /var/lib/p2p."]
    lines += [f"systemd: {str(plan.systemd).lower()}"]
    return _text(lines)


def router_yaml(plan: LabPlan, cluster: str) -> str:
    """Return the YAML file of a cluster's router."""
    name, place = router_name(cluster), plan.clusters[cluster]
    lines = [
        f"# The S-Router of cluster {cluster}. Start it with:",
        f"#   twistd --nodaemon --pidfile= p2p-router --config {router_file(cluster)}",
        f"# Its machine needs this file, {AUTHORITY_CERTIFICATE} and {CERTIFICATES}/{name}.*",
        "# Relative paths start at this file's folder.",
        f"cluster: {quote(cluster)}",
        "# Where peers and the other routers connect, a Twisted endpoint.",
        f"listen: {quote(place.listener(place.port))}",
        "tls:",
        *_identity(name, "  "),
        f"  authority: {AUTHORITY_CERTIFICATE}",
    ]
    others = [other for other in plan.clusters if other != cluster]
    lines += ["# The routers of the other clusters.", "neighbours:" if others else "neighbours: {}"]
    for other in others:
        lines += [f"  {quote(other)}:", f"    endpoint: {quote(plan.clusters[other].endpoint)}"]
    known = {other: plan.clusters[other].peers_network for other in others}
    lines += [
        "# The networks in which another cluster's peers are: this router's peers dial no address outside of them, and",
        "# beside the one that the other router saw also those in them that a peer names itself.",
        *(["networks:"] if any(known.values()) else ["# networks:"]),
        *(f"  {quote(other)}: [{quote(str(network))}]" for other, network in known.items() if network is not None),
        *(f"#   {quote(other)}: [192.0.2.0/24]" for other, network in known.items() if network is None),
        *([] if others else [f"#   {quote(cluster)}: [192.0.2.0/24]"]),
        "# The UNIX socket on which this daemon answers about itself.",
        f"console: {quote(console_of(plan, router_file(cluster)))}",
        "# The folder for the keys that the lab's authority has revoked; the daemon makes it.",
        f"state: {quote(state_of(plan, router_file(cluster)))}",
        "# Limits stand at their defaults; docs/limits.rst lists them.",
        "# limits:",
        "#   peers: 20000",
    ]
    return _text(lines)


def peers_yaml(plan: LabPlan, cluster: str, file_name: str, names: Iterable[str]) -> str:
    """Return the YAML file of a daemon that hosts these peers of one cluster."""
    place = plan.clusters[cluster]
    lines = [
        f"# A daemon for peers of cluster {cluster}. Start it with:",
        f"#   twistd --nodaemon --pidfile= p2p-peer --config {file_name}",
        f"# Its machine needs this file, {AUTHORITY_CERTIFICATE} and the peers' files in {CERTIFICATES}/.",
        "# Relative paths start at this file's folder.",
        "# The cluster's router, a Twisted endpoint.",
        f"router: {quote(place.endpoint)}",
        f"authority: {AUTHORITY_CERTIFICATE}",
        "# The UNIX socket through which the p2p command talks to this daemon.",
        f"console: {quote(console_of(plan, file_name))}",
        "# The folder for the journal of transfers; the daemon makes it.",
        f"state: {quote(state_of(plan, file_name))}",
        "# tls, or plain: direct links without encryption where both peers say so, for measurements in a closed lab.",
        f"links: {plan.links}",
        "# Where fresh sockets for direct links are bound; the system chooses each port.",
        f"listen: {quote(place.fresh_listener)}",
        "# The peers that live here, all of one cluster.",
        "peers:",
    ]
    for name in names:
        inbox = quote(inbox_of(plan, file_name, name))
        lines += [f"  - name: {quote(name)}", *_identity(name, "    "), f"    inbox: {inbox}"]
    lines += [
        "# A peer may say what it takes (accept, quota, keep_free, exists, symlinks) and what others may get (share);",
        "# without it everything is accepted and nothing is shared. etc/peer-n1.n.yaml explains these keys.",
        "# Limits stand at their defaults; docs/limits.rst lists them.",
        "# limits:",
        "#   idle_s: 300",
    ]
    return _text(lines)


def _identity(name: str, indent: str) -> list[str]:
    return [f"{indent}{kind}: {CERTIFICATES}/{name}.{end}" for kind, end in (("certificate", "pem"), ("key", "key"))]


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
