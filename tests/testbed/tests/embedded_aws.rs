//! The embedded AWS's own tests, which are written in its language.

use std::process::Command;

use testbed::{Workspace, interpreter};

#[test]
fn the_embedded_aws_passes_its_own_tests() {
    let workspace = Workspace::locate().unwrap();
    let output = Command::new(interpreter(&workspace).unwrap())
        .args(["-m", "unittest"])
        .current_dir(workspace.path("tests/embedded-aws"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // unittest closes with `Ran 75 tests in 14.9s`; none at all would be a success as well.
    assert!(said.contains("Ran ") && !said.contains("Ran 0 tests"), "{said}");
}
