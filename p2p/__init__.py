"""p2p: lab machines find each other by name through two S-Routers and then talk directly."""

__version__ = "0.1.0"
