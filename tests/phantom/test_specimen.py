"""What a phantom promises: labels that fit the neurons, switches that do what they say."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial import KDTree

from connectomics.errors import ConfigError
from connectomics.phantom import Phantom, make_phantom

SMALL = {"shape": (16, 160, 160), "seed": 3, "synapse_density_um3": 2.0}


@pytest.fixture(scope="module")
def small() -> Phantom:
    return make_phantom(**SMALL)


def test_shapes_and_dtypes(phantom: Phantom):
    for array, dtype in (
        (phantom.image, np.uint8),
        (phantom.label, np.uint16),
        (phantom.neurons, np.uint32),
    ):
        assert array.shape == (48, 400, 400)
        assert array.dtype == dtype
    assert phantom.resolution == (30.0, 8.0, 8.0)


def test_same_seed_gives_the_same_bytes(small: Phantom):
    again = make_phantom(**SMALL)
    for name in ("image", "label", "neurons"):
        assert np.array_equal(getattr(small, name), getattr(again, name))
    assert again.synapses == small.synapses
    assert again.decoys == small.decoys
    assert again.damaged_sections == small.damaged_sections


def test_another_seed_gives_another_tissue(small: Phantom):
    other = make_phantom(**{**SMALL, "seed": 4})
    assert np.mean(other.neurons == small.neurons) < 0.5
    assert not np.array_equal(other.label, small.label)


def test_every_synapse_has_two_sides_in_its_two_neurons(phantom: Phantom):
    assert len(phantom.synapses) >= 10
    assert phantom.label.max() == 2 * len(phantom.synapses)
    for n, synapse in enumerate(phantom.synapses, start=1):
        pre, post = phantom.label == 2 * n - 1, phantom.label == 2 * n
        assert synapse.id == n
        assert (pre.sum(), post.sum()) == (synapse.pre_voxels, synapse.post_voxels)
        assert min(synapse.pre_voxels, synapse.post_voxels) > 100
        assert synapse.pre_neuron != synapse.post_neuron
        assert set(np.unique(phantom.neurons[pre])) == {synapse.pre_neuron}
        assert set(np.unique(phantom.neurons[post])) == {synapse.post_neuron}


def test_records_give_positions_in_nm(phantom: Phantom):
    for synapse in phantom.synapses:
        for voxels, place in (
            (phantom.label == 2 * synapse.id - 1, synapse.pre_nm),
            (phantom.label == 2 * synapse.id, synapse.post_nm),
            ((phantom.label + 1) // 2 == synapse.id, synapse.centre_nm),
        ):
            assert place == pytest.approx(np.argwhere(voxels).mean(0) * phantom.resolution)


def test_neurites_continue_from_section_to_section(phantom: Phantom):
    ids = phantom.neurons
    assert np.mean(ids[1:] == ids[:-1]) > 0.75
    glia = np.mean(ids == 0)
    assert 0.005 < glia < 0.2


def test_densities_are_dark_and_on_the_post_side(phantom: Phantom):
    gap = []
    for synapse in phantom.synapses:
        pre = np.argwhere(phantom.label == 2 * synapse.id - 1)
        post = np.argwhere(phantom.label == 2 * synapse.id)
        sides = []
        for mine, theirs in ((pre, post), (post, pre)):
            away, _ = KDTree(theirs * phantom.resolution).query(mine * phantom.resolution)
            band = mine[(away > 10) & (away < 40)]
            sides.append(phantom.image[tuple(band.T)].mean())
        gap.append(sides[0] - sides[1])
    assert np.mean(np.array(gap) > 15) > 0.85


def test_decoys_look_like_half_a_synapse_and_carry_no_label(phantom: Phantom):
    kinds = [decoy.kind for decoy in phantom.decoys]
    assert kinds.count("vesicles") >= 4
    assert kinds.count("density") >= 4
    labelled = KDTree(np.argwhere(phantom.label > 0) * phantom.resolution)
    grey = {"vesicles": [], "density": []}
    for decoy in phantom.decoys:
        assert labelled.query(decoy.centre_nm)[0] > 80
        z, y, x = np.rint(np.array(decoy.centre_nm) / phantom.resolution).astype(int)
        is_inside = 0 <= z < 48 and 6 <= y < 394 and 6 <= x < 394
        if is_inside and z not in phantom.damaged_sections:
            around = phantom.image[z, y - 6 : y + 7, x - 6 : x + 7]
            grey[decoy.kind].append(np.percentile(around, 10))
    assert np.median(grey["density"]) < np.median(grey["vesicles"]) - 10


def test_without_decoys_the_synapses_stay(small: Phantom):
    plain = make_phantom(**SMALL, decoys=False)
    assert plain.decoys == ()
    assert len(small.decoys) > 0
    assert np.array_equal(plain.label, small.label)
    assert np.array_equal(plain.neurons, small.neurons)


def test_damage_spoils_the_image_of_its_sections_only(small: Phantom):
    intact = make_phantom(**SMALL, damage=False)
    assert intact.damaged_sections == ()
    differs = np.flatnonzero((intact.image != small.image).any((1, 2)))
    assert len(small.damaged_sections) >= 1
    assert tuple(differs) == small.damaged_sections
    assert np.array_equal(intact.label, small.label)


def test_jitter_shifts_image_and_labels_alike(small: Phantom):
    still = make_phantom(**SMALL, jitter=False)
    moved = np.flatnonzero((still.neurons != small.neurons).any((1, 2)))
    assert len(moved) >= 4
    for section in moved:
        shifts = [
            (y, x)
            for y in range(-6, 7)
            for x in range(-6, 7)
            if np.array_equal(
                small.neurons[section, 12:-12, 12:-12],
                still.neurons[section, 12 + y : 148 + y, 12 + x : 148 + x],
            )
        ]
        assert len(shifts) == 1
    assert np.mean(still.neurons[1:] == still.neurons[:-1]) > np.mean(
        small.neurons[1:] == small.neurons[:-1]
    )


def test_noise_and_contrast_change_the_image_only():
    options = {**SMALL, "damage": False}
    quiet = make_phantom(**options, noise=0.0)
    loud = make_phantom(**options, noise=30.0)
    flat = make_phantom(**options, noise=0.0, contrast=0.5)
    assert np.array_equal(quiet.label, loud.label)
    difference = loud.image.astype(float) - quiet.image
    assert 20 < difference.std() < 35
    assert flat.image.std() == pytest.approx(0.5 * quiet.image.std(), rel=0.15)


def test_sizes_are_in_nm_whatever_the_voxels():
    options = {"seed": 5, "synapse_density_um3": 1.5, "damage": False}
    fine = make_phantom((20, 240, 240), resolution=(30, 8, 8), **options)
    coarse = make_phantom((14, 120, 160), resolution=(45, 16, 12), **options)
    for one in (fine, coarse):
        assert len(one.synapses) >= 3
        apart = [np.linalg.norm(np.subtract(s.pre_nm, s.post_nm)) for s in one.synapses]
        assert 60 < np.median(apart) < 125
        voxels = [s.pre_voxels + s.post_voxels for s in one.synapses]
        assert 0.4e7 < np.median(voxels) * np.prod(one.resolution) < 6e7


def test_crowded_synapses_lie_a_few_pixels_apart():
    crowded = make_phantom(
        (40, 256, 256), seed=2, synapse_density_um3=1.0, crowding=1.0, damage=False, decoys=False
    )
    union = (crowded.label + 1) // 2
    points = [np.argwhere(union == s.id) * crowded.resolution for s in crowded.synapses]
    assert len(points) >= 4
    nearest = [
        min(KDTree(other).query(mine)[0].min() for other in points if other is not mine)
        for mine in points
    ]
    assert min(nearest) >= 15  # section jitter may take a pixel from the gap of 24 nm
    assert np.mean(np.array(nearest) < 70) > 0.5


def test_uncrowded_synapses_keep_apart(phantom: Phantom):
    voxels = np.argwhere(phantom.label > 0)[::5]
    synapse = (phantom.label[tuple(voxels.T)].astype(int) + 1) // 2
    pairs = KDTree(voxels * phantom.resolution).query_pairs(70.0, output_type="ndarray")
    assert len(pairs) > 0
    assert np.all(synapse[pairs[:, 0]] == synapse[pairs[:, 1]])


def test_polyadic_sites_have_one_pre_neuron_and_several_posts():
    phantom = make_phantom((40, 320, 320), seed=2, polyadic=1.0, damage=False, decoys=False)
    sites: dict[int, list] = {}
    for synapse in phantom.synapses:
        sites.setdefault(synapse.site, []).append(synapse)
    several = [group for group in sites.values() if len(group) > 1]
    assert len(several) >= 2
    for group in several:
        assert len({s.pre_neuron for s in group}) == 1
        assert len({s.post_neuron for s in group}) == len(group)


def test_monadic_sites_have_one_synapse(phantom: Phantom):
    sites = [synapse.site for synapse in phantom.synapses]
    assert len(set(sites)) == len(sites)


def test_no_synapses_where_none_are_asked_for():
    bare = make_phantom((8, 96, 96), seed=1, synapse_density_um3=0.0)
    assert bare.synapses == ()
    assert bare.decoys == ()
    assert not bare.label.any()


def test_label_thickness_is_what_was_asked_for():
    options = {"shape": (24, 256, 256), "seed": 6, "synapse_density_um3": 1.5, "decoys": False}
    thin = make_phantom(**options, label_thickness_nm=(60.0, 60.0))
    thick = make_phantom(**options, label_thickness_nm=(120.0, 60.0))
    ratio = [np.mean([s.pre_voxels / s.post_voxels for s in one.synapses]) for one in (thin, thick)]
    assert ratio[1] > 1.5 * ratio[0]


def test_with_less_asymmetry_both_sides_look_alike():
    options = {
        "shape": (24, 256, 256),
        "seed": 6,
        "synapse_density_um3": 1.5,
        "noise": 0.0,
        "damage": False,
    }
    clear, alike, same = (make_phantom(**options, asymmetry=a) for a in (1.0, 0.25, 0.0))
    assert np.array_equal(clear.label, alike.label)
    assert np.array_equal(clear.label, same.label)
    darker = [_darker_post(phantom) for phantom in (clear, alike, same)]
    assert darker[0] > 2 * darker[1] > 0
    assert abs(darker[2]) < 0.15 * darker[0]


def _darker_post(phantom: Phantom) -> float:
    """By how many grey values the post sides are darker than the pre sides."""
    pre, post = phantom.label % 2 == 1, (phantom.label > 0) & (phantom.label % 2 == 0)
    return float(phantom.image[pre].mean() - phantom.image[post].mean())


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"shape": (8, 64)}, "shape"),
        ({"shape": (8, 0, 64)}, "shape"),
        ({"resolution": (30, -8, 8)}, "resolution"),
        ({"synapse_density_um3": -1}, "synapse_density_um3"),
        ({"seed": -1}, "seed"),
        ({"noise": -1}, "noise"),
        ({"contrast": 0}, "contrast"),
        ({"crowding": 1.5}, "crowding"),
        ({"polyadic": -0.1}, "polyadic"),
        ({"asymmetry": 1.1}, "asymmetry"),
        ({"label_thickness_nm": (80,)}, "label_thickness_nm"),
    ],
)
def test_arguments_out_of_range_are_named(options: dict, name: str):
    with pytest.raises(ConfigError, match=name):
        make_phantom(**{"shape": (8, 64, 64), **options})


def test_importing_is_light():
    code = "import sys, connectomics.phantom; print({'numba', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
