"""The event files for TensorBoard."""
import io
import json
import os
import struct

import numpy as np
import pytest
from PIL import Image
from running import SHORT, assert_one_line, assert_same_run, settings_of, train


def events_in(path):
    """Yield the events in a file: records of length, checksum, content and checksum (TensorFlow's TFRecord)."""
    event_pb2 = pytest.importorskip('tensorboardX.proto.event_pb2')
    data = path.read_bytes()
    while data:
        length, = struct.unpack('<Q', data[:8])
        yield event_pb2.Event.FromString(data[12:12 + length])
        data = data[16 + length:]


def values_in(path):
    """Return all values in an event file, a dict from (tag, step)."""
    return {(value.tag, event.step): value for event in events_in(path) for value in event.summary.value}


def test_a_watched_run_computes_the_same_and_its_events_are_its_log_and_pictures(whole, tmp_path):
    pytest.importorskip('tensorboardX')
    folder = tmp_path / 'run'
    for flags in ['--tensorboard', *SHORT, '--iterations', 70], ['--resume']:
        result = train(*flags, '-o', folder)
        assert result.returncode == 0, result.stderr
    assert settings_of(folder)['tensorboard'] and not settings_of(whole[0])['tensorboard']
    assert_same_run(whole[0], folder)
    assert not (whole[0] / 'tensorboard').exists()
    first, second = sorted((folder / 'tensorboard').iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert any(event.session_log.status == event.session_log.START and event.step == 80 for event in events_in(second))
    values = values_in(first) | values_in(second)
    log = json.loads((folder / 'log').read_text())
    assert len(log) == 9
    for entry in log:
        for key in entry.keys() - {'epoch', 'iteration', 'elapsed_time'}:
            shown = values[key if '/' in key else f'metrics/{key}', entry['iteration']].simple_value
            assert shown == pytest.approx(entry[key], rel=1e-6)
    assert {step for tag, step in values if tag == 'samples'} == {0, 60, 70, 120, 180}
    for path in (folder / 'samples').iterdir():
        with Image.open(io.BytesIO(values['samples', int(path.stem[5:])].image.encoded_image_string)) as shown, \
                Image.open(path) as drawn:
            assert (np.asarray(shown.convert('RGB')) == np.asarray(drawn.convert('RGB'))).all()


def test_without_the_package_the_extra_is_named(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text('import sys\nsys.modules["tensorboardX"] = None\n')
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get('PYTHONPATH')])])
    result = train('--tensorboard', *SHORT, '-o', tmp_path / 'run', env={**os.environ, 'PYTHONPATH': path})
    assert_one_line(result, '--tensorboard', "pip install 'lsgan[tensorboard]'", '--no-tensorboard')
    assert not (tmp_path / 'run' / 'config.json').exists()
