//! The stack and the functions as built, on another emulator of AWS: `tests/ministack`.

use std::process::Command;

use testbed::{Workspace, build_functions, python_environment};

#[test]
fn the_stack_works_on_an_aws_written_by_others() {
    let workspace = Workspace::locate().unwrap();
    build_functions(&workspace).unwrap();
    let python = python_environment(&workspace, "ministack", "tests/ministack/requirements.txt").unwrap();
    let output = Command::new(python)
        .args(["-m", "unittest", "--verbose"])
        .env("BINARIES", workspace.binaries())
        .current_dir(workspace.path("tests/ministack"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // None at all would be a success as well.
    assert!(said.contains("Ran ") && !said.contains("Ran 0 tests"), "{said}");
}
