"""Tests of identities: the authority, labs and TLS."""
