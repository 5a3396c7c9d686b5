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
    present = found[found > 0]
    return {
        'classes_total': int((due > 0).sum()),
        'classes_fair': int(((due > 0) & (found >= 0.5 * due) & (found <= 2 * due)).sum()),
        'class_kl': float((present * numpy.log(present * len(found))).sum()),
        'confident': float((numpy.asarray(probabilities).max(axis=1) > 0.9).mean()),
    }
