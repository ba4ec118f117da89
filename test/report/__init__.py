"""Tests for ``p2p.report``."""
