# make run, make test: all that is needed for either is set up on the way, in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A stamp per set of packages: the second run has nothing to do until what is installed changes.
DESCRIPTION := setup.cfg pyproject.toml

.PHONY: run test long longest lint pages firefox faults soak screenshots bench bench-claims bench-growth bench-store bench-search bench-closed bench-inbox bench-kinds bench-message bench-pages bench-frames fuzz-api bench-postgres cluster bench-streams bench-subscribers bench-move fuzz fuzz-search inboxes matrix existence uploads conformance min-versions floors clean

run: $(VENV)/.installed
	$(BIN)/quotechat serve

# Five files at once, the longest first: tests wait for half of their time, and no long file runs alone at the end.
LANE := $(BIN)/python -m pytest -n 5 --dist loadfile --no-loadscope-reorder -m 'not alone and not long'
# Reading the files without such tests would take longer than most of the tests do.
ALONE := $(shell grep -rl --include='test_*.py' pytest.mark.alone tests)
COLLECT := $(BIN)/python -m pytest -qq --collect-only
# Each worker of pytest reads all tests, which takes three times as long where nobody has compiled them before.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.installed-test node_modules/.installed
	$(BIN)/python -m compileall -q src tests tools bench
	$(COLLECT) tests/web >/dev/null & $(COLLECT) --ignore=tests/web >/dev/null; wait
	$(LANE)
	$(BIN)/python -m pytest -m 'alone and not long' $(ALONE)

# Write tests/longest.txt, the order in which `make test` takes the files.
longest: $(VENV)/.installed-test node_modules/.installed
	$(LANE) --durations=0 -vv | tee /dev/stderr | $(BIN)/python tools/longest.py

# What `make test` leaves out, since shorter tests hold most of it, and EXAMPLES for each property.
long: export EXAMPLES ?= 500
long: $(VENV)/.installed-test
	$(BIN)/python -m pytest --ignore=tests/browser -m 'long or hypothesis'

lint: $(VENV)/.installed-test node_modules/.installed
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src
	if [ -d node_modules/eslint ]; then npm run --silent lint; fi

# The tests of the pages over every transport, width, theme and page, of which `make test` takes a sample.
pages: $(VENV)/.installed-test node_modules/.installed
	$(BIN)/python -m pytest tests/browser -m long

# All that is tried in Firefox; `make test` has the half of it that costs least.
firefox: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/browser/test_firefox.py -m 'long or not long'

# As in the test suite, but for some minutes.
fuzz-api: $(VENV)/.installed-test
	SCHEMATHESIS_EXAMPLES=1000 $(BIN)/python -m pytest -q tests/web/test_schemathesis.py

# All that strangers' bytes meet first, guided by coverage, for MINUTES in all; ONLY chooses.
fuzz: $(VENV)/.installed-fuzz
	PYTHONPATH=src $(BIN)/python tests/fuzz

$(VENV)/.installed-fuzz: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	touch $@

# Random use of rooms by several people at two workers, STEPS of it: each inbox is the counted truth.
inboxes: $(VENV)/.installed-test
	PYTHONPATH=src:tests:tests/web $(BIN)/python tests/web/test_inbox_model.py $(STEPS)

# Every described call, command and stream by every kind of caller, on both stores.
matrix: $(VENV)/.installed-test
	PYTHONPATH=src:tests:tests/web:tools $(BIN)/python tests/web/rights_matrix.py

# Every request about 200 names that nobody uses and 20 closed rooms: the answers, the statements and the times.
existence: $(VENV)/.installed-test
	PYTHONPATH=src:tests:tests/web $(BIN)/python tests/web/test_existence.py

# Workers killed at random bytes of so many uploads; each goes on where it was.
uploads: $(VENV)/.installed-test
	PYTHONPATH=src:tests:tests/web $(BIN)/python tests/web/test_uploads.py $(ROUNDS)

# Two workers that send to webhooks, of which the one that sends is killed ROUNDS times; DATABASE=postgresql://… for one.
webhook-kills: $(VENV)/.installed-test
	ROUNDS="$(or $(ROUNDS),200)" DATABASE="$(DATABASE)" PYTHONPATH=src:tests $(BIN)/python tests/faults/test_webhook_kills.py

# RFC 6455, case by case; writes docs/reference/rfc6455.md.
conformance: $(VENV)/.installed-test
	PYTHONPATH=src:tests $(BIN)/python tests/conformance

# The oldest versions that setup.cfg allows, on the oldest Python of them that is found.
min-versions: $(VENV)/.installed-test
	$(BIN)/python tools/floors.py

# Its name until 0.1.
floors: min-versions

# The promises under faults, at length: SEEDS, SECONDS, ROUNDS and KILLS set it, PARTS and ONLY choose.
faults: $(VENV)/.installed-test
	PYTHONPATH=src:tests:tools $(BIN)/python tests/faults $(PARTS)

# A steady load for so many MINUTES; draws docs/images/soak.svg.
soak: $(VENV)/.installed-test
	PYTHONPATH=src:tests:tools $(BIN)/python tests/faults/soak.py

# The pictures of the documentation, into docs/images.
screenshots: $(VENV)/.installed-test
	PYTHONPATH=src:tests $(BIN)/python tests/browser/screenshots.py

bench-store: $(VENV)/.installed-test
	$(BIN)/python -m bench.store

# TREES names checkouts to compare, each as NAME=PATH; the first is what the others are held against.
bench-message: $(VENV)/.installed-test
	$(BIN)/python -m bench.message $(TREES)

# The same for one request of each kind: on kept and new connections, messages, WebSockets, polls.
bench-kinds: $(VENV)/.installed-test
	$(BIN)/python -m bench.kinds $(TREES)

# How soon the chat page is live over a line with so much DELAY; WATERFALL=1 shows what it waits for.
bench-pages: $(VENV)/.installed-test
	DELAY="$(or $(DELAY),150)" WATERFALL="$(WATERFALL)" $(BIN)/python -m bench.pages

# Frames a second while one types and scrolls with so many MESSAGES on the page.
bench-frames: $(VENV)/.installed-test
	MESSAGES="$(or $(MESSAGES),5000)" $(BIN)/python -m bench.frames

# SQLite to PostgreSQL and back, so many EVENTS, killed once on the way.
bench-move: $(VENV)/.installed-test
	$(BIN)/python -m bench.move

# The search of so many MESSAGES, beside LIKE and FTS5 alone. DATABASE=private for a PostgreSQL; DATA keeps the messages.
bench-search: $(VENV)/.installed-test
	MESSAGES="$(MESSAGES)" DATABASE="$(DATABASE)" DATA="$(DATA)" $(BIN)/python -m bench.search

# So many hostile QUESTIONS of so many MESSAGES over HTTP: none fails, none takes 200 ms. DATABASE and DATA as above.
fuzz-search: $(VENV)/.installed-test
	QUESTIONS="$(QUESTIONS)" MESSAGES="$(MESSAGES)" DATABASE="$(DATABASE)" DATA="$(DATA)" $(BIN)/python -m bench.hostile

# Named cursors at rest, and webhooks: READERS, WEBHOOKS and MESSAGES set the numbers.
bench-subscribers: $(VENV)/.installed-test
	READERS="$(READERS)" WEBHOOKS="$(WEBHOOKS)" MESSAGES="$(MESSAGES)" $(BIN)/python -m bench.subscribers

# Inboxes of so many ACCOUNTS in so many ROOMS.
bench-inbox: $(VENV)/.installed-bench
	ROOMS="$(ROOMS)" ACCOUNTS="$(ACCOUNTS)" $(BIN)/python -m bench.inbox

# A closed room beside an open one, and accounts beside visitors; READERS and TURNS set the numbers.
bench-closed: $(VENV)/.installed-test
	READERS="$(READERS)" TURNS="$(TURNS)" $(BIN)/python -m bench.closed

# Files in a bucket of a real storage: OpenStack Swift, of Debian's package python3-swift.
.PHONY: s3
s3: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[s3]'
	$(BIN)/python tools/s3.py

.PHONY: bench-uploads
bench-uploads: $(VENV)/.installed-bench
	READERS="$(READERS)" UPLOADS="$(UPLOADS)" $(BIN)/python -m bench.uploads

bench-streams: $(VENV)/.installed-test
	$(BIN)/python -m bench.streams

bench-postgres: $(VENV)/.installed-test
	$(BIN)/python -m bench.postgres

# A PostgreSQL, two servers and an nginx in front of them, all on this machine, until Ctrl-C.
cluster: $(VENV)/.installed-test
	$(BIN)/python tools/cluster.py

# What it is measured against comes by npm and pip, and only for this.
bench: $(VENV)/.installed-bench bench/peers/node_modules/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m bench

$(VENV)/.installed-bench: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

# What quotechat holds, claim by claim.
bench-claims: $(VENV)/.installed-bench
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m bench.claims

# How its cost grows, as a picture.
bench-growth: $(VENV)/.installed-bench
	$(BIN)/python -m bench.growth

bench/peers/node_modules/.installed: bench/peers/package.json bench/peers/package-lock.json
	cd bench/peers && npm ci --silent
	touch $@

clean:
	rm -rf $(VENV) node_modules bench/peers/node_modules build dist src/*.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "quotechat needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

# Only what checks the pages; without npm they are not checked, and .ci/run sees to it that there is one.
node_modules/.installed: package.json package-lock.json
	mkdir -p node_modules
	if command -v npm >/dev/null; then npm ci --silent; else echo "npm is missing: the pages are not checked"; fi
	touch $@

$(VENV)/.installed: $(BIN)/python $(DESCRIPTION)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-test: $(BIN)/python $(DESCRIPTION)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@ $(VENV)/.installed
