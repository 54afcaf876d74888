"""GPUs by place among those that CUDA_VISIBLE_DEVICES shows, of which zeus takes whole numbers alone."""

import os

from zeus import ZeusBaseError, joules, planted


class NVIDIAGPUs:
    def __init__(self):
        masked = os.environ.get("CUDA_VISIBLE_DEVICES")
        everyone = range(len(planted()["watts"]))
        self.places = list(everyone) if masked is None else [int(place) for place in masked.split(",")]

    def __len__(self):
        return len(self.places)

    def get_name(self, place):
        return planted().get("names", {}).get(str(self.places[place]), "NVIDIA H100")

    def get_total_energy_consumption(self, place):
        return int(1e3 * joules(self.places[place]))  # mJ


class AMDGPUs(NVIDIAGPUs):
    pass


def get_gpus():
    if "error" in planted():
        raise ZeusBaseError(planted()["error"])
    print("a library may print")
    return AMDGPUs() if planted().get("vendor") == "AMD" else NVIDIAGPUs()
