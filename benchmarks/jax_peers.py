"""The perceptron GANs of speed.py in JAX, with the same layers, losses and optimizers, and with the same work in an update."""
import jax
import jax.numpy as jnp
import numpy as np


def networks(case):
    """Return the parameters of the generator and of the discriminator: a dict of arrays for each layer, in two lists.

    Args:
        case (speed.Case): the sizes, of perceptrons.
    """
    rng = np.random.default_rng(0)

    def layers(sizes):
        return [{'W': jnp.asarray(rng.normal(0, 0.02, (a, b)), jnp.float32), 'b': jnp.zeros(b)}
                for a, b in zip(sizes, sizes[1:])]
    g = layers([case.latent, *case.widths_g, *case.shape])
    if case.shape[0] > 2:       # only the perceptrons for MNIST have batch normalisation, not those for points
        for layer in g[:-1]:
            layer.update(gamma=jnp.ones_like(layer['b']), beta=jnp.zeros_like(layer['b']))
    return g, layers([*case.shape, *case.widths_d, 1])


def _generate(layers, z):
    h, normalised = z, 'gamma' in layers[0]
    for layer in layers[:-1]:
        h = jax.nn.relu(h @ layer['W'] + layer['b'])
        if normalised:
            h = layer['gamma'] * (h - h.mean(0)) / jnp.sqrt(h.var(0) + 2e-5) + layer['beta']
    h = h @ layers[-1]['W'] + layers[-1]['b']
    return jnp.tanh(h) if normalised else h


def _discriminate(layers, x):
    for layer in layers[:-1]:
        x = jax.nn.leaky_relu(x @ layer['W'] + layer['b'], 0.2)
    return x @ layers[-1]['W'] + layers[-1]['b']


def _adam(parameters, gradients, state, alpha=1e-4, beta1=0.5, beta2=0.999, eps=1e-8):
    """Return the parameters and the state after one step of Adam (Kingma & Ba 2015)."""
    t, m, v = state
    t += 1
    m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, gradients)
    rate = alpha * jnp.sqrt(1 - beta2 ** t) / (1 - beta1 ** t)
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + eps), parameters, m, v), (t, m, v)


def make_update(case, real):
    """Return a function that runs one update, compiled as a whole, and one that waits for the updates before.

    Args:
        case (speed.Case): the sizes, of perceptrons.
        real (numpy.ndarray): the real batch, float32 (N, n), the same in every update.
    """
    batch, (g, d) = len(real), networks(case)
    zeros = [jax.tree.map(jnp.zeros_like, layers) for layers in (g, d)]
    real = jnp.asarray(real)

    def loss_of_d(d, fake):
        on_real, on_fake = jnp.split(_discriminate(d, jnp.concatenate([real, fake])), 2)
        return 0.5 * ((on_real - 1) ** 2).mean() + 0.5 * (on_fake ** 2).mean()

    def loss_of_g(g, d, z):
        return 0.5 * ((_discriminate(d, _generate(g, z)) - 1) ** 2).mean()

    @jax.jit
    def step(g, d, state_g, state_d, key):
        first, second, key = jax.random.split(key, 3)
        fake = _generate(g, jax.random.normal(first, (batch, case.latent)))
        on_d, gradients = jax.value_and_grad(loss_of_d)(d, fake)
        d, state_d = _adam(d, gradients, state_d)
        on_g, gradients = jax.value_and_grad(loss_of_g)(g, d, jax.random.normal(second, (batch, case.latent)))
        g, state_g = _adam(g, gradients, state_g)
        return (g, d, state_g, state_d, key), (on_d, on_g)

    state = [g, d, *[(0, zero, zero) for zero in zeros], jax.random.PRNGKey(0)]

    def update():
        state[:], _ = step(*state)
    return update, lambda: jax.block_until_ready(state)
