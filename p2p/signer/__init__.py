"""The signer: the process beside the authority's key, which signs what routers pass on to it."""
