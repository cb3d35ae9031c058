"""Settings of all tests."""

import os

from hypothesis import settings

# before torch is imported: files of tests run side by side, one per core, and torch's threads of
# each would wait for those of the others, spinning
os.environ.setdefault("OMP_NUM_THREADS", "1")

# a busy machine must not fail a test: no deadline an example
settings.register_profile("liif", deadline=None, print_blob=True)
settings.load_profile("liif")
