"""Networks as ONNX models, which programs without Chainer can run. Needs the package onnx (extra onnx)."""
from typing import Any

import chainer
import numpy
from chainer.utils.conv import get_deconv_outsize
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

import lsgan
from lsgan.errors import InputError

# ONNX Runtime reads these from version 1.11 on, and no generator needs newer operators
OPSET, IR_VERSION = 16, 8


class _Calls(chainer.FunctionHook):
    """A hook that collects the functions of a forward pass with their input arrays, in the order of the calls."""

    name = 'lsgan.networks.onnx'

    def __init__(self):
        super().__init__()
        self.made = []

    def forward_postprocess(self, function, in_data):
        self.made.append((function, in_data))


def _convolution(function):
    return {'strides': (function.sy, function.sx), 'pads': 2 * (function.ph, function.pw),
            'dilations': (function.dy, function.dx), 'group': function.groups}


def _deconvolution(function):
    x, W = (node.shape[2:] for node in function.inputs[:2])
    least = [get_deconv_outsize(*sizes, d=d) for *sizes, d in
             zip(x, W, (function.sy, function.sx), (function.ph, function.pw), (function.dy, function.dx))]
    return {**_convolution(function), 'output_padding': (function.outh - least[0], function.outw - least[1])}


def _crop(function):
    """Return the first indices, the last ones, the axes and the steps of a slice."""
    parts = [(axis, part.indices(size)) for axis, (part, size) in enumerate(zip(function.slices, function.inputs[0].shape))
             if part != slice(None)]
    axes, ranges = zip(*parts)
    starts, ends, steps = zip(*ranges)
    return [numpy.array(values, numpy.int64) for values in (starts, ends, axes, steps)]


def _scales(function):
    scales = numpy.ones(len(function.inputs[0].shape), numpy.float32)
    scales[function.axis], = function.repeats
    return [numpy.empty(0, numpy.float32), scales]


def _shape(function):
    return [numpy.array([-1, *function.outputs[0]().shape[1:]], numpy.int64)]


# Chainer's function: (ONNX operator, its attributes, its further inputs)
_OPERATORS = {
    'Add': ('Add', None, None),
    'Convolution2DFunction': ('Conv', _convolution, None),
    'Deconvolution2DFunction': ('ConvTranspose', _deconvolution, None),
    'Depth2Space': ('DepthToSpace', lambda function: {'blocksize': function.r}, None),
    'FixedBatchNormalization': ('BatchNormalization', lambda function: {'epsilon': function.eps}, None),
    'GetItem': ('Slice', None, _crop),
    'LeakyReLU': ('LeakyRelu', lambda function: {'alpha': function.slope}, None),
    'LinearFunction': ('Gemm', lambda function: {'transB': 1}, None),
    'ReLU': ('Relu', None, None),
    'Repeat': ('Resize', lambda function: {'mode': 'nearest', 'nearest_mode': 'floor',
                                           'coordinate_transformation_mode': 'asymmetric'}, _scales),
    'Reshape': ('Reshape', None, _shape),
    'Sigmoid': ('Sigmoid', None, None),
    'Tanh': ('Tanh', None, None),
}


def to_onnx(generator: chainer.Link, z: numpy.ndarray, about: dict[str, str]) -> ModelProto:
    """Return a generator in test mode as an ONNX model, made from one forward pass.

    Args:
        generator: on the CPU. It maps latents (B, n) to samples (B, ...), each by itself, with Chainer's and
            lsgan's functions that the models of this package use.
        z: any latents, float32 of shape (B, n), for the forward pass.
        about: the model's metadata.

    Returns:
        The model. Its input is named latent, its output samples. Both have a dynamic batch dimension.

    Raises:
        InputError: if the generator uses a function that is not supported.
    """
    x, calls = chainer.Variable(z), _Calls()
    # lsgan's functions are made of Chainer's, which are fewer, and do not depend on the machine
    with calls, chainer.using_config('train', False), chainer.using_config('fast', False):
        y = generator(x)
    names = {x.node: 'latent', y.node: 'samples', **{p.node: path[1:] for path, p in generator.namedparams()}}
    weights: dict[str, Any] = {}
    nodes = []

    def name(node):
        return names.setdefault(node, f'{len(names)}')

    for function, arrays in calls.made:
        kind = type(function).__name__
        if kind not in _OPERATORS:
            raise InputError(f'--format onnx: does not support the function {kind}, which this generator uses')
        operator, attributes, more = _OPERATORS[kind]
        inputs = [name(node) for node in function.inputs]
        weights |= {name(node): array for node, array in zip(function.inputs, arrays)
                    if node.creator_node is None and node is not x.node}
        result = name(function.outputs[0]())
        for i, array in enumerate(more(function) if more else []):
            inputs.append(f'{result}/{i}')
            weights[inputs[-1]] = array
        nodes.append(helper.make_node(operator, inputs, [result], **(attributes(function) if attributes else {})))
    latent, samples = (helper.make_tensor_value_info(names[v.node], TensorProto.FLOAT, ['batch', *v.shape[1:]])
                       for v in (x, y))
    graph = helper.make_graph(nodes, 'generator', [latent], [samples],
                              [numpy_helper.from_array(numpy.ascontiguousarray(array), key) for key, array in weights.items()])
    model = helper.make_model(graph, producer_name='lsgan', producer_version=lsgan.__version__, ir_version=IR_VERSION,
                              opset_imports=[helper.make_opsetid('', OPSET)])
    helper.set_model_props(model, about)
    checker.check_model(model, full_check=True)
    return model
