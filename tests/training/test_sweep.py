import shutil

import pytest
from running import SCRIPT, SHORT, start

from lsgan.training.sweep import append, rows, sweep

FLAGS = ' '.join(SHORT)


@pytest.fixture
def script(tmp_path):
    """A copy of the training script, whose runs go to this test's own folder."""
    return shutil.copy(SCRIPT, tmp_path / SCRIPT.name)


def numbers(metrics, log):
    return {'modes': metrics['modes_captured'], 'losses': len(log)}


def test_each_run_that_ends_well_is_a_row_and_is_made_once(script, tmp_path):
    table = tmp_path / 'runs.csv'
    wanted = [('plain', FLAGS, 0), ('two words', f'{FLAGS} --loss gan', 3), ('wrong', f'{FLAGS} --loss hinge', 0)]
    said = list(sweep(script, table, wanted, numbers, jobs=2))
    assert 'plain 0: ' in said[0] and 'losses 9' in said[0] and 'hinge' in said[2]
    made = rows(table)
    assert sorted((row['name'], row['seed'], row['flags']) for row in made) == [
        ('plain', '0', FLAGS), ('two words', '3', f'{FLAGS} --loss gan')]
    assert all(row['losses'] == '9' and 0 <= int(row['modes']) <= 8 and int(row['seconds']) >= 0 for row in made)
    assert (tmp_path / 'result' / 'sweep' / 'two-words-3' / 'generator_iter_180.npz').exists()
    assert list(sweep(script, table, wanted[:2], numbers)) == []
    assert rows(table) == made


def test_a_run_that_was_stopped_goes_on(script, tmp_path):
    folder = tmp_path / 'result' / 'sweep' / 'stopped-0'
    process = start(*SHORT, '--iterations', 100, '-o', folder, script=script)
    process.communicate()
    before = (folder / 'snapshot_iter_100').stat().st_mtime_ns
    assert 'stopped 0: ' in list(sweep(script, tmp_path / 'runs.csv', [('stopped', FLAGS, 0)], numbers))[0]
    assert (folder / 'generator_iter_180.npz').exists()
    assert (folder / 'snapshot_iter_100').stat().st_mtime_ns == before       # which a new run would have written anew


def test_rows_keep_the_header_of_the_table(tmp_path):
    table = tmp_path / 'table.csv'
    assert rows(table) == []
    append(table, [{'a': 1, 'b': 'two, three'}])
    append(table, [{'b': 5, 'a': 4}, {'a': 6, 'b': 7}])
    assert rows(table) == [{'a': '1', 'b': 'two, three'}, {'a': '4', 'b': '5'}, {'a': '6', 'b': '7'}]
