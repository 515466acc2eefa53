# The everyday commands. `just` lists them: https://just.systems. Each is one line that you can type as well.

_default:
    @"{{ just_executable() }}" --list --unsorted

# An interruption, on an AWS on this machine, five times as fast
replay event="events/spot-interruption-warning.json":
    cargo handoff replay {{ event }} --speed 5

# What an interruption would cost the sample fleet
doctor:
    cargo handoff sandbox -- cargo handoff doctor

# All tests but two: README.md#tests
test *filter:
    cargo test {{ filter }}

# Format, warnings as errors
check:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- --deny warnings

# The templates, roles, cost, examples, dependencies, links
lint:
    tests/lint/run

# What has to hold before a change lands
ci:
    .ci/run

# Rewrite the parts of pages that are made from code
update-docs:
    UPDATE=1 cargo test --workspace --lib --bins
    UPDATE=1 tests/lint/run

# The work that is kept, by this and by others; add --write for the page
kept-work *options:
    cargo bench --bench kept-work -- {{ options }}

# The plain CloudFormation template
plain-template file="spot-handoff.template.json":
    docs/deploy/plain-template {{ file }}

# Deploy to the AWS account of your credentials, so that it only reports
deploy-dry:
    sam build
    sam deploy --tags "commit=$(git rev-parse --short HEAD)" --parameter-overrides DryRun=true
