"""Tests of how presets, flags and a resumed run determine the settings."""
import argparse
import json
import sys

import pytest

from lsgan.errors import InputError
from lsgan.training import flags, run, snapshot

# isort: split
import chainer

import train_gaussian

COMMON = {'loss': 'lsgan', 'scheme': 'binary', 'n_critic': 1, 'clip': 0.01, 'gradient_penalty': 'none',
          'optimizer': 'adam', 'lr_g': 1e-3, 'lr_d': 1e-3, 'beta1': 0.5, 'beta2': 0.9,
          'noise': 1.0, 'noise_end': 0.1, 'noise_share': 1.0, 'keep': 3, 'epoch_size': 20,
          'log_interval': 10, 'metric_interval': 40, 'sample_interval': 20, 'snapshot_interval': 100,
          'lr_decay': 0.0, 'lr_steps': [[6, 0.5]]}
PRESETS = {
    'default': {'about': 'ours', **COMMON, 'data': 'ring', 'modes': 8,
                'variants': {('loss', 'gan'): {'lr_g': 7.0}, ('data', 'grid'): {'modes': 5}}},
    'other': {'about': 'theirs', 'lr_g': 2.0,
              'variants': {('loss', 'wgan'): {'n_critic': 5, 'lr_d': 3.0, 'epoch_size': 4}}},
}


def resolve(given, saved=None):
    return flags.resolve('test', given, PRESETS, saved)


def test_flags_override_variants_override_presets_override_default():
    settings = resolve({'preset': 'other', 'loss': 'wgan', 'lr_d': 4.0})
    assert (settings['lr_g'], settings['lr_d'], settings['n_critic'], settings['beta1']) == (2.0, 4.0, 5, 0.5)
    assert (settings['experiment'], settings['preset'], settings['seed'], settings['device']) == ('test', 'other', 0, 'auto')
    assert not settings.keys() & {'about', 'variants'}


def test_variants_of_preset_replace_those_of_default():
    assert resolve({'loss': 'gan'})['lr_g'] == 7.0
    assert resolve({'loss': 'gan', 'preset': 'other'})['lr_g'] == 2.0
    assert resolve({'data': 'grid', 'preset': 'other'})['modes'] == 5


def test_lr_steps_and_lr_decay_replace_each_other():
    def rates(**given):
        return [resolve(given)[name] for name in ('lr_decay', 'lr_steps')]
    assert rates() == [0.0, [[6, 0.5]]]
    assert rates(lr_decay=0.3) == [0.3, []]
    assert rates(lr_steps=[[2, 0.1]], preset='other') == [0.0, [[2, 0.1]]]
    with pytest.raises(InputError, match='--lr-steps and --lr-decay'):
        rates(lr_decay=0.3, lr_steps=[[2, 0.1]])


def test_penalty_has_usual_weight():
    assert resolve({})['penalty_weight'] is None
    assert resolve({'gradient_penalty': 'r1'})['penalty_weight'] == 10
    assert resolve({'gradient_penalty': 'r1', 'penalty_weight': 3.0})['penalty_weight'] == 3


@pytest.mark.parametrize('given, message', [
    ({'penalty_weight': 3.0}, '--penalty-weight has no effect without --gradient-penalty'),
    ({'loss': 'wgan', 'gradient_penalty': 'r1', 'clip': 0.1}, '--clip has no effect .* --gradient-penalty none'),
    ({'gradient_penalty': 'r1', 'sync_norm': True}, '--sync-norm and --gradient-penalty cannot be combined'),
])
def test_penalties_that_make_no_sense_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        resolve(given)


def test_scheme_determines_targets():
    assert resolve({})['abc'] == [0, 1, 1]
    assert resolve({'scheme': 'pearson'})['abc'] == [-1, 1, 0]
    assert resolve({'abc': [-1.0, 1.0, 0.0]})['scheme'] == 'pearson'
    assert resolve({'abc': [0.0, 2.0, 2.0]})['scheme'] == 'custom'


def test_resuming_keeps_settings():
    saved = resolve({'preset': 'other', 'lr_g': 9.0})
    assert resolve({}, saved) == saved
    assert resolve({'lr_g': 9.0, 'keep': 8}, saved) == {**saved, 'keep': 8}
    saved['device'] = '@numpy'
    assert resolve({'device': 'auto'}, saved) == resolve({'device': '@numpy'}, saved) == saved
    with pytest.raises(InputError, match='--device is @numpy in that run and @cupy:0 in this command'):
        resolve({'device': '@cupy:0'}, saved)
    with pytest.raises(InputError, match='--lr-g is 9.0 in that run and 1.0 in this command'):
        resolve({'lr_g': 1.0}, saved)
    with pytest.raises(InputError, match='--scheme is binary in that run and pearson in this command'):
        resolve({'scheme': 'pearson'}, saved)
    with pytest.raises(InputError, match='train_mnist.py'):
        resolve({}, {**saved, 'experiment': 'mnist'})
    with pytest.raises(InputError, match='another version.*--beta2'):
        resolve({}, {name: value for name, value in saved.items() if name != 'beta2'})


def test_names_of_devices():
    assert [flags.device(text) for text in ('-1', '0', '@cupy:0', 'auto')] == ['@numpy', '@cupy:0', '@cupy:0', 'auto']
    for wrong in 'tpu', '', 'AUTO':
        with pytest.raises(argparse.ArgumentTypeError, match='is not a device; pass auto, -1 or @numpy, 0 or @cupy:0'):
            flags.device(wrong)


def test_help_lists_presets():
    text = flags.Parser('test', 'doc', PRESETS).format_help()
    assert 'theirs' in text and '--lr-g 2.0' in text
    assert 'with --loss wgan' in text and '--n-critic 5 --lr-d 3.0' in text


def test_metric_interval_is_multiple_of_log_interval():
    assert resolve({})['metric_interval'] == 40
    assert resolve({'log_interval': 15})['metric_interval'] == 45
    assert resolve({'log_interval': 100})['metric_interval'] == 100
    assert resolve({'log_interval': 15, 'metric_interval': 30})['metric_interval'] == 30
    with pytest.raises(InputError, match='--metric-interval 40 must be a multiple of --log-interval 15'):
        resolve({'log_interval': 15, 'metric_interval': 40})


def test_intervals_are_proportional_to_epoch():
    def intervals(**given):
        return [resolve(given)[name] for name in ('metric_interval', 'sample_interval', 'snapshot_interval')]
    assert intervals() == [40, 20, 100]
    assert intervals(epoch_size=30) == [60, 30, 150]
    assert intervals(epoch_size=3) == [10, 3, 15]       # metrics stand in log entries
    assert intervals(epoch_size=30, sample_interval=7, metric_interval=40) == [40, 7, 150]
    assert intervals(preset='other', loss='wgan') == [10, 4, 20]       # a variant's epoch, too
    assert intervals(preset='other', loss='wgan', epoch_size=8) == [20, 8, 40]
    assert intervals(preset='other', loss='wgan', epoch_size=1, log_interval=1) == [2, 1, 5]
    saved = {**resolve({'epoch_size': 30}), 'sample_interval': 20}      # as an earlier rule had it
    assert resolve({'epoch_size': 30}, saved) == saved


@pytest.mark.parametrize('given, expected', [([], (True, True)), (['--no-tf32'], (False, True)),
                                             (['--no-deterministic'], (True, False))])
def test_gpu_flags_hold_during_run(tmp_path, monkeypatch, given, expected):
    def train(*arguments):
        assert (chainer.config.tf32, chainer.config.cudnn_deterministic) == expected
        return 7
    monkeypatch.setattr(run, '_train_in', train)
    monkeypatch.setattr(sys, 'argv', ['train_gaussian.py', *given, '-o', str(tmp_path / 'run')])
    assert run.main(train_gaussian.make_parser(), None) == 7
    assert chainer.config.tf32 and chainer.config.cudnn_deterministic


def test_older_runs_resume_without_tf32_and_random_biases(tmp_path):
    settings = flags.resolve('gaussian', {}, train_gaussian.PRESETS)
    old = {name: value for name, value in settings.items() if name not in ('tf32', 'deterministic', 'init_bias')}
    (tmp_path / 'config.json').write_text(json.dumps({'settings': old}))
    saved = snapshot.read_settings(tmp_path)
    assert flags.resolve('gaussian', {}, train_gaussian.PRESETS, saved) == {**settings, 'tf32': False, 'processes': 1}
    with pytest.raises(InputError, match='--tf32 is off in that run and on in this command'):
        flags.resolve('gaussian', {'tf32': True}, train_gaussian.PRESETS, saved)
