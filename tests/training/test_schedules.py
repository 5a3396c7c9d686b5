import pytest

from lsgan.training import schedules


@pytest.mark.parametrize('schedule, values', [
    (schedules.linear(2.0, 10, 30), {0: 2, 10: 2, 15: 1.5, 20: 1, 29: 0.1, 30: 0, 31: 0}),
    (schedules.linear(2.0, 0, 4), {0: 2, 1: 1.5, 4: 0}),
    (schedules.geometric(8.0, 0.5, 4), {0: 8, 1: 4, 2: 2, 3: 1, 4: 0.5, 5: 0.5, 100: 0.5}),
    (schedules.steps(3.0, [(5, 0.5), (9, 0.1)]), {0: 3, 4: 3, 5: 1.5, 8: 1.5, 9: 0.3, 50: 0.3}),
])
def test_values_of_schedules(schedule, values):
    assert [schedule(t) for t in values] == pytest.approx([*values.values()])
