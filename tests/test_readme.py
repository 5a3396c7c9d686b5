"""Run the example in README.md. Its commands, flags and links are checked by test_docs.py."""
import re
import subprocess
import sys

from running import ROOT

README = (ROOT / 'README.md').read_text(encoding='utf-8')


def test_example_trains(tmp_path):
    code, = re.findall(r'```python\n(.*?)```', README, re.S)
    code = code.replace('YOUR_DATA', "__import__('numpy').random.rand(500, 2).astype('f')") + 'print(updater.iteration)\n'
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == '50'


def test_readme_has_at_most_200_lines():
    assert len(README.splitlines()) <= 200
