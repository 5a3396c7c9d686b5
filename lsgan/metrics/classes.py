"""Mode coverage by classes: how evenly a classifier's predictions cover the classes, and how confident they are."""
import numpy


def class_shares(probabilities: numpy.ndarray) -> numpy.ndarray:
    """Return the fraction of samples in each class. A sample belongs to its most probable class.

    Args:
        probabilities: class probabilities of N samples, float array of shape (N, K), N at least 1.

    Returns:
        A float64 array of shape (K,) with sum 1.

    Raises:
        ValueError: if the shape is not (N, K) or there is no sample.
    """
    probabilities = numpy.asarray(probabilities)
    if probabilities.ndim != 2 or not probabilities.size:
        raise ValueError(f'expected probabilities of shape (N, K), got {probabilities.shape}')
    return numpy.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1]) / len(probabilities)


def class_statistics(probabilities: numpy.ndarray, shares: numpy.ndarray) -> dict[str, float]:
    """Measure how well samples cover the classes of a classifier.

    This is the analogue of `lsgan.metrics.modes.mode_statistics` for data whose modes only a classifier can tell apart.

    Args:
        probabilities: class probabilities of N samples, float array of shape (N, K), N at least 1.
        shares: expected fraction of samples in each class, float array of shape (K,), such as `class_shares` of real data.

    Returns:
        dict:

        - `classes_total`: number of classes whose expected fraction is positive.
        - `classes_fair`: number of these classes whose fraction of samples is between half and twice the expected fraction.
        - `class_kl`: Kullback-Leibler divergence of the fractions of samples from the uniform distribution, 0 to log K nats.
        - `confident`: fraction of samples whose largest class probability is above 0.9, 0 to 1.

    Raises:
        ValueError: if the shapes do not match or there is no sample.
    """
    found, due = class_shares(probabilities), numpy.asarray(shares, numpy.float64)
    if due.shape != found.shape:
        raise ValueError(f'expected shares of {len(found)} classes, got an array of shape {due.shape}')
    return {
        'classes_total': int((due > 0).sum()),
        'classes_fair': int(((due > 0) & (found >= 0.5 * due) & (found <= 2 * due)).sum()),
        'class_kl': _kl_from_uniform(found),
        'confident': float((numpy.asarray(probabilities).max(axis=1) > 0.9).mean()),
    }


def stack_statistics(labels: numpy.ndarray, classes: int) -> dict[str, float]:
    """Measure how well stacked images cover their modes. A mode is a combination of one class for each channel.

    This is the protocol of Metz et al. 2017 (arXiv:1611.02163), Srivastava et al. 2017 (arXiv:1705.07761) and Lin et al. 2018
    (arXiv:1712.04086) for Stacked MNIST, which has 10 ** 3 modes: 26,000 samples, and natural logarithms. With N samples, even
    evenly distributed modes have a divergence of about (modes_total - 1) / (2 N), which is 0.019 there.

    Args:
        labels: class of each channel of N images with C channels, int array of shape (N, C) with values from 0 to
            `classes` - 1, N at least 1.
        classes: number of classes K.

    Returns:
        dict:

        - `modes_total`: number of modes M = K ** C.
        - `modes_seen`: number of modes with at least one image.
        - `mode_kl`: Kullback-Leibler divergence of the modes' fractions q of the images from the uniform distribution,
          the sum of q log(q M) over all modes, 0 to log M nats.

    Raises:
        ValueError: if the shape is not (N, C), there is no image, or a label is not a class.
    """
    labels = numpy.asarray(labels)
    if labels.ndim != 2 or not labels.size:
        raise ValueError(f'expected labels of shape (N, C), got {labels.shape}')
    modes = numpy.ravel_multi_index(tuple(labels.T), labels.shape[1] * (classes,))
    counts = numpy.bincount(modes, minlength=classes ** labels.shape[1])
    return {'modes_total': len(counts), 'modes_seen': int((counts > 0).sum()),
            'mode_kl': _kl_from_uniform(counts / len(modes))}


def _kl_from_uniform(shares):
    """Return the Kullback-Leibler divergence of fractions with sum 1 from the uniform distribution, in nats."""
    present = shares[shares > 0]
    return float((present * numpy.log(present * len(shares))).sum())
