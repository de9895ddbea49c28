# Commands for people who work on turted. `./test` needs no just.

# Everything CI checks: format, lints, tests, documentation, clients.
check:
    ./test

# The part of it that needs Rust, redis-server and rabbitmq-server alone: format, lints, Rust tests.
quick:
    ./test quick

# Runs one fuzz target for some seconds; findings go to fuzz/artifacts.
fuzz TARGET SECONDS="60":
    mkdir -p fuzz/corpus/{{TARGET}}
    cargo +nightly fuzz run {{TARGET}} fuzz/corpus/{{TARGET}} fuzz/seeds/{{TARGET}} -- -max_total_time={{SECONDS}}

# Loads a running server with clients and measures it: just bench --help
bench *ARGS:
    cargo run --release --locked --package turted -- bench {{ARGS}}

# Measures whether comparisons of secrets take the same time, however right a guess is.
timing:
    cargo test --release --locked --package turted-core --test timing -- --ignored --nocapture --test-threads 1

# Compares turted with other servers: 25 minutes, --brief 15, --quick 5. Writes docs/benchmarks.md.
compare *ARGS:
    bench/compare {{ARGS}}

# The load that people really have, beside other servers and a floor: 15 minutes, --brief 8, --quick 4. Writes docs/benchmarks.md.
daily *ARGS:
    bench/daily {{ARGS}}

# Measures what a change costs, beside an earlier build: about 6 minutes, --repetitions 1 two.
change OLD *ARGS:
    bench/change {{OLD}} {{ARGS}}

# Measures how cost grows: about 6 minutes, --quick 3. Writes docs/benchmarks.md and plots.
scale *ARGS:
    bench/scale {{ARGS}}

# Readers that stall, connections that come and go: about 8 minutes, --quick 2. Writes docs/benchmarks.md.
endurance *ARGS:
    bench/endurance {{ARGS}}

# Checks what the design expects, with counters and strace: 2 minutes, --quick 1. Writes docs/benchmarks.md.
proof *ARGS:
    bench/proof {{ARGS}}

# Hostile inputs: memory, CPU time and waits of others: about 8 minutes, --quick 5. Writes docs/benchmarks.md.
hostile *ARGS:
    bench/hostile {{ARGS}}

# What a message of each source costs beside a push by REST: about 5 minutes, --quick 1. Writes docs/benchmarks.md.
sources *ARGS:
    bench/sources {{ARGS}}

# What several machines cost beside one server in memory: about 13 minutes, --brief 4, --quick 1. Writes docs/benchmarks.md.
bench-cluster *ARGS:
    bench/cluster {{ARGS}}

# Measures the time from `turted` to the first event on the screen, in Chromium: half a minute. Prints a table.
first-event *ARGS:
    bench/first-event {{ARGS}}

# Checks a program without sources, and with one type of them alone: about a minute.
features:
    cargo clippy --locked --package turted --no-default-features -- -D warnings
    cargo clippy --locked --package turted --no-default-features --features redis -- -D warnings
    cargo clippy --locked --package turted --no-default-features --features rabbitmq -- -D warnings
    cargo clippy --locked --package turted --no-default-features --features tail -- -D warnings

# Builds the Debian package (needs cargo-deb).
deb:
    packaging/deb

# Checks licences and sources of the dependencies (needs cargo-deny).
deny:
    cargo deny --offline check bans licenses sources

# Makes so many requests for each operation of the OpenAPI document, each time others: about ten minutes.
openapi EXAMPLES="1000":
    cargo build --locked --package turted
    OPENAPI_EXAMPLES={{EXAMPLES}} OPENAPI_SEED=$(date +%s) node --test tests/clients/openapi.test.js

# Opens the page of operators while so many clients are connected and 1,000 events a second are pushed: half a minute. No task of
# the page may take more than 50 ms, so the machine has to be quiet.
admin-page CONNECTIONS="10000":
    cargo build --locked --package turted
    TURTED_TEST_CONNECTIONS={{CONNECTIONS}} TURTED_TEST_TASK_MS=50 node --test --test-name-pattern=fluent tests/clients/admin.test.js

# Runs the samples for nginx, HAProxy and Caddy with real clients.
proxies *ARGS:
    tests/proxies/run {{ARGS}}

# Nothing lost, for ten minutes: 10,000 clients, 20 kills, 5 stops, cuts at random. --short takes a minute; --help has the rest.
soak *ARGS:
    cargo build --release --locked --package turted
    TURTED_BIN=../../target/release/turted node --max-old-space-size=8192 tests/clients/lost/soak/soak.js {{ARGS}}

# The log on ext4 that hangs, and on ext4 that the kernel has given up (needs root and loop devices; says so where it is skipped).
disk:
    cargo build --locked --package turted
    TURTED_TEST_DISK=1 node --test tests/clients/disk.test.js

# What the log on disk costs, beside the log in memory.
bench-log *ARGS:
    bench/log {{ARGS}}

# What presence, history, watchers and the page of operators cost: about 20 minutes, --brief 5, --quick 2. Writes docs/benchmarks.md.
bench-extras *ARGS:
    bench/extras {{ARGS}}

# What a hook costs whose backend is dead, in instructions (needs valgrind): about 10 minutes. Prints a table.
bench-hooks *ARGS:
    bench/hooks {{ARGS}}

# Hooks: 20 kills, after each of which a backend knows who is online, and 10,000 connections that leave and come back.
soak-hooks:
    TURTED_TEST_KILLS=20 cargo test --release --locked --package turted --test it hooks::kills -- --nocapture
    TURTED_TEST_CROWD=10000 cargo test --release --locked --package turted --test it hooks::crowd -- --nocapture --test-threads 1

# Clients join a channel with history while events are pushed, so often: between history and what is new nothing is missing, and
# nothing comes twice.
soak-history JOINS="1000000":
    TURTED_TEST_JOINS={{JOINS}} cargo test --release --locked --package turted --test it between_history_and_what_is_new -- --nocapture

# Sources for minutes: 100,000 messages of each broker and a million lines through 10 kills, 50 rotations of each kind.
soak-sources:
    cargo test --release --locked --package turted --test it soak -- --ignored --nocapture --test-threads 1

# Three servers on one Redis, for half an hour: kills, stops and cuts of servers and of Redis, a rolling restart. Nothing may be lost.
soak-cluster SECONDS="1800" CONNECTIONS="10000" PUSHES="500":
    TURTED_TEST_SOAK_SECONDS={{SECONDS}} TURTED_TEST_CONNECTIONS={{CONNECTIONS}} TURTED_TEST_PUSHES={{PUSHES}} cargo test --release --locked --package turted --test cluster all_faults -- --ignored --nocapture

# Redis loses data in every way, so many times: each client is told.
lost-cluster RUNS="50":
    cargo test --release --locked --package turted --test cluster --no-run
    for run in $(seq {{RUNS}}); do cargo test --release --locked --package turted --test cluster losses || exit 1; done

# A replica is promoted so many times, which had to have each push: none that was acknowledged may be lost.
failovers-cluster RUNS="50":
    TURTED_TEST_FAILOVERS={{RUNS}} cargo test --release --locked --package turted --test cluster had_to_have_it -- --nocapture

# All tests of several servers in another form of Redis: any of `tls`, `acl` and `cluster`; SERVER is that of another version, or Valkey.
forms-cluster FORMS="tls,acl,cluster" SERVER="redis-server":
    TURTED_TEST_REDIS={{FORMS}} TURTED_TEST_REDIS_SERVER={{SERVER}} cargo test --locked --package turted --test cluster

# 100,000 pushes with keys, repeated at other nodes until they are accepted, through ten kills of nodes and of Redis.
keys-cluster:
    cargo test --release --locked --package turted --test cluster many_pushes -- --ignored --nocapture

# The suites of one server against three, with each request and push at the next one: scenario, recovery, history and presence of
# every client, hostile inputs, hostile pushes, the model.
scenario-cluster:
    cargo build --locked --package turted
    cd tests/clients && TURTED_TEST_CLUSTER=1 node --test --test-concurrency=1 \
        scenario.test.js recovery.test.js history.test.js presence.test.js hostile.test.js
    TURTED_TEST_CLUSTER=1 cargo test --locked --package turted --test it -- hostile::pushes model:: presence::life

# Several nodes in one process under faults, 100,000 times, each by a seed. A seed that fails is repeated by
# `SEED=<n> cargo test -p turted --lib cluster::tests::a_seed`.
simulate SEEDS="100000" FIRST="1000":
    SEEDS={{SEEDS}} FIRST={{FIRST}} cargo test --release --locked --package turted --lib cluster::tests::many_seeds -- --ignored --nocapture
