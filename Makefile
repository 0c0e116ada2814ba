# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:

PYTHON ?= /usr/bin/python3
SCENARIO ?= $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml))
ONLY ?=
SEED ?= 1
# Of ansible-playbook, for `make demo`: "-e mini_cloud_neutron=true", "--check", …
DEMO_ARGS ?=
PYTEST_ARGS ?=

BUILD := $(CURDIR)/build
VENV := $(BUILD)/venv
UV := $(VENV)/uv/bin/uv
REPORTS := $(BUILD)/reports
VERSION := $(shell sed -n 's/^version: //p' galaxy.yml)
TARBALL := $(BUILD)/polyvisor-compute-$(VERSION).tar.gz
SOURCES := $(wildcard $(shell git ls-files --cached --others --exclude-standard))
COLLECTIONS := $(BUILD)/collections
TREE := $(BUILD)/tree/ansible_collections/polyvisor/compute
CORES := 2.17 2.18 2.19
PYTHON_VERSION = $(shell $(PYTHON) -c "import sys; print(\"%d.%d\" % sys.version_info[:2])")
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# Where Debian has no directory of system programs in a user's path, what runs as root needs them.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
# uv reads no trust store but its own unless told; pip does.
export UV_SYSTEM_CERTS := 1
export SSL_CERT_FILE ?= /etc/ssl/certs/ca-certificates.crt
# What runs here sees this tree's collection, never one that stands elsewhere on the machine.
export ANSIBLE_COLLECTIONS_PATH := $(COLLECTIONS)
export ANSIBLE_NOCOLOR := $(if $(NO_COLOR),1,0)
ANSIBLE_STDOUT_CALLBACK ?= polyvisor.compute.progress

venv = $(VENV)/$(1)/.made
pytest = $(VENV)/functional/bin/python -m pytest -p no:cacheprovider --junit-xml=$(REPORTS)/$(1).xml $(PYTEST_ARGS)
each = status=0; for target in $(1); do $(MAKE) --no-print-directory $$target || status=$$?; done; exit $$status
# Targets side by side, each line of what they print behind the target's name.
beside = (lanes=; for target in $(1); do \
  ($(MAKE) --no-print-directory $$target 2>&1 | sed --unbuffered "s/^/$$target | /") & lanes+=" $$!"; done; \
  status=0; for lane in $$lanes; do wait $$lane || status=$$?; done; exit $$status)
# Debian packages of a list that are missing: asked of dpkg, which answers at once.
install = $(SUDO) tests/tools/install-packages requirements/debian-$(1).txt
# sudo takes the environment away, so that all that counts is named; root compiles nothing in a user's build/.
playbook = $(SUDO) env PYTHONDONTWRITEBYTECODE=1 PATH=$(VENV)/demo/bin:$$PATH ANSIBLE_COLLECTIONS_PATH=$(COLLECTIONS) \
  ANSIBLE_NOCOLOR=$(ANSIBLE_NOCOLOR) ANSIBLE_STDOUT_CALLBACK=$(ANSIBLE_STDOUT_CALLBACK) \
  ANSIBLE_CALLBACK_RESULT_FORMAT=yaml ansible-playbook --inventory localhost,

##@ Use
.PHONY: help demo demo-clean build
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(COLLECTIONS)/.installed ## a control plane, a compute with our driver and a server, on this machine
	@$(playbook) polyvisor.compute.demo $(DEMO_ARGS)

demo-clean: $(COLLECTIONS)/.installed ## undo the demo: no process, mount, domain, pool or file stays
	@$(playbook) polyvisor.compute.demo_clean

build: $(TARBALL) ## the collection as a tarball in build/

##@ Test
.PHONY: test test-full gates system lint sanity unit driver driver-score functional guest guest-image e2e molecule matrix bench docs
# What both lanes need is made before they start.
test: $(call venv,functional) $(call venv,molecule) $(COLLECTIONS)/.installed ## every gate and test but the slow tier
	@status=0; $(call beside,gates system) || status=$$?; \
	  ($(call each,cleanup-tests $(if $(POLYVISOR_TEST_FULL),guest) matrix)) || status=$$?; exit $$status

test-full: export POLYVISOR_TEST_FULL := 1
test-full: test ## the slow tier, too: faults at many points, and a guest with a kernel of its own

lint: export PATH := $(VENV)/lint/bin:$(PATH)
lint: export ANSIBLE_COLLECTIONS_PATH := $(BUILD)/tree
lint: $(call venv,lint) $(TREE)/.git ## ansible-lint, ruff, mypy, yamllint, documentation, changelog, licences
	ruff check .
	ruff format --check .
	cd roles/nova_driver/files/nova-polyvisor && mypy
	yamllint --strict .
	cd $(TREE) && ansible-lint --offline --strict
	cd $(TREE) && antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all .
	cd $(TREE) && antsibull-changelog lint
	python tests/matrix/matrix.py rendered
	reuse --root $(TREE) lint --quiet || { reuse --root $(TREE) lint --lines; exit 1; }

sanity: $(CORES:%=sanity-%) ## ansible-test sanity under each supported ansible-core
sanity-%: $(VENV)/core-%/.made $(TREE)/.git
	$(VENV)/core-$*/bin/python tests/tools/seed_get_pip.py
	cd $(TREE) && PATH=$(VENV)/core-$*/bin:$$PATH ansible-test sanity --local --python $(PYTHON_VERSION) --color no

unit: $(CORES:%=unit-%) ## unit tests of the plugins, under each supported ansible-core
unit-%: $(VENV)/core-%/.made $(TREE)/.git
	cd $(TREE) && PATH=$(VENV)/core-$*/bin:$$PATH ansible-test units --local --python $(PYTHON_VERSION) --color no
	@mkdir -p $(REPORTS) && for report in $(TREE)/tests/output/junit/*.xml; do \
	  cp "$$report" "$(REPORTS)/unit-$*-$${report##*/}"; done

driver: $(VENV)/nova-34/.plugin $(VENV)/nova-33/.plugin ## the driver plugin, with nova's own fixtures and a libvirtd of its own
	mkdir -p $(REPORTS)
	$(VENV)/nova-33/bin/python -W ignore -m nova_polyvisor.check polyvisor.libvirt.StoragePoolDriver
	$(VENV)/nova-34/bin/python -W ignore -m xmlrunner discover --start-directory tests/driver --output-file $(REPORTS)/driver.xml

driver-score: $(VENV)/nova-34/.plugin $(VENV)/nova-33/.plugin ## nova's generic driver tests: <compute_driver> <passed>/<total>
	@$(VENV)/nova-34/bin/python -W ignore tests/driver/score.py
	$(if $(POLYVISOR_TEST_FULL),@$(VENV)/nova-33/bin/python -W ignore tests/driver/score.py)

functional: $(call venv,functional) $(VENV)/nova-33/.plugin $(VENV)/nova-34/.plugin ## modules against a libvirtd of their own, nova_driver beside real novas
	$(call pytest,functional) tests/functional

guest: ## what needs LVM, NFS and iSCSI in the kernel: modules and driver in an emulated guest
	@$(call each,guest-modules guest-driver)

# The image is made anew only when its recipe has changed.
guest-image:
	@$(call install,guest)
	@$(SUDO) tests/guest/build-image $(BUILD)/guest/image

guest-%: guest-image $(BUILD)/guest/site-% $(TREE)/.git
	tests/guest/run $(BUILD)/guest/image $(BUILD)/guest/site-$* $(TREE) $(REPORTS)/guest-$*.xml $(guest_$*)

guest_modules = -m pytest -p no:cacheprovider --color=no --basetemp=/var/tmp/pytest \
  --junit-xml=/run/results/report.xml $(PYTEST_ARGS) tests/functional/guest
guest_driver = -W ignore -m xmlrunner discover --start-directory tests/driver --pattern 'test_logical*.py' \
  --output-file /run/results/report.xml

gates: ## what deploys nothing on this machine, from lint to functional
	@$(call each,lint sanity unit driver driver-score functional)

# One after the other, as the faults kill by name; molecule also if e2e failed.
system: ## what is deployed: e2e and molecule on one control plane, which stays until cleanup-tests
	@$(call each,e2e-tests molecule)

e2e: ## the demo, asserted on the API, libvirt and the console; faults; cleaned up afterwards
	@$(call each,e2e-tests cleanup-tests)

e2e-tests cleanup-tests: $(call venv,functional) $(COLLECTIONS)/.installed
	$(call pytest,$@) tests/$(@:-tests=)

molecule: $(call venv,molecule) $(TREE)/.git ## roles on hosts that are systemd containers; SCENARIO=name for one
	@$(call install,molecule)
	@mkdir -p $(REPORTS)
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 PATH=$(VENV)/molecule/bin:$$PATH REPORTS=$(REPORTS) $(TREE)/tests/containers/run-molecule $(SCENARIO)

matrix: $(call venv,functional) ## does the support matrix claim more than the tests showed?
	@$(VENV)/functional/bin/python tests/matrix/matrix.py check $(REPORTS)

bench: $(call venv,functional) $(call venv,peers) $(VENV)/nova-34/.plugin $(COLLECTIONS)/.installed ## benchmarks, as a table and as build/bench.json; ONLY=name for one
	@$(SUDO) $(VENV)/functional/bin/python -B -m tests.benchmarks $(ONLY)

docs: $(call venv,docs) $(TREE)/.git ## the documentation as a site, in build/docs
	$(VENV)/docs/bin/python tests/matrix/matrix.py render
	rm -rf $(BUILD)/docs && mkdir -p $(BUILD)/docs
	cd $(BUILD)/docs && PATH=$(VENV)/docs/bin:$$PATH ANSIBLE_COLLECTIONS_PATH=$(BUILD)/tree sh -c ' \
	  antsibull-docs sphinx-init --use-current --dest-dir . --lenient polyvisor.compute && ./build.sh'

##@ Make
$(BUILD)/.packages: requirements/debian-test.txt
	@$(call install,test)
	@mkdir -p $(@D) && touch $@

$(UV):
	@$(call install,demo)
	$(PYTHON) -m venv $(VENV)/uv
	$(VENV)/uv/bin/pip install --quiet uv

# With pip, which follows the user's own pip.conf, so that the demo needs no more than pip does.
$(VENV)/demo/.made: requirements/demo.txt
	@$(call install,demo)
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --requirement $<
	@touch $@

# With uv, which makes an environment in seconds: there are many.
$(VENV)/%/.made: requirements/%.txt | $(UV) $(BUILD)/.packages
	$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python --requirement $<
	@touch $@

$(VENV)/molecule/.made: export UV_COMPILE_BYTECODE := 1

# For the guest's Python, whatever this machine's is. libvirt-python is the guest's own: it has to fit libvirt.
site = rm -rf $@ && $(UV) pip install --quiet --target $@ --python-version 3.11
$(BUILD)/guest/site-modules: requirements/guest.txt | $(UV)
	$(site) --requirement $<
	@touch $@

$(BUILD)/guest/site-driver: tests/driver/requirements.txt tests/driver/constraints-34.txt $(TREE)/.git | $(UV)
	$(site) --constraint tests/driver/constraints-34.txt --requirement <(grep -v libvirt-python $<) 'nova==34.*' \
	  unittest-xml-reporting $(TREE)/roles/nova_driver/files/nova-polyvisor
	@touch $@

# Installed from the copy: building a wheel leaves files in its source.
$(VENV)/nova-%/.plugin: $(VENV)/nova-%/.made $(TREE)/.git
	$(UV) pip install --quiet --python $(@D)/bin/python --reinstall --no-deps $(TREE)/roles/nova_driver/files/nova-polyvisor
	@touch $@

$(TARBALL): $(TREE)/.git $(call venv,demo)
	@$(VENV)/demo/bin/ansible-galaxy collection build --force --output-path $(BUILD) $(TREE)

$(COLLECTIONS)/.installed: $(TARBALL)
	@$(VENV)/demo/bin/ansible-galaxy collection install --force --no-deps --offline --collections-path $(COLLECTIONS) $(TARBALL)
	@touch $@

# ansible-test, ansible-lint and molecule want the tree at this path with nothing else in it, and
# ask git what is in it: a repository of its own, or they would see an ignored directory of ours.
$(TREE)/.git: $(SOURCES)
	@rm -rf $(TREE) && mkdir -p $(TREE)
	@cp --archive --parents $(SOURCES) $(TREE)/
	@git -C $(TREE) init --quiet && git -C $(TREE) add --all
