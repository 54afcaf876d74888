"""Dense peaks of devices, as their makers state them: FLOP/s of products at each precision, bytes/s of the memory.

Without sparsity (makers like to print twice the dense figure) and with sums in float32 (GeForce halves its rate for
that). `fp32` is IEEE's, without tensor cores. What a maker does not state is None; so is `fp64`, always.

A device is known by its whole name, as NVML, `torch.cuda.get_device_name` and JAX's `device_kind` give it. There is
no likeness of names: a part of a GPU (`… MIG 1g.10gb`) is not the GPU, and an unknown device has no peak.

`seen` says which numbers were found again in another text than the source itself, and where.
"""

from collections.abc import Mapping
from dataclasses import dataclass

T, P, G = 1e12, 1e15, 1e9


@dataclass(frozen=True, kw_only=True)
class Peak:
    """What one device does at most."""

    fp32: float | None
    tf32: float | None
    bf16: float | None
    fp16: float | None
    bytes_per_s: float  # of its memory
    source: str  # title of the maker's text, and its address
    seen: str  # elsewhere: which numbers, and where

    def flops_per_s(self, precision: str) -> float | None:
        """At a precision of `bench.precision`; None where the maker states nothing."""
        rates = {"fp32": self.fp32, "tf32": self.tf32, "bf16": self.bf16, "fp16": self.fp16}
        return rates.get(precision)


H100_SHEET = "NVIDIA H100 Tensor Core GPU datasheet, https://resources.nvidia.com/en-us-tensor-core"
H100_PAPER = "NVIDIA H100 Tensor Core GPU Architecture, https://resources.nvidia.com/en-us-hopper-architecture"
H200_SHEET = "NVIDIA H200 Tensor Core GPU, https://www.nvidia.com/en-us/data-center/h200/"
A100_SHEET = (
    "NVIDIA A100 Tensor Core GPU datasheet, https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/"
    "nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf"
)
B200_SHEET = "NVIDIA Blackwell datasheet, HGX B200, https://nvdam.widen.net/s/wwnsxrhm2w/blackwell-datasheet-3384703"
L4_SHEET = "NVIDIA L4 Tensor Core GPU, https://www.nvidia.com/en-us/data-center/l4/"
L40S_SHEET = "NVIDIA L40S datasheet, https://www.nvidia.com/en-us/data-center/l40s/"
ADA_PAPER = (
    "NVIDIA Ada GPU Architecture, V2.02, appendix A, https://images.nvidia.com/aem-dam/Solutions/Data-Center/l4/"
    "nvidia-ada-gpu-architecture-whitepaper-V2.02.pdf"
)
MI300X_SHEET = "AMD Instinct MI300X, https://www.amd.com/en/products/accelerators/instinct/mi300/mi300x.html"
TPU_PAGE = "Cloud TPU, system architecture, https://cloud.google.com/tpu/docs"
TORCHTITAN = "torchtitan's table of peaks (get_peak_flops)"
GLENN = "https://glennklockwood.com/garden/processors"


def _a100(bytes_per_s: float) -> Peak:
    return Peak(
        fp32=19.5 * T, tf32=156 * T, bf16=312 * T, fp16=312 * T, bytes_per_s=bytes_per_s, source=A100_SHEET,
        seen=f"all rates: {GLENN}/A100; each memory: https://www.thundercompute.com/blog/nvidia-a100-specs-full-guide",
    )  # fmt: skip


def _tpu(bf16: float, bytes_per_s: float, page: str, seen: str) -> Peak:
    """Google states the rate of bfloat16 alone."""
    return Peak(
        fp32=None, tf32=None, bf16=bf16, fp16=None, bytes_per_s=bytes_per_s, source=f"{TPU_PAGE}/{page}", seen=seen
    )


V5E = _tpu(197 * T, 819 * G, "v5e", "both, in the maker's page of v6e; a later state of it says 800 GB/s")
V5P = _tpu(459 * T, 2765 * G, "v5p", "both (2.77 TB/s): https://yobitel.com/knowledge-base/tpu-v5p")
V6E = _tpu(918 * T, 1640 * G, "v6e", "both, in the maker's page itself; a later state of it says 1600 GB/s")

PEAKS: Mapping[str, Peak] = {
    "NVIDIA H100 80GB HBM3": Peak(
        fp32=66.9 * T, tf32=494.7 * T, bf16=989.4 * T, fp16=989.4 * T, bytes_per_s=3.35 * T, source=H100_PAPER,
        seen=f"all rates: {GLENN}/h100; rounded, with sparsity, and the memory: "
        "https://archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html",
    ),
    "NVIDIA H100 PCIe": Peak(
        fp32=51.2 * T, tf32=378 * T, bf16=756 * T, fp16=756 * T, bytes_per_s=2.0 * T, source=H100_PAPER,
        seen="all, rates rounded (51) and with sparsity (756, 1513): "
        "https://archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html",
    ),
    "NVIDIA H100 NVL": Peak(
        fp32=60 * T, tf32=417.5 * T, bf16=835.5 * T, fp16=835.5 * T, bytes_per_s=3.9 * T, source=H100_SHEET,
        seen=f"835 TFLOP/s of bf16 alone: {TORCHTITAN}",
    ),
    "NVIDIA H200": Peak(
        fp32=67 * T, tf32=494.5 * T, bf16=989.5 * T, fp16=989.5 * T, bytes_per_s=4.8 * T, source=H200_SHEET,
        seen=f"989 TFLOP/s of bf16: {TORCHTITAN}; the GPU of the H100, so its rates: {GLENN}/h100",
    ),
    "NVIDIA A100-SXM4-40GB": _a100(1555 * G),
    "NVIDIA A100-SXM4-80GB": _a100(2039 * G),
    "NVIDIA A100-PCIE-40GB": _a100(1555 * G),
    "NVIDIA A100 80GB PCIe": _a100(1935 * G),
    "NVIDIA B200": Peak(
        fp32=80 * T, tf32=1.1 * P, bf16=2.25 * P, fp16=2.25 * P, bytes_per_s=8 * T, source=B200_SHEET,
        seen=f"all, for the board of 1000 W: {GLENN}/B200; 2.25 PFLOP/s of bf16: {TORCHTITAN}",
    ),
    "NVIDIA L4": Peak(
        fp32=30.3 * T, tf32=60 * T, bf16=121 * T, fp16=121 * T, bytes_per_s=300 * G, source=L4_SHEET,
        seen="with sparsity (120, 242), and the memory: shops and https://grokipedia.com/page/NVIDIA_L4_vs_L40S",
    ),
    "NVIDIA L40S": Peak(
        fp32=91.6 * T, tf32=183 * T, bf16=362.05 * T, fp16=362.05 * T, bytes_per_s=864 * G, source=L40S_SHEET,
        seen="all, beside the figures with sparsity: https://www.mullet.se/product.html?product_id=355414",
    ),
    "NVIDIA GeForce RTX 4090": Peak(
        fp32=82.6 * T, tf32=82.6 * T, bf16=165.2 * T, fp16=165.2 * T, bytes_per_s=1008 * G, source=ADA_PAPER,
        seen="the 83 TFLOP/s of fp32 and the memory, in news of its launch; the tensor cores' rates nowhere else",
    ),
    "AMD Instinct MI300X": Peak(
        fp32=163.4 * T, tf32=653.7 * T, bf16=1307.4 * T, fp16=1307.4 * T, bytes_per_s=5.3 * T, source=MI300X_SHEET,
        seen=f"1300 TFLOP/s of bf16: {TORCHTITAN}; the memory: https://www.emergentmind.com/topics/amd-mi300x-gpu; "
        "fp32 and tf32 nowhere else",
    ),
    "TPU v4": _tpu(275 * T, 1200 * G, "v4", "both: https://glennklockwood.com/garden/tpuv4"),
    "TPU v5 lite": V5E,
    "TPU v5e": V5E,
    "TPU v5": V5P,
    "TPU v5p": V5P,
    "TPU v6 lite": V6E,
    "TPU v6e": V6E,
}  # fmt: skip


def peak(device: str | None) -> Peak | None:
    """That of a device by its whole name; None for an unknown one, never that of a similar one."""
    return None if device is None else PEAKS.get(device)
