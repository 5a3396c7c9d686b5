"""The page of visualize.py explore, in a browser, and its server."""
import http.client
import shlex
import signal
import socket
import urllib.parse

import numpy
import pytest
from PIL import Image
from running import PHONE, ROOT, assert_one_line, start

import visualize
from lsgan.random import analogy, between, way
from lsgan.training.explorer import principal_directions
from lsgan.training.folder import RunFolder

RUN = ROOT / 'results' / 'anime' / 'pretrained'
CORNERS = 3, 17, 8, 42
FORMS = 'One sample', 'Map between four', 'Walk between two', 'Arithmetic'


@pytest.fixture(scope='module')
def address():
    """The address of the page, served as a user does it. At the end, Ctrl-C must end the server."""
    process = start('explore', RUN, script=ROOT / 'visualize.py')
    line = process.stdout.readline()
    assert str(RUN / 'generator_iter_1280.npz') in line and 'Ctrl-C' in line, process.stderr.read()
    yield next(word for word in line.split() if word.startswith('http'))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == '' and err == 'visualize.py: interrupted\n'


@pytest.fixture(scope='module')
def folder():
    """The run, to compare pictures with what its generator makes."""
    return RunFolder(RUN, ROOT)


@pytest.fixture
def open_page(browser, address):
    """Open the page. At the end, it must have written nothing to the console, nor loaded anything from elsewhere."""
    contexts, messages, loaded = [], [], []

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on('console', lambda message: messages.append(message.text))
        page.on('pageerror', lambda error: messages.append(str(error)))
        page.on('request', lambda request: loaded.append(request.url))
        page.goto(address)
        return page
    yield open_page
    for context in contexts:
        context.close()
    assert messages == [] and all(url.startswith(address) for url in loaded)


def saved(page, tmp_path):
    """Save the image that the page shows, and return it as an array of shape (H, W, C)."""
    page.wait_for_function('''() => {
        const image = document.querySelector('#seen img')
        return image.complete && image.naturalWidth === 64 && image.src === document.getElementById('save').href
    }''')
    with page.expect_download() as download:
        page.get_by_text('Save as PNG').click()
    assert download.value.suggested_filename.endswith('.png')
    download.value.save_as(tmp_path / 'saved.png')
    return pixels(tmp_path / 'saved.png')


def pixels(path, frame=0):
    with Image.open(path) as image:
        image.seek(frame)
        return numpy.asarray(image.convert('RGB')).astype(int)


def assert_alike(image, other):
    """Allow for rounding, which depends on how many samples are generated at a time."""
    assert image.shape == other.shape and abs(image - other).max() <= 1


def image_of(folder, latent):
    return folder.to_images(latent[None])[0].transpose(1, 2, 0).astype(int)


def pick(page, *numbers):
    for number in numbers:
        page.get_by_role('button', name=f'sample {number}', exact=True).click()


def drawn_by_command(page, path):
    """Run the command that the page shows, with another file to write."""
    script, *arguments = shlex.split(page.locator('#command').inner_text())
    assert script == 'visualize.py' and visualize.main([*arguments, '-o', str(path)]) == 0
    return path


def test_clicked_sample_is_shown(open_page, folder, tmp_path):
    page, z = open_page(), folder.latents(100)
    assert 'LSGAN' in page.locator('#run').inner_text() and page.get_by_role('button', name='sample').count() == 100
    assert_alike(saved(page, tmp_path), image_of(folder, z[0]))
    pick(page, 42)
    assert_alike(saved(page, tmp_path), image_of(folder, z[42]))
    assert page.locator('#command').inner_text().endswith('--numbers')


def test_sliders_move_the_image_along_directions(open_page, tmp_path):
    page = open_page()
    plain, images = saved(page, tmp_path), {}
    for key in 'Home', 'End':
        page.get_by_label('Direction 1').press(key)
        images[key] = saved(page, tmp_path)
    assert all(abs(images[key] - plain).mean() > 20 for key in images) and abs(images['Home'] - images['End']).mean() > 30
    page.get_by_label('Direction 5').press('ArrowRight')
    assert (saved(page, tmp_path) != images['End']).any()
    assert 'No command' in page.locator('#drawn').inner_text()
    page.get_by_role('button', name='Reset').click()
    assert (saved(page, tmp_path) == plain).all() and 'No command' not in page.locator('#drawn').inner_text()


def test_map_leads_between_four_samples(open_page, folder, tmp_path):
    page, square = open_page(), between(folder.latents(100)[[*CORNERS]], 8, 'normal')
    page.get_by_label('Map between four').check()
    pick(page, *CORNERS)
    cell = page.locator('#place').bounding_box()['width'] / 8
    page.locator('#place').click(position={'x': 5.3 * cell, 'y': 2.6 * cell})
    assert_alike(saved(page, tmp_path), image_of(folder, square[2, 5]))
    assert 'column 6, row 3' in page.locator('#drawn').inner_text()
    picture = pixels(drawn_by_command(page, tmp_path / 'corners.png'))
    assert_alike(picture[66 + 2 * 66:, 6 + 5 * 66:][:64, :64], saved(page, tmp_path))
    for label, key in ('Column', 'End'), ('Row', 'Home'):
        page.get_by_label(label).press(key)
    assert_alike(saved(page, tmp_path), image_of(folder, square[0, 7]))
    corner = saved(page, tmp_path)
    page.locator('#place').scroll_into_view_if_needed()
    box = page.locator('#place').bounding_box()
    page.mouse.move(box['x'] + 5.5 * cell, box['y'] + 4 * cell)
    page.mouse.down()
    page.mouse.move(box['x'] + 3.2 * cell, box['y'] + 4 * cell)
    page.mouse.up()
    assert 'column 3.7, row 4.5' in page.locator('#drawn').inner_text()
    assert (saved(page, tmp_path) != corner).any()


def test_walk_leads_from_one_sample_to_another(open_page, folder, tmp_path):
    page, path = open_page(), way(*folder.latents(100)[[3, 17]], 25, 'normal')
    page.get_by_label('Walk between two').check()
    pick(page, 3, 17)
    for frame in 0, 24, 6:
        page.get_by_label('Frame').fill(str(frame))
        assert_alike(saved(page, tmp_path), image_of(folder, path[frame]))
    animation = drawn_by_command(page, tmp_path / 'walk.png')
    assert_alike(pixels(animation, 6)[40:-28, 6:-6][::4, ::4], saved(page, tmp_path))


def test_arithmetic_adds_and_subtracts_groups(open_page, folder, tmp_path):
    page, z = open_page(), folder.latents(100)
    page.get_by_label('Arithmetic').check()
    groups = [3, 17, 8, 42], [25], [1, 52]
    for name, group, old in zip('ABC', groups, ((0, 1, 2), (3, 4, 5), (6, 7, 8))):
        page.get_by_role('button', name=f'{name}: ').click()
        pick(page, *group, *old)        # a click on a sample in the group takes it out
        assert page.get_by_role('button', name=f'{name}: {", ".join(map(str, group))}', exact=True).count() == 1
    assert page.locator('#command').inner_text().endswith(' --arithmetic 3,17,8,42 25 1,52')
    assert_alike(saved(page, tmp_path), image_of(folder, analogy(*(z[group] for group in groups), 'normal')))
    picture = pixels(drawn_by_command(page, tmp_path / 'arithmetic.png'))
    result = picture[66 + 2 * 90 + 2:, 8 + 3 * 240:][:3 * 64:3, :3 * 64:3]      # below two rows of samples
    assert_alike(result, saved(page, tmp_path))
    pick(page, 1, 52)
    assert page.get_by_role('button', name='C: 52', exact=True).count() == 1     # the last one stays


def test_everything_is_reached_by_keyboard(open_page, folder, tmp_path):
    page, z = open_page(), folder.latents(100)
    page.get_by_role('button', name='sample 0', exact=True).focus()
    for key in 'ArrowRight', 'ArrowDown', 'ArrowUp', 'ArrowUp', 'ArrowDown', 'ArrowRight', 'Enter':
        page.keyboard.press(key)
    assert_alike(saved(page, tmp_path), image_of(folder, z[12]))
    page.get_by_label('One sample').press('ArrowRight')
    assert page.get_by_label('Map between four').is_checked()
    page.keyboard.press('Tab')
    page.keyboard.press('ArrowRight')
    assert 'column 4.6, row 4.5' in page.locator('#drawn').inner_text()


@pytest.mark.parametrize('options', [PHONE, {**PHONE, 'color_scheme': 'dark'}, {}])
def test_nothing_is_wider_than_the_screen(open_page, options):
    page = open_page(**options)
    for form in FORMS:
        page.get_by_label(form).check()
        page.wait_for_function('() => [...document.images].every(x => !x.src || x.complete)')
        assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')
    assert page.evaluate('innerWidth') == options.get('viewport', {'width': 1280})['width']


def ask(address, path, method='GET', host=None):
    """Return the status of an answer, its type, and its content."""
    place = urllib.parse.urlsplit(address).netloc
    connection = http.client.HTTPConnection(place, timeout=60)
    connection.request(method, path, headers={'Host': host or place})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers['Content-Type'], content


@pytest.mark.parametrize('path, words', [
    ('image.png', ['sample', 'arithmetic']), ('image.png?sample=100', ['100', '0 to 99']), ('image.png?sample=-1', ['-1']),
    ('image.png?sample=x', ['sample=x']), ('image.png?sample=1+2', ['takes 1']), ('image.png?sample=1,2', ['arithmetic']),
    ('image.png?sample=1&sample=2', ['twice']), ('image.png?sample', ['NAME=VALUE']), ('image.png?sample=%FF', ['NAME=VALUE']),
    ('image.png?sample=1&at=.5', ['at', 'corners']), ('image.png?corners=1+2+3+4&at=.5', ['at=.5', '2 numbers']),
    ('image.png?corners=1+2+3+4&at=.5,2', ['at=.5,2', '0 to 1']), ('image.png?loop=1+2&at=nan', ['at=nan']),
    ('image.png?sample=1&move=1', ['move=1', '8 numbers']), ('image.png?sample=1&move=9,0,0,0,0,0,0,0', ['-4 to 4']),
    ('image.png?sample=1&%0Aodd=2', [' odd']), ('image.png?arithmetic=1+2', ['takes 3']), ('sheet.png?at=1', ['arithmetic']),
    ('sheet.png?corners=1+2+3+4&move=1,0,0,0,0,0,0,0', ['move']), ('image.png?sample=' + '9' * 5000, ['sample'])])
def test_malformed_requests_get_one_line(address, path, words):
    status, kind, content = ask(address, f'/{path}')
    assert (status, kind) == (400, 'text/plain; charset=utf-8')
    line, end = content.decode().split('\n')
    assert end == '' and all(word in line for word in words)


def test_other_requests_are_refused(address):
    port = urllib.parse.urlsplit(address).port
    for host, status in {'evil.example': 403, f'evil.example:{port}': 403, '127.0.0.1.evil.example': 403,
                         'localhost:1': 200, '127.0.0.1': 200}.items():
        assert ask(address, '/image.png?sample=1', host=host)[0] == status
    assert ask(address, '/page.html')[::2] == (404, b'/page.html: there is no such page\n')
    assert ask(address, '/', 'POST')[0] == 501
    with socket.create_connection(('127.0.0.1', port), 60) as connection:
        connection.sendall(b'nonsense\r\n\r\n')
        answer = b''.join(iter(lambda: connection.recv(4096), b''))
    assert answer == b"Bad request syntax ('nonsense')\n"      # without a header, because HTTP 0.9 has none
    assert ask(address, '/image.png?sample=1')[:2] == (200, 'image/png')


def test_taken_port_is_one_line(address):
    port = urllib.parse.urlsplit(address).port
    process = start('explore', RUN, '--port', port, script=ROOT / 'visualize.py')
    out, err = process.communicate(timeout=60)
    process.stdout, process.stderr = out, err
    assert_one_line(process, f'--port {port}', 'in use', 'another port')


def test_browser_opens_the_page(monkeypatch, capsys):
    opened, pages = [], []

    def serve(server, answer):
        pages.append(answer('/', '')[1].decode())
        raise KeyboardInterrupt

    monkeypatch.setattr('webbrowser.open', opened.append)
    monkeypatch.setattr('lsgan.training.server.Server.serve', serve)
    assert visualize.main(['explore', str(RUN), '--browser', '--seed', '5']) == 130
    assert len(opened) == 1 and opened[0] in capsys.readouterr().out and f'{RUN} --seed 5' in pages[0]


def test_directions_are_those_along_which_images_change_most():
    rng = numpy.random.default_rng(0)
    latents, basis = rng.standard_normal((500, 6)), numpy.linalg.qr(rng.standard_normal((6, 6)))[0]
    strength = numpy.array([1, 5, 3])
    images = (latents @ basis[:3].T * strength @ numpy.eye(3, 12) * [[-1] * 6 + [1] * 6]).reshape(500, 3, 2, 2)
    found = principal_directions(latents, images + 0.1 * rng.standard_normal(images.shape), 2)
    assert found.shape == (2, 6) and numpy.allclose(found @ found.T, numpy.eye(2), atol=1e-5)
    assert numpy.allclose(found, -basis[[1, 2]], atol=0.02)     # the images become brighter along the negative ones
