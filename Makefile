# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_OUT ?= out/demo
# torch goes first: a bare `torch` in a requirement list may pull gigabytes of CUDA packages
TORCH := torch==2.13.0

.PHONY: demo test lint types bench pictures clean

demo: $(VENV)/.run
	$(BIN)/unseen avatar examples/sample/video.mp4 -o $(DEMO_OUT) --quality preview --holdout every:8 --resume
	$(BIN)/unseen avatar examples/sample/video.mp4 -o $(DEMO_OUT)/without-prior --quality preview --holdout every:8 --resume \
		--prior none --track-from $(DEMO_OUT)
	$(BIN)/unseen compare $(DEMO_OUT)/without-prior $(DEMO_OUT) --name "no prior" --name "with the prior" -o $(DEMO_OUT)/prior.jpg
	@echo
	@echo "Open $(DEMO_OUT)/viewer.html in a browser (works offline), or: $(BIN)/unseen view $(DEMO_OUT)"
	@echo "Videos: $(DEMO_OUT)/comparison.mp4 (input | render | error), $(DEMO_OUT)/turntable.mp4, $(DEMO_OUT)/overlay.mp4"
	@echo "Picture: $(DEMO_OUT)/prior.jpg: what the prior adds where no camera looked"

test: $(VENV)/.dev
	$(BIN)/unseen doctor --warm
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/rasterization.py

pictures: $(VENV)/.dev
	$(BIN)/python docs/make_pictures.py

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	@touch $@

$(VENV)/.run: $(VENV)/.torch pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,sfm,tensorboard,serve,client]'
	@touch $@

clean:
	rm -rf $(VENV) out
