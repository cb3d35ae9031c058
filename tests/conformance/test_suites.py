"""The suites that are shipped for other packages, over what is in this one."""

from liif_cli.testing.test_formats import *  # noqa: F403
from liif_cli.testing.test_networks import *  # noqa: F403
