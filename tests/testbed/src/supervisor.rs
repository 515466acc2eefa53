//! The process of the embedded AWS. It starts once, and all worlds of this program come from it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use crate::workspace::Workspace;
use crate::{locked, progress, python};

/// It takes seconds to import moto and to deploy the template. If it takes minutes, it hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// How much of what it wrote is shown when it fails.
const LINES_KEPT: usize = 40;

/// The running process.
pub(crate) struct Supervisor {
    /// Where worlds are asked for.
    pub(crate) control: String,
    log: Log,
    /// The process ends when this closes. So it never outlives this program, however the program ends.
    _stdin: ChildStdin,
}

#[derive(Deserialize)]
struct Ready {
    control: String,
}

impl Supervisor {
    /// The process of this program. The first caller starts it. Blocks.
    pub(crate) fn shared(workspace: &Workspace) -> Result<&'static Self> {
        static RUNNING: OnceLock<Supervisor> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());

        let _one_at_a_time = locked(&STARTING);
        match RUNNING.get() {
            Some(running) => Ok(running),
            None => {
                let started = Self::start(workspace)?;
                Ok(RUNNING.get_or_init(|| started))
            }
        }
    }

    fn start(workspace: &Workspace) -> Result<Self> {
        let interpreter = python::interpreter(workspace)?;
        let mut command = Command::new(interpreter);
        // This must not mistake the user's AWS, or the sandbox in whose terminal it runs, for the AWS that it makes.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        let mut child = command
            .arg(workspace.path("tests/embedded-aws/serve.py"))
            .arg("--template")
            .arg("template.yaml")
            .current_dir(workspace.root())
            .env("PYTHONUNBUFFERED", "1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the embedded AWS")?;

        let log = Log::default();
        if let Some(stderr) = child.stderr.take() {
            log.follow(stderr);
        }
        match first_line(&mut child) {
            Ok(line) => {
                let ready: Ready = serde_json::from_str(&line).with_context(|| {
                    format!("the embedded AWS answered something else than its address: {line}")
                })?;
                log.be_quiet();
                let stdin = child.stdin.take().context("the embedded AWS has no stdin")?;
                Ok(Self {
                    control: ready.control,
                    log,
                    _stdin: stdin,
                })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.context(format!(
                    "the embedded AWS did not start; the end of its log:\n{}",
                    log.tail()
                )))
            }
        }
    }

    /// The last lines it wrote to its log.
    pub(crate) fn log(&self) -> String {
        self.log.tail()
    }
}

/// The one line on its standard output, which says that it is ready.
fn first_line(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().context("its stdout is not ours")?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let _ = send.send(lines.next());
        // No more output is expected. Reading on keeps a stray print from blocking the process.
        lines.for_each(drop);
    });
    match receive.recv_timeout(PATIENCE) {
        Ok(Some(line)) => Ok(line?),
        Ok(None) => bail!("it ended"),
        Err(RecvTimeoutError::Timeout) => Err(anyhow!("not ready within {PATIENCE:?}")),
        Err(RecvTimeoutError::Disconnected) => bail!("its output cannot be read"),
    }
}

/// The end of a process's standard error, shown as progress until it is ready.
#[derive(Clone, Default)]
struct Log {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<String>,
    quiet: bool,
}

impl Log {
    fn follow(&self, output: impl Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                log.add(line);
            }
        });
    }

    fn add(&self, line: String) {
        let mut kept = locked(&self.kept);
        if !kept.quiet {
            progress::step(&line);
        }
        if kept.lines.len() == LINES_KEPT {
            kept.lines.pop_front();
        }
        kept.lines.push_back(line);
    }

    fn be_quiet(&self) {
        locked(&self.kept).quiet = true;
    }

    fn tail(&self) -> String {
        let kept = locked(&self.kept);
        kept.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}
