import json
import pathlib
import shutil

import pytest
from running import SCRIPT, SHORT, start

from lsgan.training.sweep import append, main, rows, sweep

FLAGS = ' '.join(SHORT)


@pytest.fixture
def script(tmp_path):
    """A copy of the training script, so that its runs are written to a temporary folder."""
    return shutil.copy(SCRIPT, tmp_path / SCRIPT.name)


COLUMNS = 'modes_captured', 'dis/loss first', 'iteration last'


def test_each_run_is_one_row(script, tmp_path, capsys):
    table = tmp_path / 'runs.csv'
    wanted = [('plain', FLAGS, 0), ('two words', f'{FLAGS} --loss gan', 3), ('wrong', f'{FLAGS} --loss hinge', 0),
              ('diverging', f'{FLAGS} --average 0 --lr-g 1e30 --lr-d 1e30', 0)]
    sweep(script, table, wanted, COLUMNS, dry=True)
    assert '0 runs done, 4 missing\nplain 0\n' in capsys.readouterr().out and not table.exists()
    assert sweep(script, table, wanted, COLUMNS, jobs=2) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith('plain 0: ') and 'modes_captured' in said[1] and 'hinge' in said[3] and 'diverged' in said[4]
    made = {(row['name'], row['seed']): row for row in rows(table)}
    assert {key: row['flags'] for key, row in made.items()} == {
        (name, str(seed)): flags for name, flags, seed in wanted if name != 'wrong'}
    for name, seed in ('plain', '0'), ('two words', '3'):
        row = made[name, seed]
        log = json.loads((tmp_path / 'result/sweep/train_gaussian' / f'{name.replace(" ", "-")}-{seed}' / 'log').read_text())
        assert float(row['dis/loss first']) == pytest.approx(log[0]['dis/loss'], rel=1e-5)
        assert row['iteration last'] == '180' and 0 <= int(row['modes_captured']) <= 8 and int(row['seconds']) >= 0
    assert made['diverging', '0']['modes_captured'] == 'nan'
    before = table.read_text()
    assert sweep(script, table, wanted[:2], COLUMNS) == 0
    assert '0 missing' in capsys.readouterr().out and table.read_text() == before


def test_command_line_chooses_groups_and_runs(script, tmp_path, capsys, monkeypatch):
    groups = {'small': {'a': (FLAGS, [1, 0]), 'b': (FLAGS, [0])}, 'large': {'b': (FLAGS, [1]), 'c': (FLAGS, [1])}}

    def call(*flags):
        monkeypatch.setattr('sys.argv', ['sweep.py', *flags])
        status = main('doc', pathlib.Path(script), tmp_path, groups, COLUMNS)
        said = capsys.readouterr()
        assert len(said.err.splitlines()) == (status == 2)
        return status, *said.out.splitlines()
    assert call('--list') == (0, 'small.csv: 0 runs done, 3 missing', 'a 0', 'b 0', 'a 1',
                              'large.csv: 0 runs done, 2 missing', 'b 1', 'c 1')
    assert call('--seed', '0', 'small', '--list') == (0, 'small.csv: 0 runs done, 2 missing', 'a 0', 'b 0')
    assert call('--seed', '0', '--seed', '1', 'small', '--list')[1] == 'small.csv: 0 runs done, 3 missing'
    assert call('large', '--only', 'c')[0] == 0
    assert [row['name'] for row in rows(tmp_path / 'large.csv')] == ['c'] and not (tmp_path / 'small.csv').exists()
    assert call('large', '--list') == (0, 'large.csv: 1 runs done, 1 missing', 'b 1')
    for wrong in [['huge'], ['--only', 'd'], ['large', '--only', 'a'], ['--jobs', '0'], ['--seed', 'x'], ['--seed', '7'],
                  ['--no-such-flag']]:
        assert call(*wrong) == (2,)
    groups['small'] = {'a': ('--no-such-flag', [0])}
    assert call('small')[0] == 1


def test_failed_script_makes_no_row(script, tmp_path, capsys):
    pathlib.Path(script).write_text('raise RuntimeError("broken")')
    assert sweep(pathlib.Path(script), tmp_path / 'runs.csv', [('plain', FLAGS, 0)], COLUMNS) == 1
    assert 'broken' in capsys.readouterr().out and not rows(tmp_path / 'runs.csv')


def test_stopped_run_continues_with_the_same_flags_only(script, tmp_path, capsys):
    folder = tmp_path / 'result' / 'sweep' / 'train_gaussian' / 'stopped-0'
    start(*SHORT, '--iterations', 100, '-o', folder, script=script).communicate()
    before = (folder / 'snapshot_iter_100').stat().st_mtime_ns
    sweep(script, tmp_path / 'runs.csv', [('stopped', f'{FLAGS} --lr-g 0.5', 0)], COLUMNS)
    assert f'{folder} holds a run with other settings (lr_g)' in capsys.readouterr().out and not rows(tmp_path / 'runs.csv')
    sweep(script, tmp_path / 'runs.csv', [('stopped', FLAGS, 0)], COLUMNS)
    assert len(rows(tmp_path / 'runs.csv')) == 1
    assert (folder / 'generator_iter_180.npz').exists()
    assert (folder / 'snapshot_iter_100').stat().st_mtime_ns == before       # which a new run would have written anew


def test_stopped_run_with_other_defaults_is_refused(script, tmp_path, capsys):
    script = pathlib.Path(script)
    now = script.read_text()
    assert "'lr_g': 1e-3, 'lr_d': 1e-3, 'beta1': 0.0" in now
    script.write_text(now.replace("'lr_g': 1e-3, 'lr_d': 1e-3, 'beta1': 0.0", "'lr_g': 1e-3, 'lr_d': 1e-3, 'beta1': 0.1"))
    folder = tmp_path / 'result' / 'sweep' / 'train_gaussian' / 'default-0'
    start(*SHORT, '--iterations', 100, '-o', folder, script=script).communicate()
    script.write_text(now)
    sweep(script, tmp_path / 'runs.csv', [('default', FLAGS, 0)], COLUMNS)
    assert 'other settings (beta1)' in capsys.readouterr().out and not rows(tmp_path / 'runs.csv')


def test_rows_keep_header_of_table(tmp_path):
    table = tmp_path / 'table.csv'
    assert rows(table) == []
    append(table, [{'a': 1, 'b': 'two, three'}])
    append(table, [{'b': 5, 'a': 4}, {'a': 6, 'b': 7}])
    assert rows(table) == [{'a': '1', 'b': 'two, three'}, {'a': '4', 'b': '5'}, {'a': '6', 'b': '7'}]
