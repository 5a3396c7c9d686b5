"""Compare functions, links, losses, optimizers and random numbers on the GPU with the CPU: `pytest -m gpu`.

If no GPU works, each test is skipped with the reason.
"""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy
import pytest
from gpu_checks import CPU, weights_of

import lsgan.functions.gpu.blas  # noqa: F401  defines the setting `tf32`
from lsgan import functions, links, losses
from lsgan.datasets.images import ImageSet, scaled
from lsgan.datasets.iterator import SampleIterator
from lsgan.datasets.mixture import GaussianMixture, ring
from lsgan.functions.optimizers import ClipWeights, GradientNorm
from lsgan.networks.gaussian import Perceptron
from lsgan.networks.image import Discriminator, Generator
from lsgan.networks.judge import Judge, load_judge
from lsgan.networks.mnist import PerceptronDiscriminator, PerceptronGenerator
from lsgan.npz import save_weights
from lsgan.random import Latent, Stream
from lsgan.training import flags
from lsgan.training.updater import Average, InstanceNoise, frozen

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures('gpu', 'exact')]
# error of sums in a different order, relative to the largest number
TOLERANCE = {numpy.dtype('f'): 2e-4, numpy.dtype('d'): 1e-9}


@pytest.fixture
def exact():
    """Compute matrix products without TF32, which would round the inputs."""
    with chainer.using_config('tf32', False):
        yield


def assert_near(a, b):
    a, b = (CPU.send(chainer.as_array(x)) for x in (a, b))
    assert a.shape == b.shape and abs(a - b).max(initial=0) <= TOLERANCE[a.dtype] * max(1, abs(b).max(initial=0))


def normal(*shape, seed=0, dtype='f'):
    return numpy.random.RandomState([seed, *shape]).standard_normal(shape).astype(dtype)


def weighted(y):
    """Return a sum in which every element has a different weight."""
    xp = y.device.xp
    return F.sum(y * xp.cos(xp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def perceptron(activation):
    return lambda x, *parameters: functions.perceptron(x, parameters, activation)


def normalization(activation, batches=1):
    return lambda x, gamma, beta: functions.batch_normalization(x, gamma, beta, activation, batches=batches)


def fixed_normalization(x, gamma, beta):
    mean, var = (x.device.send(normal(x.shape[1], seed=seed, dtype=x.dtype)) for seed in (1, 2))
    return functions.fixed_batch_normalization(x, gamma, beta, mean, var ** 2, 'leaky_relu')


ACTIVATIONS = 'relu', 'leaky_relu', 'tanh', 'sigmoid'
# name: (callable, shapes of its inputs). Sizes are odd, or larger than a block of threads
FUNCTIONS = {
    **{f'perceptron {name}': (perceptron(name), [(7, 3), (5, 3), (5,), (6, 5), (6,), (2, 6), (2,)]) for name in ACTIVATIONS},
    **{f'perceptron that ends in {last}': (lambda x, *parameters, last=last: functions.perceptron(x, parameters, 'relu', last),
                                           [(7, 3), (5, 3), (5,), (2, 5), (2,)]) for last in ACTIVATIONS},
    'linear': (functions.linear, [(70, 19), (33, 19), (33,)]),
    'perceptron of one layer and point': (perceptron('relu'), [(1, 3), (1, 3), (1,)]),
    'large perceptron': (perceptron('leaky_relu'), [(300, 17), (130, 17), (130,), (1, 130), (1,)]),
    **{f'activation {name}': (lambda x, name=name: functions.activation(x, name), [(3, 5, 4, 6)]) for name in ACTIVATIONS},
    'activation of images to units': (lambda x: functions.activation(x, 'leaky_relu', (60,)), [(3, 3, 4, 5)]),
    'activation of units to images': (lambda x: functions.activation(x, 'relu', (3, 4, 5)), [(3, 60)]),
    'convolution': (lambda x, W, b: functions.convolution_2d(x, W, b, 2, 1), [(3, 4, 8, 6), (5, 4, 4, 4), (5,)]),
    'convolution of odd images': (lambda x, W, b: functions.convolution_2d(x, W, b, 2, 1), [(1, 3, 7, 9), (2, 3, 4, 4), (2,)]),
    'convolution 3x3 without bias': (lambda x, W: functions.convolution_2d(x, W, None, 1, 1), [(2, 17, 5, 4), (19, 17, 3, 3)]),
    'large convolution': (lambda x, W, b: functions.convolution_2d(x, W, b, 2, 1), [(9, 32, 16, 16), (33, 32, 4, 4), (33,)]),
    'deconvolution': (lambda x, W, b: functions.deconvolution_2d(x, W, b, 2, 1), [(3, 4, 4, 3), (4, 5, 4, 4), (5,)]),
    'deconvolution that crops': (lambda x, W, b: functions.deconvolution_2d(x, W, b, 2, (2, 1)),
                                 [(3, 4, 4, 3), (4, 5, 4, 4), (5,)]),
    'deconvolution to a size': (lambda x, W: functions.deconvolution_2d(x, W, None, 2, 1, (8, 6)),
                                [(1, 3, 4, 3), (3, 2, 3, 3)]),
    'large deconvolution': (lambda x, W, b: functions.deconvolution_2d(x, W, b, 2, 1), [(9, 33, 8, 8), (33, 32, 4, 4), (32,)]),
    **{f'{name}, cropped by {crop}': (lambda x, function=function, crop=crop: function(x, crop), [(3, 8, 5, 4)])
       for name, function in (('depth to space', functions.depth_to_space), ('repetition', functions.repeat))
       for crop in ((0, 0), (1, 0), (1, 2))},
    'large repetition': (functions.repeat, [(9, 33, 6, 7)]),
    **{f'normalisation {name}': (normalization(name), [(5, 3, 4, 2), (3,), (3,)]) for name in ('relu', 'leaky_relu', None)},
    'normalisation of vectors': (normalization('relu'), [(7, 5), (5,), (5,)]),
    'normalisation of joined batches': (normalization('leaky_relu', 2), [(6, 3, 4, 5), (3,), (3,)]),
    'normalisation of images to units': (lambda *xs: functions.batch_normalization(*xs, 'relu', batches=2, shape=(60,)),
                                         [(6, 3, 4, 5), (3,), (3,)]),
    'normalisation of units to images': (lambda *xs: functions.batch_normalization(*xs, 'relu', shape=(3, 4, 5)),
                                         [(6, 60), (60,), (60,)]),
    'large normalisation': (normalization('relu', 2), [(70, 33, 9, 8), (33,), (33,)]),
    'fixed normalisation': (fixed_normalization, [(5, 3, 4, 2), (3,), (3,)]),
    'half squared error': (lambda *ys: functions.half_squared_error(ys, (0.5, -1)), [(11, 1), (7, 1)]),
    'large half squared error': (lambda y: functions.half_squared_error((y,), (1,)), [(1500, 1)]),
    'signed mean': (lambda *ys: functions.signed_mean(ys, (-1, 1)), [(11, 1), (7, 1)]),
    'parts': (lambda y: functions.split(y, 2)[0] * functions.split(y, 2)[1], [(12, 3)]),
    'loss of parts': (lambda y: functions.half_squared_error(functions.split(y, 2), (1, 0)), [(14, 1)]),
    'mean of softplus': (lambda *ys: functions.mean_softplus(ys, (-1, 1)), [(11, 1), (7, 1)]),
}
each_function = pytest.mark.parametrize('name', FUNCTIONS)


def differentiated(name, device, dtype, batch=None, lay=lambda x: x):
    """Return the output of a function, its gradients, and its second-order gradients as in a gradient penalty."""
    function, shapes = FUNCTIONS[name]
    arrays = [normal(*shape, seed=i, dtype=dtype) for i, shape in enumerate(shapes)]
    inputs = [chainer.Variable(lay(device.send(x[:batch] if i == 0 else x))) for i, x in enumerate(arrays)]
    y = function(*inputs)
    gradients = chainer.grad([weighted(y)], inputs)
    again = chainer.grad([weighted(function(*inputs))], inputs, enable_double_backprop=True)
    penalty = sum(F.sum(F.square(g) * g) for g in again)
    second = chainer.grad([penalty], inputs)
    return [x.array if x is not None else numpy.zeros(like.shape, dtype)
            for x, like in zip([y, *gradients, *again, *second], [y, *3 * inputs])]


@pytest.mark.parametrize('dtype, fast', [('f', True), ('d', True), ('f', False)], ids=['float32', 'float64', 'by chainer'])
@each_function
def test_functions_and_double_backprop_equal_cpu(gpu, name, dtype, fast):
    with chainer.using_config('fast', fast):
        ours, again = differentiated(name, gpu, dtype), differentiated(name, gpu, dtype)
    for a, b, theirs in zip(ours, again, differentiated(name, CPU, 'd')):
        assert a.dtype == dtype
        assert_near(a, theirs)
        numpy.testing.assert_array_equal(CPU.send(a), CPU.send(b))


@each_function
def test_rounding_errors_are_as_small_as_on_cpu(gpu, name):
    exact = differentiated(name, CPU, 'd')
    for x, ours, theirs in zip(exact, differentiated(name, gpu, 'f'), differentiated(name, CPU, 'f')):
        scale = max(1, abs(x).max())
        assert abs(CPU.send(ours) - x).max() <= 2 * abs(theirs - x).max() + 2e-6 * scale


@pytest.mark.parametrize('sizes', [(5,), (7, 300)])
def test_means_of_outputs_equal_cpu(gpu, sizes):
    arrays = [normal(n, 1) for n in sizes]
    means = functions.each_mean([gpu.send(x) for x in arrays])
    numpy.testing.assert_allclose([float(mean) for mean in means], [x.mean() for x in arrays], rtol=1e-5)


def channels_last(x):
    return x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) if x.ndim == 4 else x


def with_gaps(x):
    wide = x.repeat(2, axis=-1)
    return wide[..., ::2]


@pytest.mark.parametrize('lay', [channels_last, with_gaps])
@each_function
def test_any_memory_layout(gpu, name, lay):
    for a, b in zip(differentiated(name, gpu, 'f', lay=lay), differentiated(name, gpu, 'f')):
        assert_near(a, b)


@pytest.mark.parametrize('name', ['perceptron relu', 'activation tanh', 'convolution', 'deconvolution', 'fixed normalisation'])
def test_empty_batch_equals_cpu(gpu, name):
    def outcome(device):
        try:
            return [(x.shape, abs(CPU.send(x)).max(initial=0)) for x in differentiated(name, device, 'f', batch=0)]
        except Exception as error:
            return type(error)
    assert outcome(gpu) == outcome(CPU)


LINKS = {
    'perceptron generator': (lambda: Perceptron([8, 16, 16, 2], 'relu'), (10, 8)),
    'perceptron discriminator': (lambda: Perceptron([2, 16, 16, 1], 'leaky_relu'), (10, 2)),
    'tanh perceptron': (lambda: Perceptron([2, 16, 1], 'tanh'), (1, 2)),
    'convolution': (lambda: links.Convolution2D(3, 5, 4, 2, 1), (4, 3, 16, 16)),
    'convolution in groups': (lambda: links.Convolution2D(4, 6, 3, groups=2), (2, 4, 8, 6)),
    'dilated convolution': (lambda: links.Convolution2D(4, 6, 3, dilate=2), (2, 4, 8, 6)),
    'deconvolution': (lambda: links.Deconvolution2D(3, 5, 4, 2, 1), (4, 3, 8, 8)),
    'normalisation': (lambda: links.BatchNormalization(5, 'relu'), (4, 5, 6, 6)),
    'normalisation and tanh': (lambda: links.BatchNormalization(5, 'tanh'), (3, 5, 6, 6)),
    'normalisation without parameters': (lambda: links.BatchNormalization(4, use_gamma=False, use_beta=False), (5, 4)),
    'mnist generator': (lambda: PerceptronGenerator(8, [16, 9], (1, 7, 6)), (6, 8)),
    'mnist discriminator': (lambda: PerceptronDiscriminator((1, 7, 6), [9, 16], norm=True), (6, 1, 7, 6)),
    'mnist discriminator, not normalised': (lambda: PerceptronDiscriminator((1, 7, 6), [9, 16]), (6, 1, 7, 6)),
    'generator': (lambda: Generator(8, [16, 8], (16, 16)), (6, 8)),
    'generator of 28x28': (lambda: Generator(8, [12, 9, 8], (28, 28), 1), (5, 8)),
    'generator by channel': (lambda: Generator(8, [16, 8], (16, 12), 1, 'leaky_relu', 'channel'), (6, 8)),
    'generator, not normalised': (lambda: Generator(8, [16, 8], (16, 16), norm=None), (6, 8)),
    'sigmoid generator': (lambda: Generator(8, [16, 8], (16, 16), activation='sigmoid'), (6, 8)),
    'pixelshuffle': (lambda: Generator(8, [16, 8], (16, 16), upsample='pixelshuffle'), (6, 8)),
    'resize': (lambda: Generator(8, [16, 8], (14, 14), upsample='resize'), (6, 8)),
    'discriminator': (lambda: Discriminator([8, 16], (16, 16)), (6, 3, 16, 16)),
    'discriminator but first': (lambda: Discriminator([8, 16], (14, 14), 1, norm='but first'), (6, 1, 14, 14)),
    'discriminator, not normalised': (lambda: Discriminator([8, 16], (16, 16), activation='tanh', norm=None), (6, 3, 16, 16)),
}
each_link = pytest.mark.parametrize('make, shape', LINKS.values(), ids=LINKS)


def make_link(make):
    numpy.random.seed(0)
    return make()


def trained(link, device, x, batches=1):
    """Train a link once on a device; return the output, the gradients, the running statistics and the output in test mode."""
    link = link.copy('copy')
    link.to_device(device)
    variable = chainer.Variable(device.send(x))
    with chainer.using_config('batches', batches):
        y = link(variable)
    link.cleargrads()
    weighted(y).backward()
    with chainer.using_config('train', False):
        tested = link(variable)
    kept = [array for norm in link.links() if hasattr(norm, 'avg_mean') for array in (norm.avg_mean, norm.avg_var)]
    return [y.array, variable.grad, *(p.grad for _, p in sorted(link.namedparams())), *kept, tested.array]


@each_link
def test_links_equal_cpu(gpu, make, shape):
    link, x = make_link(make), normal(*shape)
    theirs = trained(link, CPU, x)
    for fast in True, False:
        with chainer.using_config('fast', fast):
            for a, b in zip(trained(link, gpu, x), theirs):
                assert isinstance(a, gpu.xp.ndarray)
                assert_near(a, b)


@pytest.mark.parametrize('norm', ['all', 'but first'])
def test_joined_batches_are_normalised_separately(gpu, norm):
    link = make_link(lambda: Discriminator([8, 16], (16, 16), norm=norm))
    x = normal(6, 3, 16, 16) * numpy.float32([[[[1]]]] * 3 + [[[[3]]]] * 3)
    for a, b in zip(trained(link, gpu, x, 2), trained(link, CPU, x, 2)):
        assert_near(a, b)


@each_link
def test_links_move_to_gpu_and_back(gpu, make, shape, tmp_path):
    link, x = make_link(make), normal(*shape)
    with chainer.using_config('train', False):
        before = link(x).array
        link.to_device(gpu)
        assert all(isinstance(p.array, gpu.xp.ndarray) for p in link.params())
        assert_near(link(gpu.send(x)), before)
        with open(tmp_path / 'link.npz', 'wb') as file:
            save_weights(file, link)
        link.to_device(CPU)
        numpy.testing.assert_array_equal(link(x).array, before)
        loaded = make()
        chainer.serializers.load_npz(tmp_path / 'link.npz', loaded)
        numpy.testing.assert_array_equal(loaded(x).array, before)


def test_weights_load_in_stock_chainer(gpu, tmp_path, stock_perceptron):
    link = make_link(LINKS['perceptron generator'][0])
    link.to_device(gpu)
    with open(tmp_path / 'link.npz', 'wb') as file:
        save_weights(file, link)
    stock = chainer.ChainList(L.Linear(8, 16), L.Linear(16, 16), L.Linear(16, 2))
    chainer.serializers.load_npz(tmp_path / 'link.npz', stock)
    parameters = [p for layer in stock for p in (layer.W, layer.b)]
    assert_near(link(gpu.send(normal(4, 8))), stock_perceptron(normal(4, 8), parameters, 'relu'))


def test_float64_links(gpu):
    with chainer.using_config('dtype', numpy.float64):
        for make, shape in LINKS['discriminator'], LINKS['generator']:
            link, x = make_link(make), normal(*shape, dtype='d')
            for a, b in zip(trained(link, gpu, x), trained(link, CPU, x)):
                assert a.dtype == numpy.float64
                assert_near(a, b)


def test_frozen_parameters_get_no_gradients_but_inputs_do(gpu):
    link = make_link(LINKS['discriminator'][0])
    link.to_device(gpu)
    x = chainer.Variable(gpu.send(normal(6, 3, 16, 16)))
    link.cleargrads()
    with frozen(link):
        weighted(link(x)).backward()
    assert x.grad is not None and all(p.grad is None for p in link.params())


@pytest.mark.parametrize('loss', losses.LOSSES)
def test_losses_equal_cpu(gpu, loss):
    def values(device, dtype):
        real, fake = (chainer.Variable(device.send(normal(20, 1, seed=seed, dtype=dtype))) for seed in (1, 2))
        made = losses.LOSSES[loss]()
        terms = [made.discriminator(real, fake), made.discriminator(real=real), made.discriminator(fake=fake),
                 made.generator(fake)]
        return [x.array for term, inputs in zip(terms, [(real, fake), (real,), (fake,), (fake,)])
                for x in (term, *chainer.grad([term], inputs))]
    for dtype in 'fd':
        for a, b in zip(values(gpu, dtype), values(CPU, 'd')):
            assert a.dtype == dtype
            assert_near(a, b)


# name: (function that makes the optimizer, name of its learning rate)
OPTIMIZERS = {
    **{name: (lambda make=make: make(1e-2, 0.5, 0.9), rate) for name, (make, rate) in flags.OPTIMIZERS.items()},
    'amsgrad': (lambda: functions.Adam(1e-2, amsgrad=True), 'alpha'),
    'adam with weight decay': (lambda: functions.Adam(1e-2, weight_decay_rate=0.1), 'alpha'),
    'adam of eta': (lambda: functions.Adam(1e-2, eta=0.5, eps=1e-3), 'alpha'),
    'rmsprop, eps inside': (lambda: functions.RMSprop(1e-2, eps_inside_sqrt=True), 'lr'),
}
HOOKS = {'no hook': [], 'clipped weights': [lambda: ClipWeights(0.2)],
         'clipped gradient': [lambda: GradientNorm('gen'), lambda: chainer.optimizer_hooks.GradientClipping(0.5)],
         'all': [lambda: GradientNorm('gen'), lambda: chainer.optimizer_hooks.GradientClipping(3), lambda: ClipWeights(0.2)]}


class Optimized:
    """A network and its optimizer on a device. The steps are the same on every device."""

    def __init__(self, device, make, hooks=()):
        self.device, self.net = device, make_link(lambda: Perceptron([3, 40, 30, 1], 'relu'))
        self.net.to_device(device)
        self.optimizer, self.norms = make().setup(self.net), []
        for hook in hooks:
            self.optimizer.add_hook(hook())

    def step(self, number):
        for i, (_, p) in enumerate(sorted(self.net.namedparams())):
            p.grad = self.device.send(normal(*p.shape, seed=10 * number + i))
        observed = {}
        with chainer.Reporter().scope(observed):
            self.optimizer.update()
        self.norms += map(float, observed.values())


@pytest.mark.parametrize('hooks', HOOKS.values(), ids=HOOKS)
@pytest.mark.parametrize('name', OPTIMIZERS)
def test_optimizers_equal_cpu(gpu, name, hooks):
    make, rate = OPTIMIZERS[name]
    ours, theirs = (Optimized(device, make, hooks) for device in (gpu, CPU))
    for number in range(6):
        for each in ours, theirs:
            if number == 3:     # like a learning-rate schedule
                setattr(each.optimizer, rate, 0.3 * getattr(each.optimizer, rate))
            each.step(number)
    assert ours.optimizer.t == theirs.optimizer.t == 6
    numpy.testing.assert_allclose(ours.norms, theirs.norms, rtol=1e-5)
    before = weights_of(make_link(lambda: Perceptron([3, 40, 30, 1], 'relu')))
    for (key, a), b in zip(weights_of(ours.net).items(), weights_of(theirs.net).values()):
        assert_near(a, b)
        assert (a != before[key]).any()


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_saved_optimizer_continues_exactly(gpu, name, transfer):
    first, second, third = (Optimized(device, OPTIMIZERS[name][0]) for device in (gpu, gpu, CPU))
    for number in range(3):
        first.step(number)
    for other in second, third:
        transfer(first.net, other.net)
        transfer(first.optimizer, other.optimizer)
    for number in range(3, 6):
        for each in first, second, third:
            each.step(number)
    for a, b, c in zip(*(weights_of(each.net).values() for each in (first, second, third))):
        numpy.testing.assert_array_equal(a, b)
        assert_near(b, c)


@pytest.mark.parametrize('name', flags.OPTIMIZERS)
def test_clipping_keeps_nan(gpu, name):
    each = Optimized(gpu, OPTIMIZERS[name][0], HOOKS['clipped weights'])
    for p in each.net.params():
        p.grad = gpu.xp.zeros_like(p.array)
    each.net[0].W.grad[1, 2] = numpy.nan
    each.optimizer.update()
    for key, array in weights_of(each.net).items():
        assert numpy.isnan(array).sum() == (key == '/0/W') and abs(array[~numpy.isnan(array)]).max() <= 0.2 + 1e-7


def test_disabled_rule_changes_nothing(gpu):
    each = Optimized(gpu, OPTIMIZERS['adam'][0])
    before = weights_of(each.net)
    each.net[0].W.update_rule.enabled = False
    each.step(0)
    after = weights_of(each.net)
    assert [key for key in before if (before[key] == after[key]).all()] == ['/0/W']


@pytest.mark.parametrize('name', ['perceptron generator', 'generator', 'mnist generator'])
@pytest.mark.parametrize('decay', [0.0, 0.9])
def test_average_equals_cpu(gpu, name, decay, transfer):
    make, _ = LINKS[name]

    def averages(device):
        link = make_link(make)
        link.to_device(device)
        return Average(link, decay, device.send(normal(150, 8)))
    ours, theirs, again = averages(gpu), averages(CPU), averages(gpu)
    for t in range(4):
        for average in ours, theirs:
            for i, (_, p) in enumerate(sorted(average.link.namedparams())):
                p.array[...] = average.link.device.send(normal(*p.shape, seed=10 * t + i))
            average.update()
    transfer(ours, again)
    with chainer.using_config('train', False):
        x = normal(5, 8)
        theirs = theirs.averaged()(x)
        assert_near(ours.averaged()(gpu.send(x)), theirs)
        assert_near(again.averaged()(gpu.send(x)), theirs)


def test_statistics_of_nan_are_nan(gpu):
    mean, var = gpu.xp.zeros((2, 3), 'f')
    x = normal(20, 3)
    x[5, 1] = numpy.nan
    gamma, beta = gpu.xp.ones((2, 3), 'f')
    functions.batch_normalization(gpu.send(x), gamma, beta, running_mean=mean, running_var=var)
    for array in mean, var:
        assert numpy.isnan(CPU.send(array)).tolist() == [False, True, False]


def test_noise_has_its_standard_deviation_and_ends(gpu):
    noise = InstanceNoise(0.3, 0.1, Stream(0, 'noise', gpu))
    x = gpu.xp.full((3000, 2, 3), 7, 'f')
    seen = [CPU.send(chainer.as_array(noise(x))) - 7 for _ in range(2)]
    for y in seen:
        assert y.dtype == numpy.float32
        numpy.testing.assert_allclose(y.std(axis=0), 0.3, rtol=0.06)
        numpy.testing.assert_allclose(y.mean(axis=0), 0, atol=0.025)
    assert (x == 7).all() and abs(numpy.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1]) < 0.03
    noise.sigma = 0.1
    assert (chainer.as_array(noise(x)) == 7).all()
    variable = chainer.Variable(x)
    F.sum(InstanceNoise(0.3, 0.0, Stream(0, 'noise', gpu))(variable)).backward()
    assert (variable.grad == 1).all()


@pytest.mark.parametrize('distribution, deviation', [('normal', 1), ('uniform', 3 ** -0.5)])
def test_saved_stream_continues_on_device(gpu, transfer, distribution, deviation):
    first, second, other = (Latent(5, distribution, Stream(3, name, gpu)) for name in ('latent', 'latent', 'other'))
    assert isinstance(first(1000), gpu.xp.ndarray) and first(7).dtype == numpy.float32 and first(3).shape == (3, 5)
    many = CPU.send(first(20000))
    numpy.testing.assert_allclose(many.std(axis=0), deviation, rtol=0.03)
    numpy.testing.assert_allclose(many.mean(axis=0), 0, atol=0.03)
    assert abs(numpy.corrcoef(many.T) - numpy.eye(5)).max() < 0.03
    assert len(numpy.unique(many)) > 0.98 * many.size
    if distribution == 'uniform':
        assert -1 <= many.min() < -0.999 and 0.999 < many.max() <= 1
    else:
        assert 3.5 < abs(many).max() < 7
        assert numpy.mean(abs(many) > 2) == pytest.approx(0.0455, abs=0.004)
    assert not (first(7) == second(7)).all() and not (second(7) == other(7)).all()
    transfer(first, second)
    assert (first(7) == second(7)).all() and (first(7) == second(7)).all()


def test_integers_are_uniform_and_repeatable(gpu):
    first, second = (Stream(3, 'data', gpu) for _ in range(2))
    numbers = CPU.send(first.integers(12, 12000))
    assert numpy.bincount(numbers, minlength=12).min() > 850 and numbers.max() == 11 and numbers.min() == 0
    assert (CPU.send(second.integers(12, 12000)) == numbers).all()
    assert (CPU.send(first.integers(12, 12000)) != numbers).any()


def test_points_of_mixture_are_near_modes(gpu):
    mixture = GaussianMixture(ring(5, 2.0), 0.1)
    points = mixture.sample(5000, Stream(0, 'data', gpu))
    assert isinstance(points, gpu.xp.ndarray) and points.dtype == numpy.float32
    offsets = CPU.send(points)[:, None] - mixture.centers
    nearest = (offsets ** 2).sum(axis=2).argmin(axis=1)
    assert numpy.bincount(nearest, minlength=5).min() > 850
    assert offsets[numpy.arange(5000), nearest].std() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize('mirror', [False, True])
@pytest.mark.parametrize('channels', [1, 3])
def test_images_and_mirror_images_are_drawn(gpu, mirror, channels):
    images = numpy.random.RandomState(0).randint(0, 256, (11, channels, 6, 4)).astype(numpy.uint8)
    drawn = ImageSet(lambda: images, mirror).sample(600, Stream(0, 'data', gpu))
    assert isinstance(drawn, gpu.xp.ndarray) and drawn.dtype == numpy.float32 and drawn.shape == (600, channels, 6, 4)
    known = scaled(numpy.concatenate([images, images[..., ::-1]] if mirror else [images]))
    found = abs(CPU.send(drawn)[:, None] - known).max(axis=(2, 3, 4))
    assert found.min(axis=1).max() < 1e-6
    assert (numpy.bincount(found.argmin(axis=1), minlength=len(known)) > 600 / len(known) / 3).all()


def test_large_sets_of_images_stay_in_main_memory(gpu, monkeypatch):
    images = numpy.arange(256, dtype=numpy.uint8).reshape(16, 1, 4, 4)
    held, beside = (ImageSet(lambda: images, mirror=True) for _ in range(2))
    drawn = held.sample(50, Stream(0, 'data', gpu))
    assert isinstance(held.images, gpu.xp.ndarray) and held.images.dtype == numpy.uint8
    monkeypatch.setattr(gpu.xp.cuda.runtime, 'memGetInfo', lambda: (500, 500))
    assert (beside.sample(50, Stream(0, 'data', gpu)) == drawn).all() and isinstance(beside.images, numpy.ndarray)


def test_saved_iterator_continues(gpu, transfer):
    images = numpy.random.RandomState(0).randint(0, 256, (11, 1, 6, 4)).astype(numpy.uint8)
    first, second = (SampleIterator(ImageSet(lambda: images, True), 5, Stream(0, 'data', gpu), 4) for _ in range(2))
    for _ in range(3):
        first.next()
    transfer(first, second)
    assert second.batches == 3 and all((first.next() == second.next()).all() for _ in range(2))


def test_judge_works_on_gpu(gpu):
    images = normal(7, 1, 28, 28)
    looked = load_judge().look(images)
    judge = load_judge()
    judge.to_device(gpu)
    for a, b in zip(judge.look(images, batch=3), looked):
        assert isinstance(a, numpy.ndarray)
        assert_near(a, b)
    learner = L.Classifier(make_link(Judge))
    learner.to_device(gpu)
    optimizer = functions.Adam(1e-2).setup(learner)
    seen = [optimizer.update(learner, gpu.send(images), gpu.xp.arange(7)) or float(learner.loss.array) for _ in range(8)]
    assert numpy.isfinite(seen).all() and seen[-1] < seen[0]
