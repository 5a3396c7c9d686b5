"""A hook of MkDocs: adds what is not in docs to the site, so that links work as they do in the repository.

Pages outside of docs, and every file that a page links to, become a part of the site under their own path. The files in docs
lie at the top of the site. The API reference gets a page for each part of the package.
"""
import logging
import pathlib
import posixpath
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = 'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'results/README.md'     # where the search for links begins
# Markdown's links and images, and HTML's
LINK = re.compile(r'(\]\(|(?:href|src)=")(?!\w+:|/)([\w./-]+)')
LOG = logging.getLogger('mkdocs.hooks.lsgan')


def repository_path(uri):
    """Return the path in the repository of a file with this path in the site."""
    return uri if (ROOT / uri).exists() else f'docs/{uri}'


def targets(path):
    """Yield the paths in the repository that a page links to."""
    for _, target in LINK.findall((ROOT / path).read_text(encoding='utf-8')):
        yield posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def api_pages():
    """Return the content of each page of the API reference, by its title: a module, or a package with its modules."""
    pages = {}
    for path in sorted((ROOT / 'lsgan').iterdir()):
        if path.suffix == '.py' and path.stem != '__init__' or (path / '__init__.py').exists():
            files = sorted(path.rglob('*.py')) if path.is_dir() else [path]
            first, *others = (str(file.relative_to(ROOT).with_suffix('')).replace('/', '.').removesuffix('.__init__')
                              for file in files)
            pages[first] = '\n\n'.join([f'# {first}', f'::: {first}\n    options:\n      show_root_heading: false',
                                        *(f'::: {name}' for name in others)])
    return pages


def on_config(config):
    """Put the API reference into the navigation."""
    for entry in config.nav:
        if 'API reference' in entry:
            entry['API reference'] = [{title: f'api/{title}.md'} for title in api_pages()]


def on_files(files, config):
    """Add the pages outside of docs, what pages link to, and the API reference."""
    found, waiting = set(), [*PAGES, *(f'docs/{file.src_uri}' for file in files.documentation_pages())]
    while waiting:
        path = waiting.pop()
        if path not in found and (ROOT / path).is_file():
            found.add(path)
            waiting += targets(path) if path.endswith('.md') else []
    for path in sorted(found):
        if not path.startswith('docs/'):
            files.append(File(path, str(ROOT), config.site_dir, config.use_directory_urls))
    for title, content in api_pages().items():
        files.append(File.generated(config, f'api/{title}.md', content=content))


def on_page_markdown(markdown, page, config, files):
    """Turn links between files of the repository into links between pages of the site."""
    uri = page.file.src_uri
    path = repository_path(uri)

    def replaced(match):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[2]))
        file = files.get_file_from_path(target.removeprefix('docs/'))
        if match[1] == '](':
            return match[1] + posixpath.relpath(target.removeprefix('docs/'), posixpath.dirname(uri) or '.')
        if file is None:
            LOG.warning(f'{path}: no such file: {match[2]}')
            return match[0]
        return match[1] + file.url_relative_to(page.file)

    return LINK.sub(replaced, markdown)
