"""For tools that start setup.py. All metadata stands in pyproject.toml."""
from setuptools import setup

setup()
