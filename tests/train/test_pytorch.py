"""The perceptual loss and the critic are those of PyTorch, where it is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.train.critics import UNetCritic
from sesr_jax.train.perceptual import WEIGHTS, list_maps, measure_distance, read_vgg

torch = pytest.importorskip("torch", reason="PyTorch is compared with, not needed")


def _make_images(side, count):
    """Batches as ours takes them and as PyTorch does."""
    images = [np.array(make_photo_noise((2, side, side, 3), seed=seed)) for seed in range(count)]
    return images, [torch.from_numpy(x).permute(0, 3, 1, 2) for x in images]


def _make_vgg():
    """torchvision's `vgg19().features`, with few channels."""
    layers, channels = [], 3
    for count, features in zip((2, 2, 4, 4, 4), (8, 12, 16, 20, 24), strict=True):
        for _ in range(count):
            layers += [torch.nn.Conv2d(channels, features, 3, padding=1), torch.nn.ReLU()]
            channels = features
        layers.append(torch.nn.MaxPool2d(2, 2))
    return torch.nn.Sequential(*layers)


def _list_maps(vgg, x):
    """The maps that Real-ESRGAN compares: conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    h, maps = (x - mean[:, None, None]) / deviation[:, None, None], []
    for i, layer in enumerate(vgg):
        h = layer(h)
        if i in (2, 7, 16, 25, 34):
            maps.append(h)
    return maps


def test_the_perceptual_loss_and_its_gradient_are_pytorch_s(tmp_path):
    torch.manual_seed(0)
    vgg = _make_vgg()
    for layer in vgg:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    whole = torch.nn.ModuleDict({"features": vgg, "classifier": torch.nn.Linear(2, 2)})
    torch.save(whole.state_dict(), tmp_path / "vgg19.pth")
    ours = read_vgg(tmp_path / "vgg19.pth")
    (a, b), (sr, hr) = _make_images(48, 2)
    sr.requires_grad_()
    theirs = _list_maps(vgg, sr)
    for found, expected in zip(jax.jit(list_maps)(ours, a), theirs, strict=True):
        expected = expected.detach().permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())
    distance = torch.nn.L1Loss()
    pairs = zip(WEIGHTS, theirs, _list_maps(vgg, hr), strict=True)
    loss = sum(w * distance(x, y.detach()) for w, x, y in pairs)
    loss.backward()
    found, gradient = jax.jit(jax.value_and_grad(measure_distance, 1))(ours, a, b)
    assert float(found) == pytest.approx(loss.item(), rel=1e-6)
    expected = sr.grad.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max())


class _Critic(torch.nn.Module):
    """Real-ESRGAN's discriminator, as BasicSR defines it."""

    def __init__(self, f):
        super().__init__()
        norm = torch.nn.utils.spectral_norm
        self.head = torch.nn.Conv2d(3, f, 3, 1, 1)
        self.down = torch.nn.ModuleList(
            norm(torch.nn.Conv2d(f << i, f << i + 1, 4, 2, 1, bias=False)) for i in range(3)
        )
        self.up = torch.nn.ModuleList(
            norm(torch.nn.Conv2d(f << 3 - i, f << 2 - i, 3, 1, 1, bias=False)) for i in range(3)
        )
        self.refine = torch.nn.ModuleList(
            norm(torch.nn.Conv2d(f, f, 3, 1, 1, bias=False)) for _ in range(2)
        )
        self.tail = torch.nn.Conv2d(f, 1, 3, 1, 1)

    def forward(self, x):
        relu, resize = torch.nn.functional.leaky_relu, torch.nn.functional.interpolate
        maps = [relu(self.head(x), 0.2)]
        for layer in self.down:
            maps.append(relu(layer(maps[-1]), 0.2))
        h = maps[-1]
        for i, layer in enumerate(self.up):
            h = resize(h, scale_factor=2, mode="bilinear", align_corners=False)
            h = relu(layer(h), 0.2) + maps[2 - i]
        for layer in self.refine:
            h = relu(layer(h), 0.2)
        return self.tail(h)


def _copy(critic, variables):
    """Gives PyTorch's critic the kernels and the power iterations' vectors of ours."""
    params, norms = variables["params"], variables["batch_stats"]

    def find(name):
        layer, _, number = name.partition("_")
        return getattr(critic, layer)[int(number)] if number else getattr(critic, layer)

    def to_torch(array):
        return torch.from_numpy(np.array(array))

    with torch.no_grad():
        for name, part in params.items():
            layer, kernel = find(name), to_torch(part["kernel"]).permute(3, 2, 0, 1)
            getattr(layer, "weight_orig", layer.weight).copy_(kernel)
            if "bias" in part:
                layer.bias.copy_(to_torch(part["bias"]))
        for name, part in norms.items():
            (vector,) = (v for k, v in part.items() if k.endswith("/u"))
            find(name.removesuffix("_norm")).weight_u.copy_(to_torch(vector)[0])


def test_spectral_norms_and_ratings_are_pytorch_s():
    features = 8
    critic = UNetCritic(features)
    (x,), (image,) = _make_images(32, 1)
    variables = critic.init(jax.random.key(0), jnp.asarray(x))
    theirs = _Critic(features).train()
    _copy(theirs, variables)
    run = jax.jit(lambda v: critic.apply(v, x, follow=True, mutable=["batch_stats"]))
    for _ in range(5):  # each call makes one power iteration
        (ratings, _), updates = run(variables)
        variables = {**variables, **updates}
        expected = theirs(image).detach().permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(ratings, expected, atol=1e-5 * np.abs(expected).max())
    assert not np.allclose(expected, critic.apply(variables, 1 - x)[0], atol=1e-3)
