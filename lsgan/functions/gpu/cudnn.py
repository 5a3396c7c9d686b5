"""Convolutions by NVIDIA's cuDNN, through its Python front end, the package `nvidia-cudnn-frontend`.

The front end takes a graph of operations, finds the algorithms (*plans*) that can compute it on a device, and runs the one
that its heuristics rank first. A convolution has three directions: fprop makes the small image from the big one, dgrad the big
image from the small one, and wgrad the gradient of the weights from both.
"""
import functools
import warnings

import chainer
from chainer.backends import cuda

from lsgan.functions.gpu.convolution import Columns, add_bias

# Whether cuDNN may choose only algorithms that give the same bits every time, so that a seed determines a run
chainer.global_config.cudnn_deterministic = True

_ALIGNMENT = 16     # bytes, of every array that a plan gets


@functools.cache
def _front_end():
    """Return the module `cudnn`, or None if it is not installed or does not find cuDNN's library."""
    try:
        import cudnn
        cudnn.backend_version()
    except ImportError:
        return None
    except Exception as error:      # the type of the error depends on the version and on what is missing
        warnings.warn(f'Convolutions run without cuDNN and are slower, because its library does not load: {error}',
                      stacklevel=2)
        return None
    return cudnn


@functools.cache
def _works(device):
    """Return whether cuDNN works on a device. If it is installed but does not work, warn once with the reason."""
    if _front_end() is None:
        return False
    try:
        _current_handle()
    except Exception as error:      # for example, if the library needs another driver
        warnings.warn(f'Convolutions run without cuDNN and are slower, because it does not work on this GPU: {error}',
                      stacklevel=2)
        return False
    return True


@functools.cache
def _handle(device, stream):
    cudnn = _front_end()
    handle = cudnn.create_handle()
    cudnn.set_stream(handle=handle, stream=stream)
    return handle


def _current_handle():
    return _handle(cuda.Device().id, cuda.cupy.cuda.get_current_stream().ptr)


class Plan:
    """A cuDNN algorithm for one direction of a convolution of float32 images with channels last in memory.

    Args:
        direction (str): fprop, dgrad or wgrad.
        N (int): number of images in a batch.
        O, C (int): number of channels of the small and of the big image.
        geometry (lsgan.functions.way.Geometry): the sizes of images and kernel.
        bias (bool): whether fprop adds a bias (O,).
        tf32 (bool): whether the inputs may be rounded to TF32.
        deterministic (bool): whether the result must have the same bits every time.
        device: arguments that tell the front end the device: `handle`, or `device_property` and `sm_version` for a device
            that is not present.

    Raises:
        cudnn.cudnnGraphNotSupportedError: if cuDNN has no such plan.
    """

    def __init__(self, direction, N, O, C, geometry, bias, tf32, deterministic, **device):  # noqa: E741
        cudnn = _front_end()
        kind, note = cudnn.data_type.FLOAT, cudnn.numerical_note
        self.graph = cudnn.pygraph(io_data_type=kind, intermediate_data_type=kind, compute_data_type=kind, **device)
        shapes = {'big': (N, C, *geometry.big), 'small': (N, O, *geometry.small), 'W': (O, C, *geometry.kernel),
                  'bias': (1, O, 1, 1)}
        how = {'padding': list(geometry.pad), 'stride': list(geometry.stride), 'dilation': [1, 1]}

        def tensor(name):
            return self.graph.tensor(name=name, dim=shapes[name], stride=_strides(shapes[name]))
        if direction == 'fprop':
            self.inputs, made = [tensor('big'), tensor('W')], 'small'
            self.output = self.graph.conv_fprop(image=self.inputs[0], weight=self.inputs[1], **how)
            if bias:
                self.inputs.append(tensor('bias'))
                self.output = self.graph.bias(input=self.output, bias=self.inputs[2])
        elif direction == 'dgrad':
            self.inputs, made = [tensor('small'), tensor('W')], 'big'
            self.output = self.graph.conv_dgrad(loss=self.inputs[0], filter=self.inputs[1], **how)
        else:
            self.inputs, made = [tensor('big'), tensor('small')], 'W'
            self.output = self.graph.conv_wgrad(image=self.inputs[0], loss=self.inputs[1], **how)
        self.output.set_dim(shapes[made]).set_stride(_strides(shapes[made])).set_output(True)
        self.graph.validate()
        self.graph.build_operation_graph()
        self.graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        self.graph.deselect_numeric_notes([note.NONDETERMINISTIC] * deterministic
                                          + [note.TENSOR_CORE, note.DOWN_CONVERT_INPUTS] * (not tf32))
        self.graph.check_support()
        self.graph.build_plans()
        self.workspace = self.graph.get_workspace_size()    # bytes

    def __call__(self, inputs, output):
        """Compute the array `output` from arrays of the plan's shapes, on the current stream."""
        workspace = cuda.cupy.empty(self.workspace, 'b')
        pointers = {tensor: array.data.ptr for tensor, array in zip([*self.inputs, self.output], [*inputs, output])}
        self.graph.execute(pointers, workspace.data.ptr, handle=_current_handle())


def _strides(shape):
    """Return the strides, counted in numbers, of images or weights with channels last in memory."""
    _, C, H, W = shape
    return C * H * W, 1, C * W, C


@functools.cache
def _plan(device, *arguments):
    """Return the `Plan` for these arguments, or None if cuDNN has none for them."""
    try:
        return Plan(*arguments, handle=_current_handle())
    except _front_end().cudnnGraphNotSupportedError:
        return None


class Convolution(Columns):
    """Convolution by cuDNN, or by im2col if cuDNN has no plan. The arguments are those of `Columns`."""

    @staticmethod
    def serves(W):
        """Return whether cuDNN works on the device of these weights and supports their type."""
        return W.dtype.char == 'f' and _works(W.device.id)

    def run(self, big, small, bias, image, weights):
        N = len(small if big is None else big)
        tasks = []      # direction, inputs, shape of the output
        if image == 'small':
            tasks.append(('fprop', [big, self.W] + [bias] * (bias is not None), (N, *self.geometry.small, self.O)))
        elif image == 'big':
            tasks.append(('dgrad', [small, self.W], (N, *self.geometry.big, self.C)))
        if weights:
            tasks.append(('wgrad', [big, small], self.W.shape))
        plans = [_plan(self.W.device.id, direction, N, self.O, self.C, self.geometry, len(inputs) == 3, chainer.config.tf32,
                       chainer.config.cudnn_deterministic) for direction, inputs, _ in tasks]
        if None in plans or any(array.data.ptr % _ALIGNMENT for _, inputs, _ in tasks for array in inputs):
            return super().run(big, small, bias, image, weights)
        outputs = [cuda.cupy.empty(shape, self.dtype) for _, _, shape in tasks]
        for plan, (_, inputs, _), output in zip(plans, tasks, outputs):
            plan(inputs, output)
        if image == 'big' and bias is not None:     # cuDNN cannot add a bias in dgrad
            add_bias(outputs[0], bias)
        return outputs[0] if image else None, outputs[-1].transpose(0, 3, 1, 2) if weights else None
