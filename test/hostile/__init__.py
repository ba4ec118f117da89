"""Speakers of every protocol of p2p that can say anything at any moment, and attacks made of them; see README.rst."""
