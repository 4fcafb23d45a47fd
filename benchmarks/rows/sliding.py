"""A network that slides over a volume, against MONAI's `sliding_window_inference`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from baselines.monai_sliding import slide
from timing import Row, versus

from connectomics.inference import predict_volume
from connectomics.inference.compiled import compiled
from connectomics.inference.predict import predict_at_once
from connectomics.inference.windows import Sliding
from connectomics.models import RSUNet
from connectomics.models.folding import folded


def rows(small: bool) -> Iterator[Row]:
    """Measure the whole way with one network, and what is left of it without a network."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    settings, window, shape = (
        {"filters": (8, 16), "down_factors": ((1, 2, 2),)},
        (8, 64, 64),
        (16, 128, 128),
    )
    if not small:
        window = (18, 256, 256) if cuda else (16, 128, 128)
        shape = (40, 700, 700) if cuda else (32, 320, 320)
        settings = {} if cuda else {**settings, "filters": (16, 32)}
    torch.manual_seed(0)
    network = folded(RSUNet(1, 3, **settings)).to(device)
    image = np.random.default_rng(0).random(shape, np.float32)
    where, batch = ("GPU", 4) if cuda else ("CPU", 1)
    size = f"{' x '.join(map(str, shape))}, window {' x '.join(map(str, window))}"

    def monai(model: torch.nn.Module) -> np.ndarray:
        return slide(model, image, window, batch=batch, device=device)

    def ours(
        model: torch.nn.Module, flips: str | None = None, image: np.ndarray = image
    ) -> np.ndarray:
        return predict_volume(
            model,
            image,
            window_size=window,
            blending="gaussian",
            batch_size=batch,
            device=device,
            precision=torch.bfloat16 if cuda else None,
            flip_axes=flips,
        )

    yield versus(
        f"sliding window, {where}",
        size,
        lambda: ours(network),
        ("MONAI's sliding_window_inference", lambda: monai(network)),
    )
    if cuda:
        sliding = Sliding(
            window, blending="gaussian", batch_size=batch, device=device, precision=torch.bfloat16
        )
        fast, whole = compiled(network, sliding)
        yield versus(
            "sliding window, compiled, GPU",
            size,
            lambda: predict_at_once(fast, lambda z0, z1: image[z0:z1], image.shape, whole),
            ("MONAI's sliding_window_inference", lambda: monai(network)),
        )
    nothing = _Nothing().to(device)
    yield versus(
        f"sliding window without a network, {where}",
        size,
        lambda: ours(nothing),
        ("MONAI's sliding_window_inference", lambda: monai(nothing)),
    )
    if small:
        return
    seen = image if cuda else np.ascontiguousarray(image[tuple(slice(0, n) for n in window)])
    yield versus(
        f"sliding window, eight flips, {where}",
        f"{' x '.join(map(str, seen.shape))}, window {' x '.join(map(str, window))}",
        lambda: ours(network, "all", seen),
        ("eight passes without flips", lambda: [ours(network, None, seen) for _ in range(8)]),
    )


class _Nothing(torch.nn.Module):
    """Gives three channels of the image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.repeat(1, 3, 1, 1, 1)
