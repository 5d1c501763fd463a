# make caption, make test and make lint set up all they need in .venv, from Python >= 3.11 alone.
# Two test processes, each of whole files, as fixtures of a file are trained once.
PYTHON ?= python3
PYTEST = .venv/bin/python -m pytest --numprocesses 2 --dist loadfile
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: caption test test-all lint bench serve docs dist clean

caption: .venv/base          ## caption the sample photos with the base install (no torch)
	.venv/bin/looksay examples

test: .venv/dev              ## the tests that take minutes in all
	$(PYTEST) -m "not slow"

test-all: .venv/dev          ## every test: also wheel, browser, Ray, notebooks, kill series, DDP
	$(PYTEST)

lint: .venv/dev              ## format, rules, types, layers
	.venv/bin/ruff format --check src tests benchmarks notebooks
	.venv/bin/ruff check src tests benchmarks notebooks
	.venv/bin/mypy
	.venv/bin/lint-imports

docs: .venv/dev              ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

dist: .venv/dev              ## the wheel and the source distribution in dist/, ready for upload
	rm -rf dist
	.venv/bin/python -m build --no-isolation
	.venv/bin/python -m twine check --strict dist/*

serve: .venv/dev             ## caption in the browser: http://127.0.0.1:8000
	.venv/bin/looksay serve

bench: .venv/dev             ## measure speed, side by side
	.venv/bin/python benchmarks/caption_speed.py
	.venv/bin/python benchmarks/server_load.py --seconds 30

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "looksay needs Python 3.11 or later")'
	$(PYTHON) -m venv .venv

.venv/base: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	touch $@ .venv/base

clean:
	rm -rf .venv dist site
