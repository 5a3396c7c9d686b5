"""How samples spread over the classes that a classifier sees in them, and how surely it sees them."""
import numpy


def class_shares(probabilities):
    """The share of the samples whose most probable class is each class: (K,) float64, of sum 1.

    Args:
        probabilities: see `class_statistics`.

    Raises:
        ValueError: where the shape is another or there is no sample.
    """
    probabilities = numpy.asarray(probabilities)
    if probabilities.ndim != 2 or not probabilities.size:
        raise ValueError(f'probabilities of shape (N, K) are needed, not {probabilities.shape}')
    return numpy.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1]) / len(probabilities)


def class_statistics(probabilities, shares):
    """Counts classes as `lsgan.metrics.modes.mode_statistics` counts modes, where only a classifier can tell them apart.

    Args:
        probabilities: a classifier's on N samples, float array of shape (N, K).
        shares: what each class should have, shape (K,), such as `class_shares` of real data.

    Returns:
        dict: `classes_total`, the classes that are due a share; `classes_fair`, those of them whose share of the samples, each
        counted for its most probable class, is half to twice the due one; `class_kl`, the divergence of these shares from
        uniform ones, 0 to log K nats (Kullback & Leibler 1951); `confident`, the share of samples whose largest probability is
        above 0.9 (0..1).

    Raises:
        ValueError: where the shapes are others or there is no sample.
    """
    found, due = class_shares(probabilities), numpy.asarray(shares, numpy.float64)
    if due.shape != found.shape:
        raise ValueError(f'shares of {len(found)} classes are needed, not of shape {due.shape}')
    present = found[found > 0]
    return {
        'classes_total': int((due > 0).sum()),
        'classes_fair': int(((due > 0) & (found >= 0.5 * due) & (found <= 2 * due)).sum()),
        'class_kl': float((present * numpy.log(present * len(found))).sum()),
        'confident': float((numpy.asarray(probabilities).max(axis=1) > 0.9).mean()),
    }
