"""Transfers: entries that are verified as they flow, and go on where they were broken off."""
