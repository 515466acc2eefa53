"""What docs/aws-behaviour.md is held against: the words that Rust code matches, the numbers of the embedded AWS, the
tests that there are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
EMBEDDED_AWS = ROOT / "tests" / "embedded-aws"
PAGE = ROOT / "docs" / "aws-behaviour.md"
