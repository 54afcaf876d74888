"""Layers as the workloads state them; their parameters are the spec's arrays under the spec's names.

Shapes: B batch, I and O features or channels in and out, F features or channels, T context, H and W image sides.
Images are NCHW to PyTorch and channels-last in memory: NHWC arrays, permuted without a copy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import precision, spec

from . import exchange

Params = Mapping[str, NDArray[Any]]
Axes = tuple[int, ...]
Named = Mapping[str, tuple[nn.Parameter, Axes]]  # by the spec's names, each with the axes that lead to its layout

VECTOR = 16  # float32 numbers in a vector register of a CPU with AVX-512


@dataclass(frozen=True, kw_only=True)
class Forms:
    """Where and how operations run; chosen once, from the request."""

    device: torch.device
    product: torch.dtype  # of the inputs of products
    sequences_by_conv: bool  # matrix products of sequences as convolutions of size 1
    sums_apart: bool  # a bias's gradient by its own sum in float32, as PyTorch's own has the type of the product


def choose(request: spec.Request) -> Forms:
    """The forms that were measured fastest.

    PyTorch hands matrix products to MKL, which keeps its AVX-512 kernels for Intel's processors, and convolutions to
    oneDNN, which does not: on an AMD EPYC a step of lm small takes 0.6 of the time. Those of 16 bits are oneDNN's.
    """
    cell = request.cell
    return Forms(
        device=exchange.device(request),
        product=getattr(torch, precision.product(cell.precision)),
        sequences_by_conv=cell.platform == "cpu" and cell.precision not in precision.MIXED,
        sums_apart=cell.precision in precision.MIXED,
    )


class Layer(nn.Module):
    """A module whose parameter `<leaf>` is the spec's `<name>.<leaf>` with its axes permuted, or None without one."""

    def __init__(self, params: Params, name: str, device: torch.device, axes: Mapping[str, Axes]) -> None:
        super().__init__()
        self.axes = axes
        for leaf, order in axes.items():
            array = params.get(f"{name}.{leaf}")
            self.register_parameter(leaf, None if array is None else parameter(array, order, device))


def parameter(array: NDArray[Any], axes: Axes, device: torch.device) -> nn.Parameter:
    """A copy of an array, on the device, dense in the permuted order of its axes."""
    tensor = torch.from_numpy(array).to(device).permute(axes)
    return nn.Parameter(tensor.clone(memory_format=torch.contiguous_format))


def named(net: nn.Module) -> Named:
    """The parameters of a whole network; those outside of a `Layer` have the spec's layout."""
    layers = {name: layer.axes for name, layer in net.named_modules() if isinstance(layer, Layer)}

    def back(name: str, param: nn.Parameter) -> Axes:
        layer, _, leaf = name.rpartition(".")
        order = layers[layer][leaf] if layer in layers else tuple(range(param.ndim))
        return tuple(order.index(axis) for axis in range(param.ndim))

    return {name: (param, back(name, param)) for name, param in net.named_parameters()}


class Dense(Layer):
    """y_BO = x_BI · w + b, whatever axes stand for B."""

    w: nn.Parameter  # (O, I)
    b: nn.Parameter | None  # (O,)

    def __init__(self, params: Params, name: str, forms: Forms) -> None:
        super().__init__(params, name, forms.device, {"w": (1, 0), "b": (0,)})
        self.forms = forms

    def forward(self, x_BI: Tensor) -> Tensor:
        return dense(x_BI, self.w, self.b, self.forms)


def dense(x_BI: Tensor, w_OI: Tensor, b_O: Tensor | None, forms: Forms) -> Tensor:
    """x · wᵀ + b; sequences are (B, T, I)."""
    x_BI, w_OI, bias_O = rounded(forms, x_BI, w_OI, b_O)
    if x_BI.ndim == 2:
        return summed(F.linear(x_BI, w_OI, bias_O), b_O, -1, forms)
    if not forms.sequences_by_conv:
        # In two axes, as F.linear gives a view of more, and `summed` in place on a view would copy the gradient
        y_MO = summed(F.linear(x_BI.flatten(0, -2), w_OI, bias_O), b_O, -1, forms)
        return y_MO.unflatten(0, x_BI.shape[:-1])
    x_BITH = x_BI.unsqueeze(2).permute(0, 3, 1, 2)
    return F.conv2d(x_BITH, w_OI[:, :, None, None], bias_O).permute(0, 2, 3, 1).squeeze(2)


class Conv(Layer):
    """The convolution of `bench.spec.Conv`, transposed or not, in the form that is fastest for its channels."""

    w: nn.Parameter  # (O, I, H, W); transposed (I, O, H, W)
    b: nn.Parameter | None  # (O,)

    def __init__(self, params: Params, conv: spec.Conv, forms: Forms) -> None:
        axes = {"w": (2, 3, 0, 1) if conv.transposed else (3, 2, 0, 1), "b": (0,)}
        super().__init__(params, conv.name, forms.device, axes)
        self.conv, self.forms = conv, forms
        if not conv.transposed:
            self.form = conv2d
            # An image of one channel is in both layouts at once; then the kernel's decides
            self.w.data = self.w.data.clone(memory_format=torch.channels_last)
        elif conv.stride > 1 and conv.outputs < VECTOR:
            self.form = subpixel
        else:
            self.form = conv_transpose2d

    def forward(self, x_BIHW: Tensor) -> Tensor:
        y_BOHW = self.form(*rounded(self.forms, x_BIHW, self.w, self.b), self.conv)
        return summed(y_BOHW, self.b, 1, self.forms)


def rounded(forms: Forms, x: Tensor, w: Tensor, b: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Inputs of a product as it takes them: the same tensors, or of 16 bits; their gradients are widened again."""
    if forms.sums_apart and b is not None:
        b = b.detach()  # `summed` gives it its gradient
    return x.to(forms.product), w.to(forms.product), None if b is None else b.to(forms.product)


def summed(y: Tensor, b_O: Tensor | None, features: int, forms: Forms) -> Tensor:
    """A product's result y, whose bias gets its gradient summed in its own type where that is not the product's."""
    if b_O is None or not forms.sums_apart:
        return y
    return Summed.apply(y, b_O, [axis for axis in range(y.ndim) if axis != features % y.ndim])


class Summed(torch.autograd.Function):
    """y as it is, in place; the gradient of b is that of y summed over some axes in b's type."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, b_O: Tensor, axes: list[int]) -> Tensor:
        ctx.axes, ctx.dtype = axes, b_O.dtype
        ctx.mark_dirty(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None]:
        return dy, dy.sum(ctx.axes, dtype=ctx.dtype), None


def add_convs(module: nn.Module, convs: tuple[spec.Conv, ...], params: Params, forms: Forms) -> tuple[Conv, ...]:
    """Convolutions, also added to `module` under the last part of their names."""
    added = tuple(Conv(params, conv, forms) for conv in convs)
    for conv, layer in zip(convs, added, strict=True):
        module.add_module(conv.name.rpartition(".")[2], layer)
    return added


def conv2d(x_BIHW: Tensor, w_OIHW: Tensor, b_O: Tensor | None, conv: spec.Conv) -> Tensor:
    """Convolution; PyTorch itself pads both sides alike."""
    before, after = conv.pad_before, conv.pad_after
    if before == after:
        return F.conv2d(x_BIHW, w_OIHW, b_O, conv.stride, before)
    return F.conv2d(F.pad(x_BIHW, (before, after, before, after)), w_OIHW, b_O, conv.stride)


def conv_transpose2d(x_BIHW: Tensor, w_IOHW: Tensor, b_O: Tensor | None, conv: spec.Conv) -> Tensor:
    """Transposed convolution; PyTorch itself crops both sides alike, and what is left over is sliced off."""
    y_BOHW = F.conv_transpose2d(x_BIHW, w_IOHW, b_O, conv.stride, conv.pad_before)
    return y_BOHW[..., : conv.side_out, : conv.side_out]


def subpixel(x_BIHW: Tensor, w_IOHW: Tensor, b_O: Tensor | None, conv: spec.Conv) -> Tensor:
    """Transposed convolution as a convolution to the s·s phases of the image (Shi et al. 2016), s being the stride.

    With zeros before the kernel until its padding is q whole strides, and after it until it has m strides, tap
    s·j + r takes x[i] to y[s·(i + j − q) + r]: phase r of y at a sums x[a − j + q] over j, which is the
    convolution with the taps of phase r in reverse order and a padding of m − 1 − q. Adds zeros to the kernel,
    but keeps the vector units full where there are few output channels.
    """
    s, q = conv.stride, -(-conv.pad_before // conv.stride)
    before = q * s - conv.pad_before
    m = -(-(before + conv.kernel) // s)
    after = m * s - before - conv.kernel
    w_IOMSMS = F.pad(w_IOHW, (before, after, before, after)).view(conv.inputs, conv.outputs, m, s, m, s)
    w = w_IOMSMS.flip(2, 4).permute(1, 3, 5, 0, 2, 4).reshape(conv.outputs * s * s, conv.inputs, m, m)
    # Channel by channel: the C++ compiler of PyTorch 2.11 takes no bias that is a view, as of repeat_interleave
    b = None if b_O is None else torch.cat([one.expand(s * s) for one in b_O.split(1)])
    return F.pixel_shuffle(F.conv2d(x_BIHW, w, b, padding=m - 1 - q), s)


def relu(x: Tensor) -> Tensor:
    return F.relu(x, inplace=in_place())


def leaky_relu(x: Tensor, leak: float) -> Tensor:
    return F.leaky_relu(x, leak, inplace=in_place())


def in_place() -> bool:
    """Whether to ask for it: a compiler sees to it by itself, and PyTorch 2.11's takes none behind `Summed`."""
    return not torch.compiler.is_compiling()


def images(h_BF: Tensor, side: int) -> Tensor:
    """Features in the order H, W, C as channels-last images."""
    return h_BF.view(len(h_BF), side, side, -1).permute(0, 3, 1, 2)


def features(h_BFHW: Tensor) -> Tensor:
    """Images as features in the order H, W, C; copies nothing where they are channels-last."""
    return h_BFHW.permute(0, 2, 3, 1).flatten(1)


class BatchNorm(Layer):
    """Batch norm in training, over each of some groups of consecutive samples.

    PyTorch's running variance is the unbiased one, n/(n − 1) times the biased. Its update being linear, it is
    kept so, from n/(n − 1) times the biased start, and turned into the biased one when it is read.
    """

    scale: nn.Parameter  # (F,)
    shift: nn.Parameter  # (F,)

    def __init__(
        self, params: Params, name: str, device: torch.device, *, groups: int, n: int, momentum: float, eps: float
    ) -> None:
        """`n` is how many numbers a statistic is taken over; `momentum` the share of the old one that is kept."""
        super().__init__(params, name, device, {"scale": (0,), "shift": (0,)})
        self.new_share, self.eps, self.unbiased = 1.0 - momentum, eps, n / (n - 1)
        self.means = [torch.zeros_like(self.scale.data) for _ in range(groups)]
        self.vars = [torch.full_like(self.scale.data, self.unbiased) for _ in range(groups)]

    def forward(self, x_BF: Tensor) -> Tensor:
        """Features (B, F) or images (B, F, H, W)."""
        if len(self.means) == 1:
            return self.normalise(x_BF, 0)
        return torch.cat([self.normalise(x, group) for group, x in enumerate(x_BF.chunk(len(self.means)))])

    def normalise(self, x_BF: Tensor, group: int) -> Tensor:
        mean, var = self.means[group], self.vars[group]
        return F.batch_norm(x_BF, mean, var, self.scale, self.shift, True, self.new_share, self.eps)

    def running(self, statistic: str) -> Tensor:
        """Running `mean` or biased `var`: the mean over the groups."""
        return (
            torch.stack(self.means).mean(0) if statistic == "mean" else torch.stack(self.vars).mean(0) / self.unbiased
        )


class LayerNorm(Layer):
    """Layer norm over the last axis, with the biased variance."""

    scale: nn.Parameter  # (F,)
    shift: nn.Parameter  # (F,)

    def __init__(self, params: Params, name: str, device: torch.device, eps: float) -> None:
        super().__init__(params, name, device, {"scale": (0,), "shift": (0,)})
        self.eps = eps

    def forward(self, x_BF: Tensor) -> Tensor:
        return F.layer_norm(x_BF, self.scale.shape, self.scale, self.shift, self.eps)


def softplus(x: Tensor) -> Tensor:
    """log(1 + eˣ); PyTorch turns to x itself at 20, where that is 2e-9 off: at 40 float64 cannot tell."""
    return F.softplus(x, threshold=40.0)
