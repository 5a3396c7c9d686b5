import chainer
import numpy
import pytest
from chainer import gradient_check

from lsgan.losses import LeastSquares, NonSaturating, Wasserstein
from lsgan.networks.gaussian import Perceptron

REAL = numpy.array([[1], [2], [-1], [4]], numpy.float32)
FAKE = numpy.array([[3], [-1]], numpy.float32)
LOSSES = {'binary': LeastSquares(*LeastSquares.SCHEMES['binary']), 'pearson': LeastSquares(*LeastSquares.SCHEMES['pearson']),
          'odd a b c': LeastSquares(0.3, -1.7, 2.9), 'wasserstein': Wasserstein(), 'non-saturating': NonSaturating()}


def softplus(x):
    return numpy.log1p(numpy.exp(x))


def sigmoid(x):
    return 1 / (1 + numpy.exp(-x))


@pytest.mark.parametrize('loss, discriminator, generator', [
    # 1/2 mean(0 1 4 9) + 1/2 mean(9 1), 1/2 mean(4 4)
    (LeastSquares(0, 1, 1), 1.75 + 2.5, 2.0),
    # 1/2 mean(0 1 4 9) + 1/2 mean(16 0), 1/2 mean(9 1)
    (LeastSquares(-1, 1, 0), 1.75 + 4.0, 2.5),
    # 1/2 mean(1 0 9 4) + 1/2 mean(4 4), 1/2 mean(36 4)
    (LeastSquares(1, 2, -3), 1.75 + 2.0, 10.0),
    (Wasserstein(), 1.0 - 1.5, -1.0),
    (NonSaturating(), (softplus(-1) + softplus(-2) + softplus(1) + softplus(-4)) / 4 + (softplus(3) + softplus(-1)) / 2,
     (softplus(-3) + softplus(1)) / 2),
])
def test_known_values(loss, discriminator, generator):
    d, g = loss.discriminator(chainer.Variable(REAL), chainer.Variable(FAKE)), loss.generator(chainer.Variable(FAKE))
    assert d.shape == g.shape == ()
    assert d.dtype == g.dtype == numpy.float32
    numpy.testing.assert_allclose([d.array, g.array], [discriminator, generator], rtol=1e-6, atol=1e-7)


def test_wasserstein_distinguishes_real_from_generated():
    real, fake = numpy.float32([[5], [7]]), numpy.float32([[1], [2], [3]])
    assert Wasserstein().discriminator(real, fake).array == -4
    assert Wasserstein().generator(fake).array == -2


@pytest.mark.parametrize('loss', LOSSES.values(), ids=LOSSES)
def test_expectations_are_means(loss):
    d, g = loss.discriminator(REAL, FAKE), loss.generator(FAKE)
    twice, thrice = numpy.tile(REAL, (2, 1)), numpy.tile(FAKE, (3, 1))
    numpy.testing.assert_allclose(loss.discriminator(twice, thrice).array, d.array, rtol=1e-6, atol=1e-7)
    numpy.testing.assert_allclose(loss.generator(thrice).array, g.array, rtol=1e-6)


@pytest.mark.parametrize('loss', LOSSES.values(), ids=LOSSES)
def test_any_shape_of_outputs(loss):
    flat, square = loss.discriminator(REAL, FAKE), loss.discriminator(REAL.reshape(2, 1, 2), FAKE[:, 0])
    numpy.testing.assert_allclose(square.array, flat.array, rtol=1e-6)


def test_schemes_equal_paper():
    assert LeastSquares.SCHEMES == {'binary': (0, 1, 1), 'pearson': (-1, 1, 0)}
    binary = LeastSquares(*LeastSquares.SCHEMES['binary'])
    assert (binary.a, binary.b, binary.c) == (0, 1, 1)
    assert (LeastSquares().a, LeastSquares().b, LeastSquares().c) == (0, 1, 1)


@pytest.mark.parametrize('abc, expected', [
    (LeastSquares.SCHEMES['pearson'], True), (LeastSquares.SCHEMES['binary'], False),
    ((0, 2, 1), True), ((-1, 1, 1), False), ((0, 1, 0), False),
])
def test_is_pearson_needs_both_conditions(abc, expected):
    assert LeastSquares(*abc).is_pearson is expected


@pytest.mark.parametrize('abc', [*LeastSquares.SCHEMES.values(), (0.3, -1.7, 2.9)])
def test_optimal_least_squares_discriminator(abc):
    a, b, _ = abc   # equation 5 of the paper with p_data = p_g
    y = chainer.Variable(numpy.full((3, 1), (a + b) / 2))
    LeastSquares(*abc).discriminator(y, y).backward()
    numpy.testing.assert_allclose(y.grad, 0, atol=1e-15)


@pytest.fixture(params=['tanh', 'leaky_relu'])
def networks(request):
    numpy.random.seed(0)
    with chainer.using_config('dtype', numpy.float64):
        generator = Perceptron((2, 3, 2), request.param, chainer.initializers.Normal(1.0))
        discriminator = Perceptron((2, 4, 3, 1), request.param, chainer.initializers.Normal(1.0))
    for p in (*generator.params(), *discriminator.params()):
        p.array += 0.1 * numpy.random.standard_normal(p.shape)     # biases too
    return generator, discriminator


def assert_numerical_gradients(link, loss):
    link.cleargrads()
    loss().backward()
    parameters = dict(link.namedparams())
    numerical = gradient_check.numerical_grad(
        lambda: (loss().array,), [p.array for p in parameters.values()], (1.0,), eps=1e-6)
    for (name, p), expected in zip(parameters.items(), numerical):
        assert p.grad.dtype == numpy.float64
        numpy.testing.assert_allclose(p.grad, expected, rtol=1e-6, atol=1e-8, err_msg=name)
    assert any(abs(expected).max() > 1e-3 for expected in numerical)


@pytest.mark.parametrize('loss', LOSSES.values(), ids=LOSSES)
def test_numerical_gradients_of_discriminators_loss(networks, loss):
    generator, discriminator = networks
    rng = numpy.random.default_rng(1)
    real, fake = rng.standard_normal((5, 2)), generator(rng.standard_normal((3, 2))).array
    assert_numerical_gradients(discriminator, lambda: loss.discriminator(discriminator(real), discriminator(fake)))


@pytest.mark.parametrize('loss', LOSSES.values(), ids=LOSSES)
def test_numerical_gradients_of_generators_loss(networks, loss):
    generator, discriminator = networks
    z = numpy.random.default_rng(2).standard_normal((4, 2))
    assert_numerical_gradients(generator, lambda: loss.generator(discriminator(generator(z))))


def test_non_saturating_equals_naive_formula():
    rng = numpy.random.default_rng(3)
    real, fake = rng.uniform(-8, 8, (50, 1)), rng.uniform(-8, 8, (30, 1))
    numpy.testing.assert_allclose(NonSaturating().discriminator(real, fake).array,
                                  -numpy.log(sigmoid(real)).mean() - numpy.log(1 - sigmoid(fake)).mean(), rtol=1e-10)
    numpy.testing.assert_allclose(NonSaturating().generator(fake).array, -numpy.log(sigmoid(fake)).mean(), rtol=1e-10)


@pytest.mark.parametrize('output', [-1e4, -200, 200, 1e4])
@pytest.mark.parametrize('dtype', [numpy.float32, numpy.float64])
def test_non_saturating_with_huge_outputs(output, dtype):
    y = chainer.Variable(numpy.full((2, 1), output, dtype))
    wrong_if_real, wrong_if_fake = max(-output, 0), max(output, 0)

    loss = NonSaturating().generator(y)
    loss.backward()
    numpy.testing.assert_allclose(loss.array, wrong_if_real, atol=1e-12)
    numpy.testing.assert_allclose(y.grad, -(output < 0) / 2, atol=1e-12)

    real, fake = chainer.Variable(y.array), chainer.Variable(y.array)
    loss = NonSaturating().discriminator(real, fake)
    loss.backward()
    numpy.testing.assert_allclose(loss.array, wrong_if_real + wrong_if_fake, atol=1e-12)
    numpy.testing.assert_allclose(real.grad, -(output < 0) / 2, atol=1e-12)
    numpy.testing.assert_allclose(fake.grad, (output > 0) / 2, atol=1e-12)
