# Lists what there is.
default:
    @just --list --unsorted

# Shows Maskline in the browser: two phones, a simulated carrier, a database of its own.
demo *options:
    cargo run -- demo {{ options }}

# Runs the tests; they start their own PostgreSQL.
test *options:
    cargo test {{ options }}

# Runs the tests as an ordinary user, who is made if there is none (as root).
test-as-user user="maskline-test":
    .ci/test-as-user {{ user }}

# Formats and lints, as CI does.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Describes the queries into .sqlx, against a throw-away database.
prepare:
    .ci/with-postgres .ci/prepare

# Brings the database of DATABASE_URL up to date.
migrate:
    sqlx migrate run

# Feeds the readers of texts and payloads what nobody would think of (needs cargo-fuzz, C++).
fuzz seconds="60":
    .ci/fuzz {{ seconds }}

# Checks the dependencies' licences and sources.
deny:
    cargo deny check bans licenses sources

# Runs all that must pass before a change is taken.
ci:
    .ci/run

# Draws docs/demo.png anew, by the browser test.
picture:
    PICTURE=docs/demo.png cargo test --test it browser

# Measures all that docs/performance.md says, one after another (50 min, 8 GB; the trail is for bench-audit).
bench *options:
    cargo bench --bench latency
    cargo bench --bench figures -- webhook outbox process large soak {{ options }}

# Measures the webhook beside pgbench: texts a second, and how long one takes at half of that (3 min).
bench-webhook *options:
    cargo bench --bench figures -- webhook {{ options }}

# Measures how many texts leave the outbox in a second, beside pgbench claiming and settling (2 min).
bench-outbox *options:
    cargo bench --bench figures -- outbox {{ options }}

# Measures how long one text takes on an idle machine, to its 200 and to the carrier (1 min).
bench-latency:
    cargo bench --bench latency

# Measures the webhook with a million conversations and ten million records, beside few (9 min, 8 GB).
bench-large *options:
    cargo bench --bench figures -- large {{ options }}

# Measures start to ready, the size of the binary, and memory while a million texts come in (10 min).
bench-process *options:
    cargo bench --bench figures -- process {{ options }}

# Measures a trail of ten million records: seal, verify, export, search, and the webhook meanwhile (15 min, 12 GB).
bench-audit *options:
    cargo bench --bench figures -- audit {{ options }}

# Counts what 10 minutes of texts leave in the tables: dead rows, sizes.
bench-soak *options:
    cargo bench --bench figures -- soak {{ options }}

# The same with little of everything, to see that it runs (2 min).
bench-try:
    just bench --seconds 2 --texts 4000 --webhooks 20000 --large-conversations 20000 \
        --large-records 200000 --soak-seconds 20

# Kills processes, databases and answers by the hundred while phones talk (the small disk needs root).
torture *filter:
    MASKLINE_TORTURE=full cargo test --release --test it torture::{{ filter }} -- --nocapture --test-threads 1

# Takes a million steps by the reference model and by Maskline side by side; shows what was met.
soak-rules steps="1000000" seed="1":
    MASKLINE_SOAK_STEPS={{ steps }} MASKLINE_MODEL_SEED={{ seed }} cargo test --release --test it model:: -- --nocapture

# Tampers with the audit trail in so many ways, each of which must be found and named.
tamper times="10000":
    MASKLINE_TAMPERINGS={{ times }} cargo test --release --test it tamper:: -- --nocapture
