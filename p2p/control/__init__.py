"""The control channel: AMP over TLS between a peer and its router, and between routers."""
