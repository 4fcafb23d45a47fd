"""Sliding a network over a volume with MONAI."""

from __future__ import annotations

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference

from connectomics.geometry import Triple


@torch.inference_mode()
def slide(
    network: torch.nn.Module,
    image: np.ndarray,
    window: Triple,
    *,
    batch: int,
    device: torch.device,
) -> np.ndarray:
    """Predict (C, Z, Y, X) of an image (Z, Y, X), half overlapping, blended by a Gaussian.

    On a GPU in bfloat16, with sums on the GPU.
    """
    on_gpu = device.type == "cuda"
    volume = torch.from_numpy(image)[None, None].to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=on_gpu):
        predicted = sliding_window_inference(
            volume, window, batch, network, overlap=0.5, mode="gaussian"
        )
    assert isinstance(predicted, torch.Tensor)
    return predicted[0].float().cpu().numpy()
