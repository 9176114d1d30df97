
# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

# GNU make.  All outputs go to BUILD; "make help" lists the targets.

BUILD ?=	build
RUN_DIR ?=	run
RUN_DIR_ORIGIN := $(origin RUN_DIR)
PORT ?=		8080

ifeq ($(origin CC), default)
CC =		gcc
endif
CLANG ?=	clang
CLANG_FORMAT ?=	clang-format
CLANG_TIDY ?=	clang-tidy
PYTHON ?=	/usr/bin/python3

CFLAGS ?=	-g -O2
PREFIX ?=	/usr/local
DESTDIR ?=
MODULES_DIR ?=	/usr/lib/nginx/modules

# seconds per fuzz target and the seed, 0 for another one each time: of
# "make fuzz", and within "make test"
FUZZ_TIME ?=		600
FUZZ_SEED ?=		0
FUZZ_TEST_TIME ?=	10
FUZZ_TEST_SEED ?=	1

# a whole nginx source tree, instead of Debian's nginx-dev
NGINX_SRC ?=

ROOT :=		$(CURDIR)
B :=		$(abspath $(BUILD))
SCC :=		ngx_scc_module

HARDEN :=	-fstack-protector-strong -Wformat -Werror=format-security
WARN :=		-std=c11 -Wall -Wextra -Wconversion -Werror
SANITIZE :=	-fsanitize=address,undefined -fno-omit-frame-pointer

CORE_SRCS :=	$(sort $(wildcard $(SCC)/core/*.c))
CTL_SRCS :=	$(sort $(wildcard $(SCC)/ctl/*.c))
CTL_SHARED :=	$(SCC)/queue/scc_probe.c
SQL :=		$(sort $(wildcard $(SCC)/store/sql/*.sql))
UNIT_SRCS :=	$(sort $(wildcard tests/unit/test_*.c))
FUZZ_SRCS :=	$(sort $(wildcard tests/fuzz/fuzz_*.c))

UNITS :=	$(UNIT_SRCS:tests/unit/%.c=%)
FUZZERS :=	$(FUZZ_SRCS:tests/fuzz/%.c=%)

CORE_LIBS :=	-lyajl -lcrypto -lz -lm
CTL_LIBS :=	-l:libhiredis.a -lpq -lcrypto -lutf8proc

ifeq ($(NGINX_SRC),)
MODULE :=	$(B)/nginx-debian/ngx_scc_module.so
NGINX ?=	/usr/sbin/nginx
else
MODULE :=	$(B)/nginx-src/ngx_scc_module.so
NGINX ?=	$(B)/nginx-src/nginx
endif

# One more than there are processors: many tests wait for a timer.
PYTEST_FLAGS ?=	-n $$(($$(nproc) + 1)) --durations=10

TEST_ENV =	SCC_BUILD=$(B) SCC_NGINX=$(NGINX) SCC_MODULE=$(MODULE) \
		SCC_NGINX_ASAN=$(B)/nginx-asan/nginx \
		PYTHONDONTWRITEBYTECODE=1


.PHONY: all module core ctl deps deps-test run up down test test-unit \
	test-asan test-fuzz test-programs test-servers test-integration \
	test-faults test-rebuild test-clients faults faults-lost soak \
	asan-nginx lint fuzz bench \
	faults-offsite bench-drill bench-verify install clean help FORCE
.DELETE_ON_ERROR:

all: module core ctl	## the module for Debian's nginx, core archive, sccctl

core: $(B)/core/libscc.a	## core/ as an archive of its own

module: $(MODULE)	## the module; for a tree of yours with NGINX_SRC=DIR

ctl: $(B)/sccctl	## sccctl, the command-line tool


# packages

deps:	## install the Debian packages to build and run
	@docker/run/deps.sh run

deps-test:	## and those to test, lint, fuzz and measure
	@docker/run/deps.sh test


# the demonstration: PostgreSQL, two Redis servers and nginx, all private

export RUN_DIR PORT SAMPLE

RUN_ENV =	SCC_BUILD=$(B) SCC_NGINX=$(NGINX) SCC_MODULE=$(MODULE) \
		$(if $(filter file,$(RUN_DIR_ORIGIN)),SCC_RUN_DEFAULT=yes)

run: deps	## start everything here, until Ctrl-C (RUN_DIR, PORT, SAMPLE)
	@+$(MAKE) --no-print-directory all
	@exec env $(RUN_ENV) docker/run/run.sh foreground

up: deps	## the same in the background
	@+$(MAKE) --no-print-directory all
	@exec env $(RUN_ENV) docker/run/run.sh up

down:	## stop what "make up" or "make run" started
	@exec docker/run/run.sh down


# core

# core($1 = folder in BUILD, $2 = compiler, $3 = flags)
define core

-include $$(wildcard $(B)/$(1)/*.d)

$(B)/$(1)/%.o: $(SCC)/core/%.c Makefile | $(B)/$(1)/
	$(2) $(WARN) $(3) -fPIC -I$(SCC)/core -MMD -MP -c -o $$@ $$<

$(B)/$(1)/libscc.a: $(CORE_SRCS:$(SCC)/core/%.c=$(B)/$(1)/%.o)
	@rm -f $$@
	ar rcs $$@ $$^
	@! nm -u $$@ | grep ngx_ || { echo "core uses nginx" >&2; exit 1; }

$(B)/$(1)/:
	@mkdir -p $$@

endef

$(eval $(call core,core,$(CC),$(CFLAGS) $(HARDEN)))
$(eval $(call core,asan/core,$(CC),-g -O1 $(SANITIZE)))
$(eval $(call core,fuzz/core,$(CLANG),-g -O1 -fsanitize=fuzzer-no-link \
	$(SANITIZE)))


# sccctl

-include $(wildcard $(B)/ctl/*.d)

CTL_CFLAGS =	$(WARN) $(CFLAGS) $(HARDEN) -D_GNU_SOURCE -I$(SCC)/core \
		-I$(SCC)/ctl -I$(SCC)/queue \
		-I$(shell pg_config --includedir) -MMD -MP

$(B)/ctl/:
	@mkdir -p $@

$(B)/ctl/scc_ctl_sql.c: $(SQL) $(SCC)/ctl/embed_sql.sh | $(B)/ctl/
	$(SCC)/ctl/embed_sql.sh $(SQL) > $@.tmp
	@mv $@.tmp $@

$(B)/ctl/scc_ctl_sql.o: $(B)/ctl/scc_ctl_sql.c Makefile
	$(CC) $(CTL_CFLAGS) -c -o $@ $<

$(B)/ctl/%.o: $(SCC)/ctl/%.c Makefile | $(B)/ctl/
	$(CC) $(CTL_CFLAGS) -c -o $@ $<

# what nginx is built from, too
$(B)/ctl/%.o: $(SCC)/queue/%.c Makefile | $(B)/ctl/
	$(CC) $(CTL_CFLAGS) -c -o $@ $<

$(B)/sccctl: $(CTL_SRCS:$(SCC)/ctl/%.c=$(B)/ctl/%.o) \
	$(CTL_SHARED:$(SCC)/queue/%.c=$(B)/ctl/%.o) \
	$(B)/ctl/scc_ctl_sql.o $(B)/core/libscc.a
	$(CC) $(CFLAGS) -Wl,-z,relro -Wl,-z,now -o $@ $^ $(CTL_LIBS) \
		$(CORE_LIBS)


# The module.  nginx's configure writes a makefile that knows every source
# and header; it is asked each time, and does nothing where nothing changed.

NGX_CC_OPT :=	$(CFLAGS) -fPIC $(HARDEN) -Wdate-time -D_FORTIFY_SOURCE=2
NGX_LD_OPT :=	-Wl,-z,relro -Wl,-z,now -fPIC
NGX_FLAGS :=	--with-compat --with-debug --with-threads --with-pcre-jit \
		$(foreach m,ssl v2 stub_status realip auth_request addition \
		slice sub gunzip gzip_static,--with-http_$(m)_module)

# on all processors, unless make was called with a -j
JOBS =		$(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

# nginx's makefile, quiet without V=1
NGX_MAKE =	$(MAKE) --no-print-directory $(if $(V),,-s) $(JOBS)

# tree($1 = source, $2 = copy): configure leaves files in the tree it runs in
define tree
	@rm -rf $(2)
	@mkdir -p $(2)
	@cp -RL $(1)/. $(2)
	@rm -rf $(2)/.git $(2)/objs
endef

$(B)/nginx-debian/Makefile: config Makefile
	@test -f /usr/share/nginx/src/conf_flags || { echo "Debian's \
	nginx-dev is not installed: run make deps" >&2; exit 1; }
	$(call tree,/usr/share/nginx/src,$(B)/nginx-debian/tree)
	@echo "configuring nginx-dev"
	@cd $(B)/nginx-debian/tree && bash -c '. ./conf_flags && ./configure \
	"$${NGX_CONF_FLAGS[@]}" --with-cc="$(CC)" \
	--with-cc-opt="$(NGX_CC_OPT)" --with-ld-opt="$(NGX_LD_OPT)" \
	--builddir=$(B)/nginx-debian --add-dynamic-module=$(ROOT)' \
	> $(B)/nginx-debian/configure.log || { tail -n 20 \
	$(B)/nginx-debian/configure.log >&2; rm -f $@; exit 1; }

$(B)/nginx-debian/ngx_scc_module.so: $(B)/nginx-debian/Makefile FORCE
	@echo "making $@"
	@+$(NGX_MAKE) -C $(B)/nginx-debian/tree -f $< modules

$(B)/nginx-src/Makefile: config Makefile $(B)/nginx-src/path
	$(call tree,$(NGINX_SRC),$(B)/nginx-src/tree)
	@echo "configuring $(NGINX_SRC)"
	@cd $(B)/nginx-src/tree && configure=./configure \
	&& { test -x $$configure || configure=auto/configure; } \
	&& $$configure $(NGX_FLAGS) --prefix=$(B)/nginx-src/prefix \
	--with-cc="$(CC)" --with-cc-opt="$(NGX_CC_OPT)" \
	--with-ld-opt="$(NGX_LD_OPT)" \
	--builddir=$(B)/nginx-src --add-dynamic-module=$(ROOT) \
	> $(B)/nginx-src/configure.log || { tail -n 20 \
	$(B)/nginx-src/configure.log >&2; rm -f $@; exit 1; }

# another tree than last time is configured anew
$(B)/nginx-src/path: FORCE
	@mkdir -p $(@D)
	@test "$$(cat $@ 2> /dev/null)" = "$(abspath $(NGINX_SRC))" \
	|| echo "$(abspath $(NGINX_SRC))" > $@

$(B)/nginx-src/ngx_scc_module.so: $(B)/nginx-src/Makefile FORCE
	@echo "making $@"
	@+$(NGX_MAKE) -C $(B)/nginx-src/tree -f $< binary modules


# nginx and the module in one program, under AddressSanitizer and
# UndefinedBehaviorSanitizer, every pool allocation a malloc() of its own.
# Without NGX_HAVE_NONALIGNED: nginx's own parser reads unaligned words on
# purpose where the processor allows it, and UBSan would report each.

ASAN_CC_OPT :=	-g -O1 $(SANITIZE) -DNGX_DEBUG_PALLOC=1

asan-nginx: $(B)/nginx-asan/nginx	## nginx with the module, sanitized

$(B)/nginx-source/version:
	docker/run/nginx-source.sh $(B)/nginx-source

$(B)/nginx-asan/Makefile: config Makefile \
	$(if $(NGINX_SRC),$(B)/nginx-src/path,$(B)/nginx-source/version)
	$(call tree,$(or $(NGINX_SRC),$(B)/nginx-source/nginx),$(@D)/tree)
	@echo "configuring nginx for the sanitizers"
	@cd $(@D)/tree && configure=./configure \
	&& { test -x $$configure || configure=auto/configure; } \
	&& $$configure $(NGX_FLAGS) --prefix=$(@D)/prefix --with-cc="$(CC)" \
	--with-cc-opt="$(ASAN_CC_OPT)" --with-ld-opt="$(SANITIZE)" \
	--builddir=$(@D) --add-module=$(ROOT) > $(@D)/configure.log \
	|| { tail -n 20 $(@D)/configure.log >&2; rm -f $@; exit 1; }
	@sed -i '/define NGX_HAVE_NONALIGNED/d' $(@D)/ngx_auto_config.h

$(B)/nginx-asan/nginx: $(B)/nginx-asan/Makefile FORCE
	@echo "making $@"
	@+$(NGX_MAKE) -C $(@D)/tree -f $< binary


# tests

test:	## everything: unit, sanitizers, short fuzz, model, integration
	@+$(MAKE) --no-print-directory deps-test
	@+$(MAKE) --no-print-directory -O $(JOBS) test-programs
	@+$(MAKE) --no-print-directory test-unit
	@+$(MAKE) --no-print-directory test-asan
	@+$(MAKE) --no-print-directory test-fuzz
	@+$(MAKE) --no-print-directory test-servers

test-programs: all asan-nginx $(UNITS:%=$(B)/unit/%) \
	$(UNITS:%=$(B)/asan/%) $(FUZZERS:%=$(B)/fuzz/%)

test-unit: $(UNITS:%=$(B)/unit/%)	## C tests of core
	@for test in $^; do $$test || exit 1; done

test-asan: $(UNITS:%=$(B)/asan/%)	## the same under ASan and UBSan
	@for test in $^; do UBSAN_OPTIONS=halt_on_error=1 $$test || exit 1; \
	done

test-fuzz: FUZZ_TIME = $(FUZZ_TEST_TIME)
test-fuzz: FUZZ_SEED = $(FUZZ_TEST_SEED)
test-fuzz: fuzz	## every fuzz target, FUZZ_TEST_TIME seconds each

fuzz: $(FUZZERS:%=$(B)/fuzz/%)	## the same for FUZZ_TIME seconds each
	@printf '%s\n' $^ | xargs -P $$(nproc) -I FUZZER \
	docker/run/fuzz.sh FUZZER $(FUZZ_TIME) $(FUZZ_SEED)

test-servers:	## model, integration, quick fault tests, on what is built
	cd tests && $(TEST_ENV) $(PYTHON) -m pytest $(PYTEST_FLAGS) \
		--quick model integration faults soak

test-integration:	## model and integration tests, on what is built
	cd tests && $(TEST_ENV) $(PYTHON) -m pytest $(PYTEST_FLAGS)

test-rebuild:	## 100,000 contributions, PostgreSQL lost, rebuilt from journals
	cd tests && SCC_REBUILD=100000 $(TEST_ENV) $(PYTHON) -m pytest \
		integration/test_rebuild.py -k store_from_journals

test-faults:	## the quick half of the fault tests, on what is built
	cd tests && $(TEST_ENV) $(PYTHON) -m pytest --quick faults

test-clients:	## MapLibre GL and @mapbox/vector-tile, from npm; QGIS
	@mkdir -p $(B)/clients
	@cp tests/clients/package.json $(B)/clients/
	@if command -v npm > /dev/null; then cd $(B)/clients && \
	npm install --silent --no-audit --no-fund --ignore-scripts || \
	echo "npm cannot bring the clients; is its registry reachable?" >&2; \
	else echo "npm is not installed: apt-get install npm" >&2; fi
	cd tests && $(TEST_ENV) $(PYTHON) -m pytest -rs clients

soak: deps-test	## long: valgrind, sanitizers, 200 reloads, a tiny zone
	@+$(MAKE) --no-print-directory all asan-nginx
	cd tests && $(TEST_ENV) $(PYTHON) -m pytest soak

faults: deps-test	## all faults under load: killed, cut, full, poisoned
	@+$(MAKE) --no-print-directory all
	cd tests && $(TEST_ENV) $(PYTHON) -m pytest $(PYTEST_FLAGS) \
		faults

faults-lost: deps-test	## stores lost, and no memory
	@+$(MAKE) --no-print-directory all
	cd tests && $(TEST_ENV) $(PYTHON) -m pytest $(PYTEST_FLAGS) \
		-m lost faults

faults-offsite: deps-test	## bad uploads, a lost host, forgetting
	@+$(MAKE) --no-print-directory all
	cd tests && $(TEST_ENV) $(PYTHON) -m pytest $(PYTEST_FLAGS) \
		-m offsite faults

# unit($1 = folder in BUILD, $2 = flags)
define unit

-include $$(wildcard $(B)/$(1)/*.d)

$(B)/$(1)/%: tests/unit/%.c $(B)/$(if $(filter asan,$(1)),asan/)core/libscc.a \
	Makefile
	@mkdir -p $$(@D)
	$(CC) $(WARN) $(2) -I$(SCC)/core -Itests/unit -MMD -MP \
		-o $$@ $$< $$(filter %.a,$$^) -lcmocka $(CORE_LIBS)

endef

$(eval $(call unit,unit,$(CFLAGS)))
$(eval $(call unit,asan,-g -O1 $(SANITIZE)))

-include $(wildcard $(B)/fuzz/*.d)

$(B)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(B)/fuzz/core/libscc.a Makefile
	$(CLANG) $(WARN) -g -O1 -fsanitize=fuzzer $(SANITIZE) -I$(SCC)/core \
		-MMD -MP -o $@ $< $(filter %.a,$^) $(CORE_LIBS)

bench: deps-test	## measure, keep RESULTS.md; PART=hot,writes BENCH_BIG=1
	@+$(MAKE) --no-print-directory all
	cd tests && $(TEST_ENV) $(PYTHON) bench/bench.py \
		$(if $(PART),--part $(PART))

bench-drill: deps-test	## a million contributions from their copies alone
	@+$(MAKE) --no-print-directory all
	cd tests && $(TEST_ENV) $(PYTHON) bench/bench_drill.py

bench-verify: deps-test	## the same, compared with its journals and adopted
	@+$(MAKE) --no-print-directory all
	cd tests && $(TEST_ENV) $(PYTHON) bench/bench_verify.py

lint:	## style, clang-format, clang-tidy, cppcheck, shellcheck, python
	@+$(MAKE) --no-print-directory deps-test
	@SCC_BUILD=$(B) CLANG_FORMAT=$(CLANG_FORMAT) \
	CLANG_TIDY=$(CLANG_TIDY) PYTHON=$(PYTHON) tests/lint/lint.sh


install: all	## DESTDIR, PREFIX, MODULES_DIR
	install -d $(DESTDIR)$(MODULES_DIR) $(DESTDIR)$(PREFIX)/bin \
		$(DESTDIR)$(PREFIX)/share/doc/ngx_scc_module
	install -m 644 $(MODULE) $(DESTDIR)$(MODULES_DIR)/
	install -m 755 $(B)/sccctl $(DESTDIR)$(PREFIX)/bin/
	@set -e; for page in $(wildcard $(SCC)/ctl/*.1); do \
	install -d $(DESTDIR)$(PREFIX)/share/man/man1; \
	install -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man1/; done
	install -m 644 nginx.conf.example LICENSE README.md \
		$(DESTDIR)$(PREFIX)/share/doc/ngx_scc_module/

clean:	## remove BUILD; the demonstration's data (RUN_DIR) is kept
	rm -rf $(B)

help:	## this list
	@awk -F ':.*## ' \
	'/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' \
	$(firstword $(MAKEFILE_LIST))

FORCE:
