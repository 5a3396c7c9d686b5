import copy

import chainer
import chainer.functions as F
import chainer.links as L
import numpy
import pytest
from chainer import optimizers

from lsgan import functions

each = pytest.mark.parametrize('name, options', [
    ('Adam', {}),
    ('Adam', {'beta1': 0.5, 'amsgrad': True, 'adabound': True, 'weight_decay_rate': 0.1}),
    ('RMSprop', {}),
    ('RMSprop', {'eps_inside_sqrt': True}),
    ('SGD', {}),
], ids=['adam', 'adam variants', 'rmsprop', 'rmsprop eps inside', 'sgd'])
both = pytest.mark.parametrize('name', ['Adam', 'RMSprop', 'SGD'])
RATE = {'Adam': 'alpha', 'RMSprop': 'lr', 'SGD': 'lr'}


def make_net(seed=0):
    """Return a network with parameters of 4, 2, 1 and 0 dimensions."""
    net = chainer.Chain(conv=L.Convolution2D(2, 3, 3), linear=L.Linear(3, 4), norm=L.BatchNormalization(4),
                        last=L.Linear(4, 1, nobias=True))
    with net.init_scope():
        net.scale = chainer.Parameter(numpy.ones((), numpy.float32))
    for i, p in enumerate(net.params()):
        p.array[...] = numpy.random.default_rng([seed, i]).standard_normal(p.shape)
    return net


def make_pair(name, make=make_net, **options):
    """Return our optimizer and Chainer's, set up with equal networks."""
    return [getattr(module, name)(**options).setup(make()) for module in (functions, optimizers)]


def step(optimizer, number, skip=()):
    """Run an update with gradients that depend on its number. Parameters whose position is in `skip` get no gradient."""
    optimizer.target.cleargrads()
    for i, p in enumerate(optimizer.target.params()):
        if i not in skip and p.array is not None:
            p.grad = numpy.asarray(numpy.random.default_rng([number, i]).standard_normal(p.shape), p.dtype)
    optimizer.update()


def state(optimizer):
    """Return the states of an optimizer and its link, a dict of arrays by name."""
    serializer = chainer.serializers.DictionarySerializer()
    serializer['optimizer'].save(optimizer)
    serializer['link'].save(optimizer.target)
    return {key: numpy.array(value) for key, value in serializer.target.items()}


def assert_equal(ours, theirs):
    ours, theirs = state(ours), state(theirs)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        numpy.testing.assert_array_equal(ours[key], value, err_msg=key)


def assert_equal_updates(pair, numbers, **options):
    for number in numbers:
        for optimizer in pair:
            step(optimizer, number, **options)
        assert_equal(*pair)


@each
def test_updates_equal_chainer(name, options):
    pair = make_pair(name, **options)
    before = pair[0].target.conv.W.array.copy()
    assert_equal_updates(pair, range(12))
    assert (pair[0].target.conv.W.array != before).all()
    assert pair[0].t == 12


@each
def test_hyperparameters_can_change_between_updates(name, options):
    pair = make_pair(name, **options)
    for number in range(12):
        for optimizer in pair:
            setattr(optimizer, RATE[name], 0.01 / (1 + number))
        assert_equal_updates(pair, [number])


def test_variant_of_adam_can_be_switched_off():
    pair = make_pair('Adam', amsgrad=True)
    assert_equal_updates(pair, range(3))
    for optimizer in pair:
        optimizer.amsgrad = False
    assert_equal_updates(pair, range(3, 6))


@both
def test_hooks_are_called(name):
    pair = make_pair(name)
    for optimizer in pair:
        optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.1))
        optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(1.0))
    assert_equal_updates(pair, range(5))
    for optimizer in pair:
        optimizer.remove_hook('GradientClipping')
        optimizer.add_hook(lambda optimizer: numpy.clip(optimizer.target.linear.W.array, -0.1, 0.1,
                                                        out=optimizer.target.linear.W.array), 'clip', 'post')
    assert_equal_updates(pair, range(5, 10))
    assert abs(pair[0].target.linear.W.array).max() == numpy.float32(0.1)


def disable(optimizer):
    optimizer.target.linear.W.update_rule.enabled = False


def disable_child(optimizer):
    optimizer.target.conv.disable_update()


def hook_before(optimizer):
    optimizer.target.linear.W.update_rule.add_hook(chainer.optimizer_hooks.WeightDecay(0.1))


def hook_after(optimizer):
    optimizer.target.linear.b.update_rule.add_hook(
        lambda rule, p: numpy.clip(p.array, -0.1, 0.1, out=p.array), 'clip', 'post')


def own_hyperparameters(optimizer):
    setattr(optimizer.target.linear.W.update_rule.hyperparam, RATE[type(optimizer).__name__], 0.5)


def other_rule(optimizer):
    optimizer.target.linear.W.update_rule = optimizers.SGD(0.1).create_update_rule()


def no_rule(optimizer):
    optimizer.target.linear.W.update_rule = None


def replace_array(optimizer):
    optimizer.target.linear.W.array = 2 * optimizer.target.linear.W.array


def other_memory_order(optimizer):
    optimizer.target.linear.W.array = numpy.asfortranarray(optimizer.target.linear.W.array)


def to_device(optimizer):
    optimizer.target.to_device('@numpy')


def replace_state(optimizer):
    rule = optimizer.target.linear.W.update_rule
    for key in rule.state or ():
        rule.state[key] = rule.state[key] + 1


def load_other_weights(optimizer):
    optimizer.target.copyparams(make_net(1))


def add_child(optimizer):
    optimizer.target.add_link('late', L.Linear(2, 2, initialW=1))
    for p in optimizer.target.late.params():
        p.update_rule = optimizer.create_update_rule()


def share_child(optimizer):
    optimizer.target.add_link('shared', chainer.ChainList(optimizer.target.linear))


@pytest.mark.parametrize('after', [0, 4])
@pytest.mark.parametrize('change', [
    disable, disable_child, hook_before, hook_after, own_hyperparameters, other_rule, no_rule, replace_array,
    other_memory_order, to_device, replace_state, load_other_weights, add_child, share_child,
], ids=lambda change: change.__name__)
@both
def test_changes_to_single_parameters_equal_chainer(name, change, after):
    pair = make_pair(name)
    assert_equal_updates(pair, range(after))
    for optimizer in pair:
        change(optimizer)
    assert_equal_updates(pair, range(after, after + 5))


@both
def test_disabled_rule_can_be_enabled_again(name):
    pair = make_pair(name)
    for enabled in False, True:
        for optimizer in pair:
            optimizer.target.linear.W.update_rule.enabled = enabled
        assert_equal_updates(pair, range(4))


@both
def test_cleared_gradients_count_as_zero(name):
    pair = make_pair(name)
    assert_equal_updates(pair, range(3))
    assert_equal_updates(pair, range(3, 6), skip={0, 3})
    assert_equal_updates(pair, [6], skip=range(100))
    assert_equal_updates(pair, range(7, 9))


@both
def test_parameters_initialized_later_are_updated(name):
    pair = make_pair(name, lambda: chainer.ChainList(L.Linear(2, 3, initialW=1), L.Linear(None, 2, initialW=1)))
    assert_equal_updates(pair, range(3))
    for optimizer in pair:
        optimizer.target[1](numpy.ones((1, 3), numpy.float32))
    assert_equal_updates(pair, range(3, 6))
    assert (pair[0].target[1].W.array != 1).all()


@both
def test_update_with_loss_function(name):
    pair = make_pair(name)
    x = numpy.random.default_rng(0).standard_normal((5, 3), dtype=numpy.float32)
    for number in range(6):
        for optimizer in pair:
            if number % 2:
                step(optimizer, number)
            else:
                optimizer.update(lambda x, net: F.sum(net.linear(x) ** 2), x, optimizer.target)
        assert_equal(*pair)


@both
def test_loss_scaling(name):
    pair = make_pair(name, lambda: L.Linear(3, 2, initialW=1))
    x = numpy.random.default_rng(0).standard_normal((5, 3), dtype=numpy.float32)
    for optimizer in pair:
        optimizer.set_loss_scale(8.0)
    for _ in range(4):
        for optimizer in pair:
            optimizer.target.cleargrads()
            F.sum(optimizer.target(x) ** 2).backward(loss_scale=8.0)
            optimizer.update()
        assert_equal(*pair)


@each
def test_state_loads_into_chainers_optimizer_and_back(transfer, name, options):
    uninterrupted, theirs = make_pair(name, **options)
    ours = make_pair(name, **options)[0]
    for number in range(5):
        step(uninterrupted, number)
        step(ours, number)
    for source, target, numbers in (ours, theirs, range(5, 10)), (theirs, ours, range(10, 15)):
        transfer(source, target)
        transfer(source.target, target.target)
        assert_equal(source, target)
        for number in numbers:
            step(uninterrupted, number)
            step(target, number)
        assert_equal(target, uninterrupted)


@both
def test_state_loads_into_used_optimizer(transfer, name):
    ours, theirs = make_pair(name)
    for number in range(3):
        step(theirs, number)
    for number in range(7, 12):
        step(ours, number)
    transfer(theirs, ours)
    transfer(theirs.target, ours.target)
    assert_equal_updates([ours, theirs], range(3, 8))


@both
def test_setup_of_second_link_leaves_first(name):
    pair = make_pair(name)
    assert_equal_updates(pair, range(4))
    first = [optimizer.target for optimizer in pair]
    weights = first[0].conv.W.array.copy()
    for optimizer in pair:
        optimizer.setup(make_net(1))
    assert pair[0].t == 0
    assert_equal_updates(pair, range(4))
    for net in first:
        numpy.testing.assert_array_equal(net.conv.W.array, weights)


@both
def test_deep_copy_is_independent(name):
    pair = make_pair(name)
    assert_equal_updates(pair, range(3))
    copies = [copy.deepcopy(optimizer) for optimizer in pair]
    assert_equal(*copies)
    assert_equal_updates(copies, range(3, 6))
    assert_equal_updates(pair, range(6, 9))
    assert (copies[0].target.conv.W.array != pair[0].target.conv.W.array).all()


@both
def test_parameters_of_two_types(name):
    def make():
        net = chainer.Chain()
        with net.init_scope():
            net.single, net.double = (chainer.Parameter(numpy.ones(3, dtype)) for dtype in (numpy.float32, numpy.float64))
        return net
    pair = make_pair(name, make)
    assert_equal_updates(pair, range(4))
    assert (pair[0].target.single.dtype, pair[0].target.double.dtype) == (numpy.float32, numpy.float64)


@both
def test_link_without_parameters(name):
    pair = make_pair(name, chainer.Chain)
    assert_equal_updates(pair, range(2))
    assert pair[0].t == 2
