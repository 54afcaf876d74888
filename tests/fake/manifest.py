"""Facts about the fake framework."""

NAME = "fake"
MODULE = "numpy"
PACKAGES = (("numpy",),)
VARIANTS = ("plain", "wrong")
DEFAULT_VARIANT = {"cpu": "plain"}
ENVIRONMENT = {"FAKE_THREADS": "{threads}"}
PRELOAD = ("numpy",)
PROCESS_PER_DEVICE = True
