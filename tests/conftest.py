"""How many examples a property is tried on: the same in every run, unless another profile is asked for.

HYPOTHESIS_PROFILE=search tries many others, drawn anew each time.
"""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, max_examples=100, deadline=None, database=None)
settings.register_profile("search", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
