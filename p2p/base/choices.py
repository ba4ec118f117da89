"""The choices that YAML files, consoles and the command line give in the same words. Pure."""

from __future__ import annotations

from typing import Literal

__all__ = ["ContentType", "Exists", "Links"]

ContentType = Literal["text", "audio", "video", "data"]
"""What content is, as its sender says; rules go by it."""

Exists = Literal["rename", "replace", "refuse"]
"""What to do where a name is taken."""

Links = Literal["keep", "refuse"]
"""Whether symbolic links are kept as links or left out."""
