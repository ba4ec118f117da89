"""The direct link of two peers: tickets, Yamux streams, producers and consumers."""
