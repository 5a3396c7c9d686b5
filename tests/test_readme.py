"""What README.md says, tried."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / 'README.md').read_text(encoding='utf-8')


def test_the_example_of_the_pieces_trains(tmp_path):
    code, = re.findall(r'```python\n(.*?)```', README, re.S)
    code = code.replace('YOUR_DATA', "__import__('numpy').random.rand(500, 2).astype('f')") + 'print(updater.iteration)\n'
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == '50'


def test_every_flag_named_exists():
    script = ''.join(subprocess.run([sys.executable, ROOT / name, '--help'], capture_output=True, text=True).stdout
                     for name in ('train_gaussian.py', 'train_mnist.py', 'train_anime.py'))
    named = set(re.findall(r'--[a-z][a-z-]+', README.split('### Options')[1].split('### A run folder')[0])) - {'--help'}
    assert named and all(flag in script for flag in named)


def test_every_linked_file_exists():
    for target in re.findall(r'\]\((?!http)([^)]+)\)', README):
        assert (ROOT / target).exists(), target
