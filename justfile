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

# Measures how many texts the webhook takes in a second beside pgbench doing the same, and how long one takes.
bench *options:
    cargo bench --bench webhook -- {{ options }}
    cargo bench --bench latency

# Kills processes, databases and answers by the hundred while phones talk (the small disk needs root).
torture *filter:
    MASKLINE_TORTURE=full cargo test --release --test it torture::{{ filter }} -- --nocapture --test-threads 1

# Takes a million steps by the reference model and by Maskline side by side; shows what was met.
soak-rules steps="1000000" seed="1":
    MASKLINE_SOAK_STEPS={{ steps }} MASKLINE_MODEL_SEED={{ seed }} cargo test --release --test it model:: -- --nocapture

# Tampers with the audit trail in so many ways, each of which must be found and named.
tamper times="10000":
    MASKLINE_TAMPERINGS={{ times }} cargo test --release --test it tamper:: -- --nocapture
