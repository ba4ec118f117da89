"""Tests of p2p.peer."""
