"""The contract of every architecture in the dictionary, and what each promises beyond it."""

import pickle
from copy import deepcopy
from functools import partial
from math import prod

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from sklearn_mtae import AutoencoderTransformer, VAETransformer
from sklearn_mtae.nn.architectures import ARCHITECTURES, Dropout, Pretrained, conv, conv1d, linear_decoder, mlp, resnet
from sklearn_mtae.nn.architectures._layers import quarters
from sklearn_mtae.nn.likelihoods import Likelihood
from sklearn_mtae.nn.random import draw_from

WIDTHS = {"n_features": 36, "n_code": 4, "n_components": 2, "n_outputs": 72}
IMAGES = [(7, 9), (3, 5, 5), (28, 28), (1, 9), (2, 3)]
SIGNALS = [(50,), (3, 17), (1,)]
SHAPES = [*((conv, shape) for shape in IMAGES), *((conv1d, shape) for shape in SIGNALS)]
SHAPE_IDS = [f"{factory.__name__}{shape}" for factory, shape in SHAPES]


class Pair(Likelihood):
    """Two parameters per column."""

    n_params = 2

    def distribution(self, params):
        return torch.distributions.Normal(*self.split(params))


def build(factory, widths=None, seed=0, **options):
    torch.manual_seed(seed)
    return [coder.double() for coder in factory(**(widths or WIDTHS), **options)]


def build_for(factory, shape, n_params=1, **options):
    n_pixels = prod(shape)
    widths = {"n_features": n_pixels, "n_code": 4, "n_components": 2, "n_outputs": n_params * n_pixels}
    return build(factory, widths, image_shape=shape, **options)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrices(module):
    return [p for name, p in module.named_parameters() if p.dim() > 1 and not name.endswith("bias")]


def reset_output(module):
    """Set the last matrix of a network to zero."""
    nn.init.zeros_(matrices(module)[-1])
    return module


@pytest.fixture(params=sorted(ARCHITECTURES))
def factory(request):
    return partial(ARCHITECTURES[request.param], hidden_layer_sizes=(8, 5))


@pytest.fixture(params=sorted(set(ARCHITECTURES) - {"linear_decoder"}))
def mirrored(request):
    """Each architecture whose decoder has the encoder's hidden layers."""
    return partial(ARCHITECTURES[request.param], hidden_layer_sizes=(8, 5))


@pytest.fixture(params=[False, True], ids=["plain", "layer_norm"])
def layer_norm(request):
    return request.param


def test_shapes_and_rows_of_their_own(factory, layer_norm):
    encoder, decoder = build(factory, layer_norm=layer_norm)
    x, z = randn(7, 36), randn(3, 7, 2)
    assert encoder(x).shape == (7, 4)
    assert decoder(z).shape == (3, 7, 72)
    assert encoder(x[:0]).shape == (0, 4)
    assert decoder(z[:, :0]).shape == (3, 0, 72)
    torch.testing.assert_close(encoder(x), torch.stack([encoder(row) for row in x]))
    torch.testing.assert_close(decoder(z), torch.stack([torch.stack([decoder(row) for row in draw]) for draw in z]))


def is_affine(coder, width):
    x, y = randn(2, 9, width)
    return torch.allclose(coder(0.3 * x + 0.7 * y), 0.3 * coder(x) + 0.7 * coder(y))


@pytest.mark.parametrize("factory", [mlp, resnet])
def test_without_hidden_layers_both_are_affine(factory):
    encoder, decoder = build(factory, hidden_layer_sizes=(), dropout=0.5, layer_norm=True)
    assert is_affine(encoder, 36)
    assert is_affine(decoder, 2)


@pytest.mark.parametrize(("activation", "affine"), [("identity", True), ("tanh", False)])
def test_nothing_but_the_activation_bends(mirrored, activation, affine):
    encoder, decoder = build(mirrored, activation=activation)
    assert is_affine(encoder, 36) == is_affine(decoder, 2) == affine


@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_linear_decoder_is_affine_after_any_encoder(activation):
    style = {"activation": activation, "layer_norm": True, "dropout": 0.5}
    encoder, decoder = build(linear_decoder, hidden_layer_sizes=(8, 5), **style)
    other, _ = build(mlp, hidden_layer_sizes=(8, 5), **style)
    assert is_affine(decoder, 2)
    assert [p.shape for p in decoder.parameters()] == [(72, 2), (72,)]
    assert torch.equal(encoder.eval()(randn(5, 36)), other.eval()(randn(5, 36)))


def test_widths_of_the_decoder_mirror_the_encoders(mirrored):
    def widths(coder):
        kept = [part.out_features for part in coder.modules() if isinstance(part, nn.Linear)]
        return [width for width, after in zip(kept, [*kept[1:], None], strict=True) if width != after]

    encoder, decoder = build(mirrored)
    assert widths(encoder) == [8, 5, 4]
    assert widths(decoder)[:2] == [5, 8]


@pytest.mark.parametrize("p", [0.0, 0.15, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("width", [3, 8])
def test_dropout_drops_each_unit_by_itself(p, dtype, width):
    """Also next to each other, although four of them are drawn at a time; the mean of a unit stays what it is."""
    layer = Dropout(p)
    layer.generator = torch.Generator().manual_seed(0)
    x = torch.rand(20_000, width, generator=layer.generator, dtype=torch.float64).to(dtype) + 1
    y = layer(x)
    assert y.dtype == dtype
    kept = (y != 0).double()
    torch.testing.assert_close(y, (kept * x.double() / (1 - p) if p < 1 else kept).to(dtype), rtol=1e-2, atol=0)
    spread = (p * (1 - p)) ** 0.5
    assert (kept.mean(0) - (1 - p)).abs().max() <= 4 * spread / len(x) ** 0.5
    if spread:
        assert (torch.corrcoef(kept.T) - torch.eye(width)).abs().max() < 4 / len(x) ** 0.5


def test_dropout_of_several_models():
    """Each by its own probability and its own draws."""
    layer = Dropout(0.5)
    layer.generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.1, 0.5, 0.5, 0.8])
    buffers = [dict(Dropout(float(p)).named_buffers()) for p in shares]
    stacked = {name: torch.stack([own[name] for own in buffers]) for name in buffers[0]}

    def one(buffers, x):
        return torch.func.functional_call(layer, buffers, x)

    y = torch.func.vmap(one, randomness="different")(stacked, torch.ones(4, 5_000, 6))
    torch.testing.assert_close((y == 0).float().mean((1, 2)), shares, atol=0.02, rtol=0)
    assert not torch.equal(y[1], y[2])


def test_dropout_draws_from_its_own_generator(mirrored):
    before = torch.get_rng_state()
    for coder, width in zip(build(mirrored, dropout=0.3), (36, 2), strict=True):
        assert not any(isinstance(part, nn.Dropout) for part in coder.modules())
        x, generator, state = randn(20, width), torch.Generator(), torch.get_rng_state()
        draw_from(coder, generator.manual_seed(1))
        first = coder(x)
        assert not torch.equal(first, coder(x))
        generator.manual_seed(1)
        assert torch.equal(first, coder(x))
        assert torch.equal(torch.get_rng_state(), state)
        torch.testing.assert_close(coder.eval()(x), coder(x))
    assert not any(isinstance(part, Dropout) for coder in build(mirrored) for part in coder.modules())
    torch.set_rng_state(before)


@pytest.mark.parametrize(("name", "n_norms"), [("mlp", 4), ("resnet", 6), ("conv", 8), ("conv1d", 8)])
def test_layer_norm_at_every_hidden_layer(name, n_norms):
    def norms(layer_norm):
        coders = build(ARCHITECTURES[name], hidden_layer_sizes=(8, 5), layer_norm=layer_norm)
        return [part for coder in coders for part in coder.modules() if "Norm" in type(part).__name__]

    assert len(norms(True)) == n_norms
    assert norms(False) == []
    assert all(isinstance(part, nn.LayerNorm | nn.GroupNorm) for part in norms(True))


def test_copies_and_pickles_compute_the_same(factory):
    for coder, width in zip(build(factory), (36, 2), strict=True):
        x = randn(5, width)
        for other in (deepcopy(coder), pickle.loads(pickle.dumps(coder))):
            assert torch.equal(other(x), coder(x))


def test_gradients_reach_every_parameter(factory, layer_norm):
    for coder, width in zip(build(factory, layer_norm=layer_norm), (36, 2), strict=True):
        coder(randn(50, width)).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in coder.parameters())


def test_the_last_matrix_is_that_of_the_output(factory, layer_norm):
    """Weight decay spares it: with zeros in it, nothing of the input is left."""
    for coder, width in zip(build(factory, layer_norm=layer_norm), (36, 2), strict=True):
        outputs = reset_output(coder)(randn(5, width))
        assert outputs.std(0).max() == 0


def test_stacked_models_compute_what_each_does(factory, layer_norm):
    models = [build(factory, seed=seed, layer_norm=layer_norm) for seed in range(3)]
    for several, shape in zip(zip(*models, strict=True), [(3, 4, 36), (3, 2, 4, 2)], strict=True):
        x, (state, _) = randn(*shape), stack_module_state(list(several))

        def run(state, x, base=several[0]):
            return functional_call(base, state, (x,))

        torch.testing.assert_close(vmap(run)(state, x), torch.stack([m(x) for m, x in zip(several, x, strict=True)]))
        slopes = vmap(grad(lambda state, x, run=run: run(state, x).square().mean()))(state, x)
        for i, model in enumerate(several):
            model(x[i]).square().mean().backward()
            for name, p in model.named_parameters():
                torch.testing.assert_close(slopes[name][i], p.grad)


def test_stacked_models_drop_units_of_their_own(factory):
    encoder, _ = build(factory, dropout=0.5)
    state, _ = stack_module_state([encoder, encoder])
    run = vmap(lambda state: functional_call(encoder, state, (randn(4, 36),)), randomness="different")
    first, second = run(state)
    assert not torch.equal(first, second)


# Residual networks.


def test_residual_block_adds_to_what_it_is_given():
    encoder, _ = build(resnet, hidden_layer_sizes=(8, 8), activation="tanh")
    first, *blocks, _, last = encoder
    x = randn(6, 36)
    h = first(x)
    for block in blocks:
        inner, outer = (layer for layer in block.layers if isinstance(layer, nn.Linear))
        h = h + torch.tanh(h @ inner.weight.T + inner.bias) @ outer.weight.T + outer.bias
    torch.testing.assert_close(encoder(x), last(torch.tanh(h)))


def test_residual_block_projects_where_the_width_changes():
    encoder, decoder = build(resnet, hidden_layer_sizes=(8, 5), activation="identity")
    for coder, widths in [(encoder, (36, 8, 5, 4)), (decoder, (2, 5, 8, 72))]:
        for block in coder[1:-2]:
            nn.init.zeros_(block.layers[-1].weight)
            nn.init.zeros_(block.layers[-1].bias)
        same, projected = coder[1].skip, coder[2].skip
        assert isinstance(same, nn.Identity)
        assert projected.weight.shape == (widths[2], widths[1])
        x = randn(6, widths[0])
        torch.testing.assert_close(coder(x), coder[-1](coder[0](x) @ projected.weight.T))


# Convolutional networks.


@pytest.mark.parametrize(("factory", "shape"), SHAPES, ids=SHAPE_IDS)
def test_images_of_any_size(factory, shape, layer_norm):
    options = {"layer_norm": layer_norm, "channels": (3, 4, 2), "hidden_layer_sizes": ()}
    encoder, decoder = build_for(factory, shape, 2, **options)
    assert encoder(randn(5, prod(shape))).shape == (5, 4)
    assert decoder(randn(3, 5, 2)).shape == (3, 5, 2 * prod(shape))


@pytest.mark.parametrize(("factory", "shape"), [(conv, (7, 9)), (conv, (3, 5, 6)), (conv1d, (50,)), (conv1d, (3, 17))])
def test_features_are_scipys_correlations(factory, shape):
    encoder, _ = build_for(factory, shape, channels=(5,), activation="identity")
    weight, bias = (p.detach().numpy() for p in encoder[0].parameters())
    x = randn(prod(shape))
    n_axes = weight.ndim - 2
    image = x.numpy().reshape(-1, *shape[-n_axes:])
    padded = np.pad(image, [(0, 0)] + [(1, 1)] * n_axes)
    every_second = (slice(None, None, 2),) * n_axes
    expected = [correlate(padded, kernel, "valid")[0][every_second] + b for kernel, b in zip(weight, bias, strict=True)]
    np.testing.assert_allclose(encoder[0](x).detach(), np.ravel(expected))


@pytest.mark.parametrize(("factory", "shape"), SHAPES, ids=SHAPE_IDS)
def test_transposed_convolutions_are_the_adjoint(factory, shape):
    """With the same weights, `<down(x), h> = <x, up(h)>`: the pixels and channels of both lie in the same order."""
    encoder, decoder = build_for(factory, shape, channels=(5, 2), activation="identity")
    down, up = encoder[0], decoder[-1]
    for bias in [p for part in (down, up) for name, p in part.named_parameters() if name.endswith("bias")]:
        nn.init.zeros_(bias)
    for mine, its in zip(matrices(up), reversed(matrices(down)), strict=True):
        mine.data = its.data
    x, h = randn(prod(shape)), randn(down(randn(prod(shape))).numel(), seed=1)
    torch.testing.assert_close(down(x) @ h, x @ up(h))


@pytest.mark.parametrize(
    ("factory", "shape", "axis"), [(conv, (2, 40, 28), -2), (conv, (2, 40, 28), -1), (conv1d, (2, 44), -1)]
)
def test_shifted_image_has_shifted_features(factory, shape, axis):
    encoder, _ = build_for(factory, shape, channels=(3, 5))
    image = randn(*shape)
    size = [n // 4 for n in shape[1:]]
    features, shifted = (
        encoder[0](image.roll(shift, axis).flatten()).reshape(5, *size).movedim(axis, -1) for shift in (0, 4)
    )
    # Two layers of kernels of 4 see 10 pixels; beside the border they see the padding.
    torch.testing.assert_close(shifted[..., 3:-2], features[..., 2:-3])
    assert (shifted - features).abs()[..., 3:-3].mean() > 1e-2


@pytest.mark.parametrize(("factory", "shape"), [(conv, (2, 23, 30)), (conv1d, (2, 45))])
def test_a_feature_shapes_a_patch_of_neighbours(factory, shape):
    """Two layers above, a cell i reaches the pixels from 4 i - 3 to 4 i + 6 along each axis, in each channel."""
    _, decoder = build_for(factory, shape, channels=(3, 5), activation="identity")
    size = [n // 4 for n in shape[1:]]
    cell = [n // 2 for n in size]
    maps = torch.zeros(5, *size, dtype=torch.float64)
    maps[(slice(None), *cell)] = 1.0
    change = decoder[-1](maps.flatten()) - decoder[-1](torch.zeros(maps.numel(), dtype=torch.float64))
    expected = torch.zeros(shape, dtype=torch.bool)
    expected[(slice(None), *(slice(4 * i - 3, 4 * i + 7) for i in cell))] = True
    assert torch.equal(change.reshape(shape) != 0, expected)


@pytest.mark.parametrize(("factory", "shape"), [(conv, (3, 5, 7)), (conv1d, (3, 17))])
def test_split_gives_parameters_in_the_shape_of_the_image(factory, shape):
    """What does not depend on the code is one number per channel and parameter."""
    _, decoder = build_for(factory, shape, 2)
    outputs = reset_output(decoder)(randn(7, 2)).detach()
    images = [part.reshape(7, 3, -1) for part in Pair(prod(shape)).split(outputs)]
    for image in images:
        assert torch.equal(image, image[:1, :, :1].expand_as(image))
    assert len({float(value) for image in images for value in image[0, :, 0]}) == 6


@pytest.mark.parametrize(("factory", "shape"), [(conv, (3, 5, 7)), (conv1d, (3, 17))])
def test_each_parameter_has_convolutions_of_its_own(factory, shape):
    _, both = build_for(factory, shape, 2)
    split = Pair(prod(shape)).split(both(randn(7, 2)))
    for part, expected in enumerate(split):
        _, alone = build_for(factory, shape, 1)
        state = both.state_dict()
        last = list(state)[-2:]
        state[last[0]], state[last[1]] = state[last[0]][:, part::2], state[last[1]][part::2]
        alone.load_state_dict(state)
        torch.testing.assert_close(alone(randn(7, 2)), expected)


@pytest.mark.parametrize(("factory", "shape"), [(conv, (6, 6)), (conv1d, (36,))])
def test_default_shape_is_one_channel(factory, shape):
    for given, default, width in zip(build(factory, image_shape=shape), build(factory), (36, 2), strict=True):
        assert torch.equal(given(randn(5, width)), default(randn(5, width)))


@pytest.mark.parametrize(
    ("factory", "options", "message"),
    [
        (conv, {"image_shape": (5, 7)}, r"product of 36, the number of features. Got \(5, 7\) instead, .* of 35"),
        (conv1d, {"image_shape": (2, 17)}, r"product of 36, the number of features. Got \(2, 17\)"),
        (conv, {"image_shape": (36,)}, r"must be \(height, width\) or \(channels, height, width\), .* Got \(36,\)"),
        (conv, {"image_shape": 36}, r"must be \(height, width\) .* Got 36 instead"),
        (conv, {"image_shape": (-6, -6)}, r"integers >= 1. Got \(-6, -6\)"),
        (conv1d, {"image_shape": (1, 6, 6)}, r"must be \(length,\) or \(channels, length\)"),
        (conv, {"channels": ()}, r"channels must hold integers >= 1, at least one of them. Got \(\)"),
        (conv, {"channels": (8, 0)}, r"channels must hold integers >= 1, .* Got \(8, 0\)"),
        (conv1d, {"channels": 8}, r"channels must hold .* Got 8 instead"),
        (conv, {"n_features": 35}, "perfect square. Got None for 35 features"),
        (conv, {"n_outputs": 37}, "n_outputs must be a multiple of n_features=36. Got 37 instead"),
    ],
)
def test_errors(factory, options, message):
    with pytest.raises(ValueError, match=message):
        factory(**{**WIDTHS, **options})


# Within an estimator.


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_estimators_train_with_every_architecture(name):
    X = np.random.default_rng(0).normal(size=(40, 16))
    X[0, 0] = np.nan
    model = VAETransformer(2, architecture=name, hidden_layer_sizes=(8,), dropout=0.1, max_iter=2, random_state=0)
    Z = model.fit(X).transform(X)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).transform(X), Z)
    assert np.array_equal(model.fit(X).transform(X), Z)
    assert model.inverse_transform(Z).shape == X.shape


def test_shape_of_the_image_comes_with_a_partial():
    X = np.random.default_rng(0).normal(size=(40, 63))
    model = AutoencoderTransformer(2, architecture=partial(conv, image_shape=(7, 9)), penalty="contractive", max_iter=2)
    Z = model.set_params(penalty_weight=0.1, random_state=0).fit(X).transform(X)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).transform(X), Z)
    with pytest.raises(ValueError, match="product of 62, the number of features"):
        model.fit(X[:, 1:])


# A trained encoder.


@pytest.mark.parametrize("n_components", [2, 5])
@pytest.mark.parametrize("n_params", [2, 3])
@pytest.mark.parametrize("n_known_params", [1, 2, 3])
def test_pretrained_starts_as_the_known_posterior(n_components, n_params, n_known_params):
    encoder = nn.Linear(6, 3 * n_known_params)
    adapted = Pretrained(encoder, 3 * n_known_params, 3, n_components, False, n_params)
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    mean, log_variance, *rest = adapted(x).chunk(n_params, dim=-1)
    known, n_kept = encoder(x), min(3, n_components)
    torch.testing.assert_close(mean[:, :n_kept], known[:, :n_kept])
    expected = known[:, 3 : 3 + n_kept] if n_known_params > 1 else torch.full((7, n_kept), -4.0)
    torch.testing.assert_close(log_variance[:, :n_kept], expected)
    others = [mean[:, n_kept:], log_variance[:, n_kept:], *rest]
    assert len(others) == n_params
    assert not any(part.any() for part in others)


def test_frozen_encoder_stays_as_it_is():
    encoder = nn.Sequential(nn.Linear(6, 3), Dropout(0.5))
    adapted = Pretrained(encoder, 3, 3, 2, True).train()
    assert adapted.training
    assert not encoder.training
    adapted(torch.randn(7, 6)).sum().backward()
    assert [name for name, p in adapted.named_parameters() if p.grad is not None] == ["adapter.weight", "adapter.bias"]
    assert Pretrained(encoder, 3, 3, 2, False).train().encoder.training


class WithoutView(torch.Tensor):
    """A tensor that has no view as another type, like those under vmap in older versions of torch."""

    def view(self, *_):
        raise RuntimeError


def test_quarters_without_a_view_are_the_same():
    numbers = torch.empty(5, 3, dtype=torch.int64).random_(-(2**63), None, generator=torch.Generator().manual_seed(0))
    apart = quarters(numbers.as_subclass(WithoutView)).as_subclass(torch.Tensor)
    expected = numbers.numpy().astype("<i8").view("<i2")
    np.testing.assert_array_equal(apart, expected)
    np.testing.assert_array_equal(quarters(numbers), expected)
