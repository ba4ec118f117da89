"""Exchanges: one request and its reply on one stream of a link, the rules for them, and what a service is."""
