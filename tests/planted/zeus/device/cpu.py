"""RAPL's zones below the folder that PLANTED_RAPL names, each a CPU of its own for zeus, whatever it is called."""

import os
from pathlib import Path
from types import SimpleNamespace

from zeus import ZeusBaseError, joules, planted


class RAPLCPU:
    def __init__(self, cpu_index):
        self.cpu_index = cpu_index

    def get_total_energy_consumption(self):
        return SimpleNamespace(cpu_mj=1e3 * joules(self.cpu_index), dram_mj=7.0)


def get_cpus():
    if "error" in planted():
        raise ZeusBaseError(planted()["error"])
    folder = Path(os.environ["PLANTED_RAPL"])
    return SimpleNamespace(rapl_dir=str(folder), cpus=[RAPLCPU(n) for n in range(len(list(folder.iterdir())))])
