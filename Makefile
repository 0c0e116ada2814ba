# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= /usr/bin/python3
SCENARIO ?= libvirt
ONLY ?=
SEED ?= 1
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
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# uv reads no trust store but its own unless told; pip does.
export UV_SYSTEM_CERTS := 1
export SSL_CERT_FILE ?= /etc/ssl/certs/ca-certificates.crt
# What runs here sees this tree's collection, never one that stands elsewhere on the machine.
export ANSIBLE_COLLECTIONS_PATH := $(COLLECTIONS)
export ANSIBLE_FORCE_COLOR ?= $(if $(NO_COLOR),0,1)

venv = $(VENV)/$(1)/.made
pytest = $(VENV)/functional/bin/python -m pytest -p no:cacheprovider --junit-xml=$(REPORTS)/$(1).xml $(PYTEST_ARGS)
# Debian packages of a list that are missing: asked of dpkg, which answers at once.
install = $(SUDO) tests/tools/install-packages requirements/debian-$(1).txt

##@ Use
.PHONY: help demo demo-clean build
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(COLLECTIONS)/.installed ## a control plane, a compute with our driver and a server, on this machine
	@$(SUDO) env PATH=$(VENV)/demo/bin:$$PATH ANSIBLE_COLLECTIONS_PATH=$(COLLECTIONS) \
	  ansible-playbook polyvisor.compute.demo --inventory localhost,

demo-clean: $(COLLECTIONS)/.installed ## undo the demo: no process, mount, domain, pool or file stays
	@$(SUDO) env PATH=$(VENV)/demo/bin:$$PATH ANSIBLE_COLLECTIONS_PATH=$(COLLECTIONS) \
	  ansible-playbook polyvisor.compute.demo_clean --inventory localhost,

build: $(TARBALL) ## the collection as a tarball in build/

##@ Test
.PHONY: test test-full lint sanity unit driver driver-score functional molecule e2e matrix bench docs
test: lint sanity unit driver driver-score functional e2e molecule matrix ## every gate and test but the slow tier

test-full: export POLYVISOR_TEST_FULL := 1
test-full: test ## the slow tier too: faults at many points

lint: $(call venv,lint) $(call venv,nova-34) $(TREE)/.copied ## ansible-lint, ruff, mypy, yamllint, documentation, changelog, licences
	$(VENV)/lint/bin/ruff check .
	$(VENV)/lint/bin/ruff format --check .
	$(VENV)/lint/bin/yamllint --strict .
	cd $(TREE) && PATH=$(VENV)/lint/bin:$$PATH ANSIBLE_COLLECTIONS_PATH=$(BUILD)/tree ansible-lint --offline --strict
	cd $(TREE) && ANSIBLE_COLLECTIONS_PATH=$(BUILD)/tree $(VENV)/lint/bin/antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all .
	cd $(TREE) && $(VENV)/lint/bin/antsibull-changelog lint
	$(VENV)/lint/bin/reuse --root $(TREE) lint --quiet
	cd roles/nova_driver/files/nova-polyvisor && $(VENV)/nova-34/bin/mypy

sanity: $(CORES:%=sanity-%) ## ansible-test sanity under each supported ansible-core
sanity-%: $(VENV)/core-%/.made $(TREE)/.copied
	$(VENV)/core-$*/bin/python tests/tools/seed_get_pip.py
	cd $(TREE) && PATH=$(VENV)/core-$*/bin:$$PATH ansible-test sanity --local --color no

unit: $(CORES:%=unit-%) ## unit tests of the plugins, under each supported ansible-core
unit-%: $(VENV)/core-%/.made $(TREE)/.copied
	cd $(TREE) && PATH=$(VENV)/core-$*/bin:$$PATH ansible-test units --local --color no
	mkdir -p $(REPORTS) && cp $(TREE)/tests/output/junit/python*-modules-units.xml $(REPORTS)/unit-$*.xml

##@ Make
$(UV):
	@$(call install,demo)
	$(PYTHON) -m venv $(VENV)/uv
	$(VENV)/uv/bin/pip install --quiet uv

$(VENV)/%/.made: requirements/%.txt | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python --requirement $<
	@touch $@

$(TARBALL): $(SOURCES) $(call venv,demo)
	@$(VENV)/demo/bin/ansible-galaxy collection build --force --output-path $(BUILD) .

$(COLLECTIONS)/.installed: $(TARBALL)
	@$(VENV)/demo/bin/ansible-galaxy collection install --force --no-deps --offline --collections-path $(COLLECTIONS) $(TARBALL)
	@touch $@

# ansible-test and molecule want the tree at this path, with nothing else in it.
$(TREE)/.copied: $(SOURCES)
	rm -rf $(TREE) && mkdir -p $(TREE)
	printf '%s\n' $(SOURCES) | rsync --archive --files-from=- . $(TREE)/
	@touch $@
