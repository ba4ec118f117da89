"""Tests with real twistd processes, real sockets and real time."""
