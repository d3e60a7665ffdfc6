# Only a front: the work is done by the scripts in ops/dev.

ARGS =
SEEDS = 1..10000
CYCLES = 200
SECONDS = 60
SEED = $(shell date +%s)000000
PARTS =

export SHELLY_COMMIT ?= $(shell ops/dev/commit.sh)

.DEFAULT_GOAL := help
.PHONY: help run demo test test-long test-worker check-prometheus check-proxies check-mqtt simulate powercut fuzz schemathesis tsan bench bench-smoke compile-times build deb deb-test image image-test release check-manifests check-arm64 format clean-local

help: ## list these targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: ## build and start receiver, loader and a private PostgreSQL, until Ctrl-C
	@ops/dev/run.sh

demo: ## the same on a fresh spool and database, checked and removed at the end
	@ops/dev/run.sh --demo

test: ## lint, build and test; make test ARGS='--filter SpoolTests' runs some tests
	@ops/dev/test.sh $(ARGS)

test-long: ## run the proofs by repetition at length: simulation, fuzzing, kill points, power cuts, browser tours, failovers
	@SHELLY_TEST_LONG=1 ops/dev/test.sh --filter 'SimulationTests|FuzzTests|KillPointTests|PowerCutTests|BrowserTests|FailoverTests'

check-prometheus: ## check /metrics, alerts and dashboard with promtool
	@ops/dev/packages.sh build run
	@ops/prometheus/test.sh

test-worker: ## test the Cloudflare Worker with the real receiver and a private PostgreSQL
	@ops/dev/test-worker.sh $(ARGS)

simulate: ## simulate a spool on a failing disk: make simulate SEEDS=1..100000, or one seed that failed
	@ops/dev/packages.sh build
	SHELLY_SEEDS=$(SEEDS) swift test --filter SimulationTests.SimulationTests/everySeedKeepsTheInvariants

powercut: ## cut the power under load, as root: make powercut CYCLES=1000
	@SHELLY_POWER_CUTS=$(CYCLES) ops/dev/test.sh --filter PowerCutTests

bench: ## measure the product, its limits and its comparators, and rewrite the tables of docs/BENCHMARKS.md: make bench PARTS='ingest hot'
	@ops/bench/bench.py $(PARTS)

bench-smoke: ## run each measurement once for a short time, to check the bench
	@ops/bench/bench.py --quick --output .local/bench/smoke $(PARTS)

fuzz: ## run each fuzzer for SECONDS, starting with SEED: make fuzz SECONDS=600 SEED=100000; SECONDS=0 SEED=… repeats one case
	@ops/dev/packages.sh build
	SHELLY_FUZZ_SECONDS=$(SECONDS) SHELLY_FUZZ_SEED=$(SEED) swift test --filter 'FuzzTests.*FuzzTests'

schemathesis: ## run a property-based client against the real programs: make schemathesis SEED=7; the default seed is 1
	@ops/dev/schemathesis.sh $(if $(filter command line,$(origin SEED)),$(SEED),1)

tsan: ## run the tests of concurrency under the thread sanitizer, in a build of its own
	@ops/dev/packages.sh build
	TSAN_OPTIONS=halt_on_error=1:suppressions=$(CURDIR)/ops/dev/tsan.supp \
		swift test --sanitize thread --scratch-path .build-tsan --filter ReceiverTests

check-proxies: ## test a receiver behind nginx and Caddy, with the examples in ops/proxy
	@ops/dev/packages.sh build run proxy
	@ops/proxy/test.sh

check-mqtt: ## test the bridge from an MQTT broker to a receiver, with mosquitto and the example in ops/mqtt
	@ops/dev/packages.sh build run mqtt
	@ops/mqtt/test.sh

compile-times: ## build everything from scratch and print the time of each module: make compile-times ARGS=--build-tests
	@ops/dev/packages.sh build times
	@ops/dev/compile-times.py $(ARGS)

build: ## build the release programs
	@ops/dev/packages.sh build
	@ops/dev/build.sh release

deb: ## build the Debian package in .local/deb, and check it
	@ops/deb/build.sh

deb-test: ## install and test that package in a clean Debian root, booted with a real systemd, as root
	@ops/deb/test.sh

release: ## packages, image, bills of materials and checksums of the commit in .local/release, as root
	@ops/release/build.sh

check-manifests: ## lint the workflow, compose.yaml, the Kubernetes example and a bill of materials, with tools from PyPI
	@ops/dev/check-manifests.sh

check-arm64: ## compile the C and C++ parts for arm64 and compare their results under QEMU with those of this machine
	@ops/dev/arm64.sh

image: ## build the container image in .local/image without a registry, as root
	@ops/container/build.sh

image-test: ## run that image: the demo, kill -9, stop, restart with the same volume, compose.yaml, as root
	@ops/container/test.sh
	@ops/container/compose-test.sh

format: ## format the Swift sources in place
	swift format --in-place --recursive --parallel Package.swift Sources Tests ops/bench/Sources

clean-local: ## stop the private clusters and delete .local with their data and spools
	@ops/dev/clean.sh
