"""What samestep takes of the library zeus 0.16, with planted counters: names, units and failures are its own.

`PLANTED_ZEUS` is JSON: `watts` of each device, `tick_s` between steps of their counters, `names`, `vendor`, the `error`
that says that there are none, `stops_s` after which reading fails.
"""

import json
import os
import time

__version__ = "0.16.0"
BEGUN = time.perf_counter()


class ZeusBaseError(Exception):
    """As zeus's own, no OSError."""


def planted():
    return {"watts": [100.0], "tick_s": 0.05} | json.loads(os.environ.get("PLANTED_ZEUS", "{}"))


def joules(place):
    """Of constant power since some beginning, as of the counter's last step."""
    what, now = planted(), time.perf_counter()
    if now - BEGUN > what.get("stops_s", float("inf")):
        raise ZeusBaseError("GPU is lost")
    return what["watts"][place] * (now // what["tick_s"]) * what["tick_s"]
