"""Tests of p2p.measure."""
