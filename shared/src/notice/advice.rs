//! Events that people have to know about, but on which no function acts.

use std::fmt;

use jiff::Timestamp;

/// An event that is announced but not handed off.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Advice {
    /// Id of the EventBridge event.
    pub event_id: String,
    /// What it is about: ids of instances, hosts or a reservation. Empty if the event names nothing.
    pub about: Vec<String>,
    /// What happens.
    pub what: Matter,
    /// When it happens, if the event says so.
    pub at: Option<Timestamp>,
    /// Whether it is a drill.
    pub drill: bool,
}

/// What happens to what the event names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Matter {
    /// A Capacity Block ends. EC2 begins to terminate its instances half an hour before, and those of an UltraServer an
    /// hour before.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-how.html>
    CapacityBlockEnds,
    /// AWS will restart the instances. They come back under the same ids.
    Restart {
        /// The type code of AWS Health.
        code: String,
    },
    /// Another scheduled change of AWS Health.
    OtherChange {
        /// The type code of AWS Health.
        code: String,
        /// AWS's description, if there is one.
        description: Option<String>,
    },
}

impl Advice {
    /// One line: what happens, to what, and when.
    pub fn subject(&self) -> String {
        let about = match self.about.as_slice() {
            [] => "no resource named".to_owned(),
            [one] => one.clone(),
            [first, others @ ..] => format!("{first} and {} more", others.len()),
        };
        let at = self.at.map(|at| format!(" at {at}")).unwrap_or_default();
        let drill = if self.drill { " (drill)" } else { "" };
        match &self.what {
            Matter::CapacityBlockEnds => format!("Capacity Block ends{at}: {about}{drill}"),
            Matter::Restart { .. } => format!("AWS restarts instances{at}: {about}{drill}"),
            Matter::OtherChange { .. } => format!("AWS has scheduled a change{at}: {about}{drill}"),
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject())?;
        match &self.what {
            Matter::CapacityBlockEnds => write!(
                f,
                "EC2 begins to terminate the instances of a Capacity Block 30 minutes before its end, those of UltraServers \
                 60 minutes. spot-handoff does nothing until an event names an instance. Save what jobs have done, or \
                 extend the block."
            )?,
            Matter::Restart { code } => write!(
                f,
                "{code}: the instances come back under the same ids. spot-handoff drains those that are its own ten minutes \
                 before, and makes them ACTIVE again afterwards."
            )?,
            Matter::OtherChange { code, description } => {
                write!(
                    f,
                    "{code}. spot-handoff leaves it alone. See the AWS Health Dashboard."
                )?;
                if let Some(description) = description {
                    write!(f, "\n\n{description}")?;
                }
            }
        }
        match self.about.is_empty() {
            true => Ok(()),
            false => write!(f, "\n\nAffected: {}", self.about.join(", ")),
        }
    }
}
