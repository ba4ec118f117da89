"""The composition root: puts a router or a peer together and hands it to twistd."""
