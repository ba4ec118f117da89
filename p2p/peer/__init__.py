"""The peer daemon: registration, rendezvous, direct links and the local console."""
