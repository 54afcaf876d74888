"""What holds for all tests. Properties are tried on the same examples in every run, unless told otherwise.

HYPOTHESIS_PROFILE=search tries many other examples, drawn anew each time.
"""

import os

from hypothesis import settings

# Frameworks run in the environment of the tests, whatever `bench env` may have made on this machine.
os.environ["SAMESTEP_ENVIRONMENTS"] = os.devnull

settings.register_profile("ci", derandomize=True, max_examples=100, deadline=None, database=None)
settings.register_profile("search", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
