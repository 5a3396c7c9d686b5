"""The web page of visualize.py report, in a browser."""
import json
import shutil

import pytest
from running import PHONE, ROOT

import visualize

LABELS = 'first', '</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope='module')
def report(whole, tmp_path_factory):
    """The path of a report about two runs, of which the second has fewer pictures, and the data in it."""
    folder = tmp_path_factory.mktemp('report')
    other = folder / 'other'
    shutil.copytree(whole[0], other)
    (other / 'samples' / 'iter_00000120.png').unlink()
    config = json.loads((other / 'config.json').read_text())
    config['settings']['lr_g'] = 0.125
    (other / 'config.json').write_text(json.dumps(config))
    path = folder / 'report.html'
    assert visualize.main(['report', str(whole[0]), str(other), '--labels', *LABELS, '-o', str(path)]) == 0
    return path, data_of(path)


@pytest.fixture
def open_page(browser, report):
    """Open the report without a network. At the end, it must have written nothing to the console nor loaded anything."""
    contexts, messages, loaded = [], [], []

    def open_page(**options):
        contexts.append(browser.new_context(offline=True, **options))
        page = contexts[-1].new_page()
        page.on('console', lambda message: messages.append(message.text))
        page.on('pageerror', lambda error: messages.append(str(error)))
        page.on('request', lambda request: None if request.url.startswith('data:') else loaded.append(request.url))
        page.goto(report[0].as_uri())
        return page
    yield open_page
    for context in contexts:
        context.close()
    assert messages == [] and loaded == [report[0].as_uri()] * len(contexts)


def data_of(path):
    """Return what a page shows."""
    return json.loads(path.read_text().split('type="application/json">')[1].split('</script>')[0])


def shown(page):
    """Return the sources of the sample pictures, which must have been decoded."""
    pictures = page.locator('#samples img')
    page.wait_for_function('[...document.querySelectorAll("#samples img")].every(x => x.complete && x.naturalWidth > 100)')
    return [pictures.nth(i).get_attribute('src') for i in range(pictures.count())]


def test_the_slider_moves_the_pictures_of_all_runs(open_page, report):
    page = open_page()
    frames = [dict(run['frames']) for run in report[1]['runs']]
    assert [*frames[0]] == [0, 60, 120, 180] and [*frames[1]] == [0, 60, 180]
    assert len({*frames[0].values()}) == 4
    slider, output = page.get_by_role('slider'), page.locator('.slider output')
    for key, update, updates in (None, 180, (180, 180)), ('Home', 0, (0, 0)), ('ArrowRight', 60, (60, 60)), \
            ('ArrowRight', 120, (120, 60)), ('End', 180, (180, 180)):
        if key:
            slider.press(key)
        assert shown(page) == [of[at] for of, at in zip(frames, updates)]
        assert output.inner_text() == f'update {update}, epoch {update // 60}'
    page.clock.install(time=0)
    page.clock.pause_at(1)      # otherwise it goes on, and a slow machine sees a later picture
    page.get_by_role('button', name='Play').click()
    assert shown(page) == [of[0] for of in frames]
    page.clock.run_for(5000)
    assert shown(page) == [of[180] for of in frames]
    assert page.get_by_role('button').inner_text() == 'Play'


def test_curves_show_the_values_under_the_pointer_and_at_the_slider(open_page, report):
    page = open_page()
    losses = dict(report[1]['runs'][0]['log']['gen/loss'])
    plot = page.locator('#curves .card').first
    value = plot.locator('.legend b').first
    assert plot.locator('h3').inner_text() == 'loss'
    assert float(value.inner_text()) == pytest.approx(losses[180], rel=0.01)
    box = plot.locator('svg').bounding_box()
    left, right = 44, box['width'] - 8
    plot.locator('svg').hover(position={'x': left + (right - left) * 62 / 180, 'y': 50})
    assert float(value.inner_text()) == pytest.approx(losses[60], rel=0.01)
    page.locator('h1').hover()
    assert float(value.inner_text()) == pytest.approx(losses[180], rel=0.01)
    plot.locator('svg').click(position={'x': left + (right - left) * 62 / 180, 'y': 50})
    assert page.locator('.slider output').inner_text() == 'update 60, epoch 1'
    assert len({losses[60], losses[180]}) == 2


@pytest.mark.parametrize('options', [PHONE, {**PHONE, 'color_scheme': 'dark'}, {}])
def test_nothing_is_wider_than_the_screen(open_page, options):
    page = open_page(**options)
    for summary in page.locator('summary').all():
        summary.click()
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')
    assert page.evaluate('innerWidth') == options.get('viewport', {'width': 1280})['width']
    text, back = page.evaluate('[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]')
    brightness = [int(colour.strip('rgb()').split(',')[0]) for colour in (text, back)]
    assert (brightness[0] > brightness[1] + 150) if 'color_scheme' in options else (brightness[1] > brightness[0] + 150)


def test_the_page_says_what_was_run_and_how_good_it_is(open_page, report, whole):
    page = open_page()
    text = page.locator('body').inner_text()
    assert all(label in text for label in LABELS)
    assert page.locator('#settings > .scroll tr').all_inner_texts()[1:] == ['lr_g\t0.001\t0.125']
    metrics = json.loads((whole[0] / 'metrics.json').read_text())
    rows = '\n'.join(page.locator('#metrics tr').all_inner_texts())
    assert f'{metrics["sliced_wasserstein"]:.4f}' in rows and f'floor {metrics["sliced_wasserstein_floor"]:.4f}' in rows
    assert f'{metrics["modes_captured"]}\nof 8' in rows
    command = json.loads((whole[0] / 'config.json').read_text())['command']
    assert command[0] in text and str(ROOT) not in text
    page.wait_for_function('[...document.images].every(x => x.complete && x.naturalWidth > 100)')
    assert page.locator('#pictures h3').all_inner_texts() == ['Real and generated points',
                                                              'Density of real and generated points']
