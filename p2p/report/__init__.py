"""The report of an experiment: from raw data to a page and a paper that can be handed in."""
