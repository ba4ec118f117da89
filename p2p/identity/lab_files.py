"""The YAML files of a lab, as text with comments."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from p2p.base.names import router_name
from p2p.base.yaml_tree import quote
from p2p.identity.authority import AUTHORITY_CERTIFICATE
from p2p.identity.lab_plan import LabPlan

__all__ = ["CERTIFICATES", "INBOX", "console_of", "lab_yaml", "peer_file", "peers_yaml", "router_file", "router_yaml"]

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
    lines += [
        "# Peers may be dialled only at addresses that their router saw. Where a cluster's peers have more of them,",
        "# grant their networks here:",
        "# networks:",
        f"#   {quote((others or [cluster])[0])}: [192.0.2.0/24]",
        "# The UNIX socket on which this daemon answers about itself.",
        f"console: {quote(console_of(plan, router_file(cluster)))}",
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
