"""What a GPU computes is what a CPU computes; an interrupted training there ends as another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from connectomics.inference import predict_volume
from connectomics.inference.compiled import compiled
from connectomics.inference.predict import in_one, predict_slabs
from connectomics.inference.windows import Sliding
from connectomics.models import RSUNet, read_checkpoint
from connectomics.models.folding import folded
from connectomics.training import fit

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]

ON_A_GPU = {"system": {"num_gpus": 1, "seed": 3}}


def network() -> RSUNet:
    torch.manual_seed(0)
    return RSUNet(1, 3, filters=(8, 16), down_factors=((1, 2, 2),))


def test_a_gpu_gives_what_a_cpu_gives():
    model, image = network().eval(), torch.randn(2, 1, 4, 32, 32)
    with torch.no_grad():
        expected = model(image)
        found = folded(model).cuda()(image.cuda()).cpu()
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=5e-3)  # TF32


def test_sliding_on_a_gpu_gives_what_a_cpu_gives():
    model = network().eval()
    image = np.random.default_rng(0).random((10, 70, 50), np.float32)
    settings = {"window_size": (4, 32, 32), "flip_axes": [[2]], "activation": torch.sigmoid}
    expected = predict_volume(model, image, **settings)
    found = predict_volume(model.cuda(), image, **settings, batch_size=4)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_compiled_or_not_the_network_gives_the_same():
    model, image = network().cuda().train(), torch.randn(2, 1, 4, 32, 32, device="cuda")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    expected = model(image)
    model.load_state_dict(before)
    model.compile(fullgraph=True, dynamic=False)
    torch.testing.assert_close(model(image), expected, atol=5e-3, rtol=5e-3)


def test_compiled_or_not_a_volume_is_predicted_the_same():
    model = folded(network()).cuda()
    image = np.random.default_rng(0).random((6, 70, 50), np.float32)  # the last batch is not full
    sliding = Sliding(
        (4, 32, 32),
        batch_size=4,
        activation=torch.sigmoid,
        device="cuda",
        precision=torch.bfloat16,
    )
    quick, whole = compiled(model, sliding)
    expected, found = (
        in_one(predict_slabs(one, lambda a, b: image[a:b], image.shape, how), image.shape)
        for one, how in ((model, sliding), (quick, whole))
    )
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_a_clipped_training_in_mixed_precision_goes_through(make_config, tmp_path):
    optimization = {"precision": "bf16-mixed", "gradient_clip_val": 1.0, "max_steps": 2}
    assert fit(make_config(**ON_A_GPU, optimization=optimization), tmp_path).step == 2


def test_a_training_that_goes_on_ends_as_one_that_was_not_interrupted(make_config, tmp_path):
    optimization = {"deterministic": True, "n_steps_per_epoch": 5, "max_steps": 10}
    config = make_config(
        **ON_A_GPU, optimization=optimization, monitor={"checkpoint": {"save_top_k": 9}}
    )
    whole = fit(config, tmp_path / "whole")
    middle = next((tmp_path / "whole" / "checkpoints").glob("step_000005_*"))
    resumed = fit(config, tmp_path / "resumed", resume_from=middle)
    expected = read_checkpoint(whole.last).weights(use_ema=False)
    found = read_checkpoint(resumed.last).weights(use_ema=False)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-4, msg=name)
