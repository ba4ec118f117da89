"""The content services that come with p2p as plugins, but for those of transfers."""
