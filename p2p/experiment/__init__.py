"""What a peer does in an experiment: the words, the service, the run of a block, and the making of content."""
