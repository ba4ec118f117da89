"""The tests of p2p: ``make test``, or ``.venv/bin/python -m twisted.trial test`` from the root of the project."""

from hypothesis import settings

# An example that takes long on a busy machine is no fault. Tests that want more or fewer examples start from here too.
settings.register_profile("p2p", settings.default, deadline=None)
settings.load_profile("p2p")
