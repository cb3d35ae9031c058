"""Settings of all tests."""

from hypothesis import settings

# a busy machine must not fail a test: no deadline an example
settings.register_profile("liif", deadline=None, print_blob=True)
settings.load_profile("liif")
