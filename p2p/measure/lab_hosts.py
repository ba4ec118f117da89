"""The file that tells of a lab whose daemons run already: who coordinates, and which peers talk to each other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from p2p.base.config import StrictModel, load_peers
from p2p.base.config_fields import Loading, StateFolder
from p2p.base.errors import ConfigError
from p2p.base.names import parse_peer
from p2p.base.yaml_files import LocatedErrors, load

__all__ = ["LabHosts", "load_lab_hosts"]


def _pair(pair: list[str]) -> list[str]:
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError("isn't a pair, expected two different peers like [n1.n, m1.m], the one that asks first")
    for name in pair:
        parse_peer(name)
    return pair


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}, expected the YAML file of a peer daemon on this machine")
    return path


class LabHosts(StrictModel):
    """A lab: its coordinator, and its pairs."""

    coordinator: Annotated[StateFolder, AfterValidator(_there)] = Field(
        description="the YAML file of the coordinator's daemon, which runs here"
    )
    pairs: list[Annotated[list[str], AfterValidator(_pair)]] = Field(
        min_length=1, max_length=10_000, description="a list of pairs like [n1.n, m1.m]; the first of each asks"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: set[str] = set()
        for number, pair in enumerate(self.pairs):
            for place, name in enumerate(pair):
                if name in seen:
                    raise LocatedErrors([(("pairs", number, place), f"{name} is in two pairs, keep one of them")])
                seen.add(name)
        return self

    def coordinating(self) -> tuple[str, Path]:
        """The name of the coordinator, and the path of its daemon's console.

        :raises ConfigError: if its file can't be used, it hosts several peers, or it is in a pair too.
        """
        config = load_peers(self.coordinator, files=False)
        names = [peer.name for peer in config.peers]
        if len(names) != 1:
            raise ConfigError(f"{self.coordinator}: it hosts {len(names)} peers; a coordinator has a daemon of its own")
        if any(names[0] in pair for pair in self.pairs):
            raise ConfigError(f"{names[0]} coordinates and is in a pair; take another peer for one of the two")
        return names[0], config.console


def load_lab_hosts(path: Path) -> LabHosts:
    """Load the YAML file of a lab.

    :raises ConfigError: with everything that is wrong, a line each.
    """
    return load(path, LabHosts, Loading(Path(os.path.abspath(path)).parent))  # noqa: PTH100 - links stay links
