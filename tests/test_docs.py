"""Check examples, commands, flags, links and quoted messages in README.md and in docs."""
import functools
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from running import ROOT

from lsgan.training import flags

SCRIPTS = 'train_gaussian.py', 'train_mnist.py', 'train_anime.py', 'visualize.py'
PAGES = [ROOT / name for name in ('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md')] + sorted((ROOT / 'docs').glob('*.md'))
USING = (ROOT / 'docs' / 'using.md').read_text(encoding='utf-8')
SECTIONS = dict(re.findall(r'^## (.+?)\n(.*?)(?=^## |\Z)', USING, re.M | re.S))
BLOCK = re.compile(r'([^\n]*)\n\n```(\w+)\n(.*?)^```', re.M | re.S)
# those of argparse, uv, mpiexec, Slurm and TensorBoard
OTHER_FLAGS = {'--help', '--extra', '--with', '--group', '--bind-to', '--signal', '--mpi', '--nodes', '--gpus-per-node',
               '--ntasks-per-node', '--logdir'}


def read(page):
    return page.read_text(encoding='utf-8')


def without_blocks(text):
    return re.sub(r'```.*?```', '', text, flags=re.S)


def name(page):
    return str(page.relative_to(ROOT))


pages = pytest.mark.parametrize('page', PAGES, ids=name)


@pytest.mark.script
@pytest.mark.parametrize('section', SECTIONS)
def test_every_example_runs(section, tmp_path):
    """Apply the blocks of a section to a copy of the repository, in order, and run its commands."""
    for script in SCRIPTS:
        shutil.copy2(ROOT / script, tmp_path)
    shutil.copytree(ROOT / 'lsgan', tmp_path / 'lsgan')     # with the compiled kernels, whose times are copied, too
    blocks = BLOCK.findall(SECTIONS[section])
    assert blocks
    for before, language, code in blocks:
        found = re.search(r'`([\w/]+\.py)`:$', before)
        path = tmp_path / found[1] if found else None
        if language == 'python' and path:
            text = read(path).rstrip() + '\n\n\n' if path.exists() else ''
            path.write_text(text + code, encoding='utf-8')
        elif language == 'diff':
            change(path, code)
        elif language == 'python':
            run([sys.executable, '-c', code], tmp_path)
        else:
            for line in code.splitlines():
                script, *arguments = shlex.split(line, comments=True)
                run([sys.executable, *([] if script == 'python' else [script]), *arguments], tmp_path)


def change(path, diff):
    """Apply each hunk of a diff. Its old lines must occur once; the last line may be the beginning of a longer one."""
    text = read(path)
    for hunk in diff.strip('\n').split('\n\n'):
        old, new = ('\n'.join(line[1:] for line in hunk.splitlines() if line[0] in kinds) for kinds in (' -', ' +'))
        assert text.count(old) == 1, f'{path.name} has {text.count(old)} times:\n{old}'
        text = text.replace(old, new)
    path.write_text(text, encoding='utf-8')


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300,
                          env={**os.environ, 'PYTHONPATH': str(folder)})
    assert done.returncode == 0, f'{shlex.join(command)}\n{done.stdout}{done.stderr}'


def commands(text):
    """Yield the commands of a page: the lines of its shell blocks, and commands in its text."""
    for block in re.findall(r'```sh\n(.*?)```', text, re.S):
        yield from block.replace('\\\n', '').splitlines()
    yield from re.findall(r'`((?:uv run|python|mpiexec|train_\w+\.py|visualize\.py \w+) [^`]+)`', without_blocks(text))


@functools.cache
def parser(script):
    return importlib.import_module(script.removesuffix('.py')).make_parser()


@pages
def test_every_command_is_accepted(page):
    text = read(page)
    if page.name == 'using.md':
        text = ''       # its commands are run
    for command in (part for line in commands(text) for part in line.split('&&')):
        words = [word for word in shlex.split(command, comments=True) if word != '...']
        for word in words:
            if re.fullmatch(r'[\w/]+\.(py|sh)', word):
                assert (ROOT / word).exists(), command
        script = next((word for word in words if word in SCRIPTS), None)
        if script is None or {'COMMAND', '--help'} & set(words):
            continue
        given = vars(parser(script).parse_args(words[words.index(script) + 1:]))
        if script != 'visualize.py' and 'resume' not in given:
            settings = {key: value for key, value in given.items() if key not in ('out', 'iterations')}
            flags.resolve(parser(script).experiment, settings, parser(script).presets)


@functools.cache
def known_flags():
    folders = [path for folder in ('lsgan', 'results', 'benchmarks') for path in (ROOT / folder).rglob('*')]
    sources = [*(ROOT / script for script in SCRIPTS), *(path for path in folders if path.suffix in ('.py', '.sh'))]
    return {flag for path in sources for flag in re.findall(r'--[a-z][a-z0-9-]+', read(path))} | OTHER_FLAGS


@pages
def test_every_flag_exists(page):
    code = ' '.join(re.findall(r'`([^`\n]+)`', without_blocks(read(page))))
    for flag in re.findall(r'--[a-z][a-z0-9-]*[a-z0-9](?![a-z-])', code) if page.name != 'using.md' else []:
        assert {flag, flag.replace('--no-', '--')} & known_flags(), flag


@pages
def test_every_link_leads_somewhere(page):
    for target, anchor in re.findall(r'\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)', without_blocks(read(page))):
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r'^#+ (.+)$', read(path), re.M)
            slugs = {re.sub(r'[^\w -]', '', heading.lower()).strip().replace(' ', '-') for heading in headings}
            assert anchor in slugs, f'{target}#{anchor}'


def test_every_page_is_reached_from_readme():
    linked = {os.path.normpath(target) for target in re.findall(r'\]\(([^)#]+)', read(ROOT / 'README.md'))}
    assert {name(page) for page in PAGES} - {'README.md'} <= linked


@functools.cache
def messages():
    """Return the source code of the scripts and the package, with adjacent string literals joined."""
    sources = [*(ROOT / script for script in SCRIPTS), *sorted((ROOT / 'lsgan').rglob('*.py'))]
    text = '\n'.join(map(read, sources)).replace("\\'", "'")
    return re.sub(r"""['"]\s*\n\s*f?['"]""", '', text)


def test_every_quoted_message_is_one_of_lsgan():
    quoted = re.findall(r'^\| `([^`]+)`', read(ROOT / 'docs' / 'troubleshooting.md'), re.M)
    assert len(quoted) > 15
    stale = [message for message in quoted
             if not re.search('[^\n]{0,90}?'.join(map(re.escape, message.split('…'))), messages())]
    assert not stale, 'reworded or gone; follow in docs/troubleshooting.md'
