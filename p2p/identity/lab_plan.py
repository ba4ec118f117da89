"""Where the routers of a lab are: the schema of ``lab.yaml``, from which its other files follow."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from twisted.internet.endpoints import quoteStringArgument

from p2p.base.config import StrictModel
from p2p.base.config_fields import ClusterName
from p2p.base.errors import ConfigError
from p2p.base.yaml_files import LocatedErrors, nearest
from p2p.base.yaml_tree import key_of

__all__ = ["FIRST_PORT", "LOCAL_HOST", "LabPlan", "Links", "RouterPlace", "make_plan"]

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
    """Where a cluster's router is."""

    host: Annotated[str, AfterValidator(_host)] = Field(description="the router's DNS name or IP address")
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(description="the router's TCP port")

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

    :param hosts: where the routers are, by cluster; this machine alone (127.0.0.1) for a cluster that isn't there.
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
            cluster: {"host": hosts.get(cluster, LOCAL_HOST), "port": ports.get(cluster, FIRST_PORT + index)}
            for index, cluster in enumerate(names)
        }
        return LabPlan.model_validate({"clusters": places, "links": links, "systemd": systemd})
    except ValidationError as error:
        raise ConfigError("\n".join(_problems(error))) from error


def _problems(error: ValidationError) -> Iterable[str]:
    for details in error.errors(include_url=False):
        location = tuple(part for part in details["loc"] if part != "[key]")
        raised = details.get("ctx", {}).get("error")
        if isinstance(raised, LocatedErrors):
            yield str(raised)
        else:
            yield f"{key_of(location)}: {raised or details['msg']}".removeprefix(": ")
