"""The tests of p2p: ``make test``, or ``.venv/bin/python -m twisted.trial test`` from the root of the project."""
