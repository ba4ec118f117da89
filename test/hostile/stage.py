"""The lab in which attacks take place: two routers, a victim and a bystander as real daemons, and certificates."""

from __future__ import annotations

from typing import Final

from test.functional.lab import RunningLab
from test.hostile.attack import ACCOMPLICE, ATTACKER, BYSTANDER, CLUSTER, QUOTA, STRAY, VICTIM

__all__ = ["DAEMONS", "start_stage"]

DAEMONS: Final = ("router-n", "router-m", "victim", "bystander")
"""The daemons that run, and are measured."""

_VICTIM: Final = f"""\
    quota: {QUOTA}
    share: {{files: shared}}
"""


async def start_stage(lab: RunningLab | None = None) -> RunningLab:
    """Start the daemons; whoever calls this stops the lab."""
    lab = lab or RunningLab(("n", "m", CLUSTER))
    shared = lab.folder / "shared"
    shared.mkdir()
    (shared / "a.txt").write_text("abc")
    lab.peers_file("attackers", ATTACKER, ACCOMPLICE)  # for their certificates alone
    lab.peers_file("stray", STRAY)
    await lab.start_router("n")
    await lab.start_router("m")
    await lab.start_peers("victim", VICTIM, settings=_VICTIM)
    await lab.start_peers("bystander", BYSTANDER)
    return lab
