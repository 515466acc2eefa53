//! What this function can do, why it leaves something alone, and what it warns of, with the texts of the reports.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use spot_handoff::autoscaling::policies::UnknownValue;
use spot_handoff::autoscaling::scope::OutOfScope;
use spot_handoff::notice::{FollowUp, InstanceId, Step};
use spot_handoff::report::{ActionKind, ScriptLine, plan as shared_plan};

/// What this function can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Run the stop script of an instance.
    Run(Command),
    /// Look again later.
    Send {
        /// The instance that it is about.
        instance: InstanceId,
        /// The document.
        document: String,
        /// When it should arrive.
        at: Timestamp,
        /// The message.
        follow_up: FollowUp,
    },
    /// Report how a stop script ended.
    End(Ended),
}

/// A stop script that begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command {
    /// The instance.
    pub instance: InstanceId,
    /// Its group.
    pub group: String,
    /// The document.
    pub document: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// Until when to wait for its end.
    pub until: Timestamp,
}

/// A stop script that has ended, or will never run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ended {
    /// The instance.
    pub instance: InstanceId,
    /// The document.
    pub document: String,
    /// Id of the command.
    pub command: Option<String>,
    /// How it ended.
    pub status: String,
    /// Whether it succeeded.
    pub saved: bool,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// The last lines that it wrote.
    pub output: String,
}

impl Ended {
    /// The line of the report.
    pub fn line(&self) -> ScriptLine {
        ScriptLine {
            document: self.document.clone(),
            command: self.command.clone(),
            status: self.status.clone(),
            saved: self.saved,
            exit_code: self.exit_code,
            output: self.output.clone(),
        }
    }

    /// The end as a sentence.
    fn sentence(&self) -> String {
        let code = self.exit_code.map(|code| format!(", exit code {code}"));
        let output = match self.output.as_str() {
            "" => String::new(),
            output => format!(": {output}"),
        };
        format!("{}{}{output}", self.status, code.unwrap_or_default())
    }
}

impl shared_plan::Action for Action {
    fn describe(&self) -> (ActionKind, String, String) {
        match self {
            Self::Run(command) => (
                ActionKind::RunStopScript,
                command.document.clone(),
                format!("on {}", command.instance),
            ),
            Self::Send {
                document,
                at,
                follow_up,
                ..
            } => {
                let at = at.strftime("%H:%M:%S");
                let name = match &follow_up.step {
                    Step::AwaitScript { .. } => ActionKind::AwaitStopScript,
                    _ => ActionKind::RunStopScriptLater,
                };
                (name, document.clone(), format!("look again at {at}"))
            }
            Self::End(ended) => (
                ActionKind::EndStopScript,
                ended.document.clone(),
                ended.sentence(),
            ),
        }
    }
}

/// Why something is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The instance is not ours to act on.
    OutOfScope(OutOfScope),
    /// The instance is in no group, so no tag asks for a script.
    InNoGroup,
    /// The group has no stop script.
    NoStopScript,
    /// A retirement: the replacement comes first.
    WaitsForReplacement,
    /// The step belongs to another function.
    NotForThisFunction,
    /// The hook waits for somebody else.
    ForeignHook {
        /// The hook.
        hook: String,
    },
    /// Another signal, or a copy of the message, has sent it.
    SentBefore,
    /// Its end has been reported before.
    ToldBefore,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfScope(why) => why.fmt(f),
            Self::InNoGroup => write!(f, "in no Auto Scaling group, so no tag names a stop script"),
            Self::NoStopScript => write!(f, "its group names no stop script"),
            Self::WaitsForReplacement => write!(f, "its stop script waits until a replacement is in service"),
            Self::NotForThisFunction => write!(f, "this step belongs to another function"),
            Self::ForeignHook { hook } => write!(
                f,
                "lifecycle hook {hook} waits for somebody else; name it in LifecycleHooks if it waits for spot-handoff"
            ),
            Self::SentBefore => write!(f, "its stop script has been sent before, and runs once"),
            Self::ToldBefore => write!(f, "how its stop script ended has been told before"),
        }
    }
}

/// A setting that causes trouble, or something that was missing for the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A tag of the group has a value that is not valid.
    UnknownPolicy(UnknownValue),
    /// The document could not be read, so the script got no parameters.
    DocumentUnread {
        /// The document.
        document: String,
        /// Why.
        error: String,
    },
    /// The table did not answer.
    TableUnread {
        /// Why.
        error: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPolicy(unknown) => unknown.fmt(f),
            Self::DocumentUnread { document, error } => {
                write!(
                    f,
                    "{document}: could not be read, so it gets no parameters: {error}"
                )
            }
            Self::TableUnread { error } => write!(
                f,
                "the table does not answer, so another copy of the notice may run the stop script again: {error}"
            ),
        }
    }
}
