"""The loss scale of fp16, as `bench.precision` states it (Micikevicius et al. 2018), kept on the device.

The kernels are those under `torch.amp.GradScaler`, which itself reads a result back where an optimizer is not fused,
and tells nobody how often it skipped.
"""

from collections.abc import Callable

import torch

from bench.precision import BACKOFF, GROWTH, GROWTH_INTERVAL


class LossScale:
    """Of one update: its loss's gradients come times `value`."""

    def __init__(self, first_scale: float, device: torch.device) -> None:
        self.value = torch.full((), first_scale, device=device)
        self.good = torch.zeros((), dtype=torch.int32, device=device)  # updates in a row
        self.found = torch.zeros((), device=device)  # 1 if a gradient is not finite, else 0
        self.skipped = torch.zeros((), device=device)

    def step(self, optimizer: torch.optim.Optimizer, update: Callable[[], object]) -> None:
        """Unscale the gradients, make the update if all are finite, adapt the scale.

        `update` leaves out what it does where the optimizer's attribute `found_inf` is 1.
        """
        gradients = [param.grad for group in optimizer.param_groups for param in group["params"]]
        self.found.zero_()
        torch._amp_foreach_non_finite_check_and_unscale_(gradients, self.found, self.value.reciprocal())
        optimizer.found_inf = self.found  # fused kernels look at it, and take the update and its number back
        update()
        torch._amp_update_scale_(self.value, self.good, self.found, GROWTH, BACKOFF, GROWTH_INTERVAL)
        self.skipped = self.skipped + self.found  # not in place: losses that were returned before keep their count


def on_host(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """An update that waits for the gradients to know whether it happens, where no kernel can decide that."""

    def update() -> None:
        if not optimizer.found_inf.item():
            optimizer.step()

    return update
