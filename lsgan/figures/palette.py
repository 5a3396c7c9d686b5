"""The colour-blind-safe palette of Okabe and Ito (2008), and font sizes that are legible in thumbnails."""

BLACK = '#000000'
BLUE = '#0072B2'
GREEN = '#009E73'
ORANGE = '#E69F00'
PURPLE = '#CC79A7'
SKY = '#56B4E9'
VERMILLION = '#D55E00'

CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)   # adjacent colours differ in hue and in lightness
GRID = '#DDDDDD'

TITLE, LABEL, TICK = 17, 14, 12     # points, at 100 dots per inch
