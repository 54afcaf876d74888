"""What was on in a step, asked of PyTorch: by what it does with a trial, not by what it was told, where that can be."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from . import backend, exchange, layers, optimizers

Found = dict[str, str | bool]


def seen(
    net: nn.Module,
    forms: layers.Forms,
    variant: str,
    updates: Iterable[optimizers.Update],
    losses: Iterable[Callable[..., Tensor]],
) -> Found:
    """Of any workload."""
    updates = list(updates)
    kernels = sorted({kernel for update in updates for kernel in optimizer_kernels(update.optimizer)})
    found: Found = {
        "products": str(forms.product).removeprefix("torch."),
        "reduced_precision_sums": reduced_precision_sums(),
        "tf32": tf32(forms.device),
        "loss_scaling": all(update.loss_scale is not None for update in updates),
        "fused_optimizer": any("_fused_" in kernel for kernel in kernels),
        "optimizer_kernel": " + ".join(kernels),
        "gradient_exchange": exchange.told(losses),
        "donation": "in place",
        "onednn": onednn(forms),
        "autotuning": forms.device.type == "cuda" and torch.backends.cudnn.benchmark,
        "allocator": allocator(forms.device),
        "subnormals": "kept" if torch.full((), 1e-20, device=forms.device).square().item() else "flushed",
    }
    return found | compiled(variant) | images(net, variant)


def compiled(variant: str) -> Found:
    """Programs hold a loss and its gradients each; a break in one would have been an error."""
    if variant == "eager":
        return {"jit": False, "fast_math": False}
    import torch._inductor.config as inductor

    return {
        "jit": backend.programs() > 0,
        "compiled_once": backend.compilations() == backend.programs(),
        "fast_math": inductor.cpp.enable_unsafe_math_opt_flag or inductor.use_fast_math,
    }


def images(net: nn.Module, variant: str) -> Found:
    """Of the convolutions, if there are any."""
    convs = [layer for layer in net.modules() if isinstance(layer, layers.Conv)]
    if not convs:
        return {}
    plain = next(layer for layer in convs if not layer.conv.transposed)
    transposed = [layer.form for layer in convs if layer.conv.transposed]
    names = {layers.conv_transpose2d: "native", layers.subpixel: "phases"}
    return {
        "convolutions": convolution_kernel(plain),
        "transposed_convolution": " + ".join(text for form, text in names.items() if form in transposed),
        "layout": "Inductor's choice" if variant == "compile" else layout(plain),
    }


def trial_image(layer: layers.Conv) -> Tensor:
    """One that the layer takes, of the type that its product takes, as the batches' NHWC leave it."""
    side = layer.conv.side_in
    return layer.w.new_zeros(16, side, side, layer.conv.inputs, dtype=layer.forms.product).permute(0, 3, 1, 2)


def layout(layer: layers.Conv) -> str:
    """Layout in memory that a convolution of an NHWC image really comes out in."""
    with torch.no_grad():
        y_BOHW = layer(trial_image(layer))
    return "channels_last" if y_BOHW.is_contiguous(memory_format=torch.channels_last) else "contiguous"


def convolution_kernel(layer: layers.Conv) -> str:
    """Whose kernels PyTorch picks."""
    ones, stride = [1, 1], [layer.conv.stride] * 2
    w_OIHW = layer.w.detach().to(layer.forms.product)
    picked = torch._C._select_conv_backend(trial_image(layer), w_OIHW, None, stride, ones, ones, False, [0, 0], 1, None)
    names = {"Mkldnn": "oneDNN", "Slow2d": "PyTorch's own, as a matrix product", "Cudnn": "cuDNN", "Miopen": "MIOpen"}
    return names.get(picked.name, picked.name)


def onednn(forms: layers.Forms) -> bool:
    """Whether products are oneDNN's: those of 16 bits by what the processor has, others as convolutions."""
    if forms.device.type != "cpu" or not torch.backends.mkldnn.enabled:
        return False
    x = torch.zeros(16, 64, 16, 16, dtype=forms.product)  # PyTorch takes its own for a few small images
    w, ones = torch.zeros(64, 64, 1, 1, dtype=forms.product), [1, 1]
    picked = torch._C._select_conv_backend(x, w, None, ones, [0, 0], ones, False, [0, 0], 1, None)
    return picked.name.startswith("Mkldnn")


class Recorder(TorchDispatchMode):
    """Names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def optimizer_kernels(optimizer: torch.optim.Optimizer) -> set[str]:
    """What one like it really calls to update a parameter: one fused kernel, or several for all parameters at once."""
    like = optimizer.param_groups[0]
    param = nn.Parameter(torch.zeros_like(like["params"][0]))
    param.grad = torch.zeros_like(param)
    options = {name: value for name, value in like.items() if name != "params"}
    twin = type(optimizer)([{"params": [param], **options}])
    with Recorder() as record:
        twin.step()
    fused = {name for name in record.names if name.startswith("_fused_")}
    return fused or {"_foreach_*" for name in record.names if name.startswith("_foreach_")}


def reduced_precision_sums() -> bool:
    """Whether a GPU may add up 16-bit products in fewer bits than float32's."""
    flags = torch.backends.cuda.matmul
    named = (
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_reduced_precision_reduction",
        "allow_fp16_accumulation",
    )
    return any(getattr(flags, name) not in (False, (False, False)) for name in named)


def tf32(device: torch.device) -> str | bool:
    """Of matrix products and convolutions; there is none on a CPU."""
    on = {"matrices": torch.backends.cuda.matmul.allow_tf32, "convolutions": torch.backends.cudnn.allow_tf32}
    if device.type != "cuda" or not any(on.values()):
        return False
    return all(on.values()) or ", ".join(name for name in on if on[name])


def allocator(device: torch.device) -> str:
    """What keeps memory between steps."""
    if device.type == "cuda":
        return os.environ.get("PYTORCH_CUDA_ALLOC_CONF") or "PyTorch's, caching"
    kept = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} <= set(os.environ)
    return "C library, memory kept" if kept else "C library"


def kernel_of(output: Tensor) -> str:
    """What made a tensor, if it was one kernel of PyTorch's for attention."""
    name = type(output.grad_fn).__name__
    fused = name.startswith("ScaledDotProduct")
    return name.removeprefix("ScaledDotProduct").removesuffix("Backward0") if fused else "written out"
