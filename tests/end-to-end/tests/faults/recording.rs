//! What the functions call in each scenario when nothing goes wrong, and how it ends then.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;
use testbed::ModelledError;
use tokio::sync::OnceCell;

use crate::EVERY_FUNCTION;
use crate::finish::{Finish, nothing, play};
use crate::scenarios::Scenario;
use crate::several::several;

/// An action, as a function calls it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The function.
    pub caller: String,
    /// The service, as in a signature.
    pub service: String,
    /// The action.
    pub action: String,
}

impl Use {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        ["Describe", "List", "Filter"]
            .iter()
            .any(|verb| self.action.starts_with(verb))
    }
}

/// A scenario in which nothing goes wrong.
pub struct Recorded {
    /// How it ends.
    pub shape: Value,
    /// How many faults it is about itself.
    pub struck: u64,
    /// Every use and how often.
    pub calls: BTreeMap<Use, u32>,
}

/// By service and action.
type ModelledErrors = BTreeMap<String, BTreeMap<String, Vec<ModelledError>>>;

/// All scenarios in which nothing goes wrong.
pub struct Recording {
    /// By scenario.
    pub scenarios: BTreeMap<Scenario, Recorded>,
    modelled: ModelledErrors,
    /// What the deployed roles allow.
    pub permissions: testbed::Permissions,
}

impl Recording {
    /// Made once for all tests.
    pub async fn shared() -> Result<Arc<Self>> {
        static RECORDING: OnceCell<Arc<Recording>> = OnceCell::const_new();
        let recording = RECORDING.get_or_try_init(async || Self::make().await.map(Arc::new));
        recording.await.cloned()
    }

    async fn make() -> Result<Self> {
        let of_aws = OnceCell::new();
        // The last ones of the list take the longest, and all tests wait for all of them.
        let plays = Scenario::ALL.into_iter().rev().map(|scenario| {
            // Whole worlds are too large for the stack, with twelve of them at a time.
            let record = Box::pin(record(scenario, &of_aws));
            async move {
                record
                    .await
                    .with_context(|| format!("{scenario:?} with nothing going wrong"))
            }
        });
        let recorded = several(plays).await.into_iter();
        let scenarios = recorded.collect::<Result<BTreeMap<_, _>>>()?;
        let (modelled, permissions) = of_aws.into_inner().context("no scenario")?;
        Ok(Self {
            scenarios,
            modelled,
            permissions,
        })
    }

    /// Every use, with the scenarios that had it. The next time, a scenario may not have it: what a function finds
    /// depends on how far the others and AWS are.
    pub fn uses(&self) -> BTreeMap<Use, Vec<Scenario>> {
        let mut uses: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for scenario in Scenario::ALL {
            for of_scenario in self.scenarios[&scenario].calls.keys() {
                uses.entry(of_scenario.clone()).or_default().push(scenario);
            }
        }
        uses
    }

    /// The errors that the API model names for an action.
    pub fn modelled(&self, of: &Use) -> &[ModelledError] {
        let service = self.modelled.get(&of.service);
        service
            .and_then(|actions| actions.get(&of.action))
            .map_or(&[], Vec::as_slice)
    }
}

/// Plays a scenario. What AWS itself is like is asked in the first one.
async fn record(
    scenario: Scenario,
    of_aws: &OnceCell<(ModelledErrors, testbed::Permissions)>,
) -> Result<(Scenario, Recorded)> {
    let options = scenario.options();
    let announces = options.announce;
    let finish = play(scenario, options, nothing, nothing).await?;
    finish.sound()?;
    if announces {
        finish.tells_of_all()?;
    }
    let world = &finish.scene.bed.world;
    let ask = async || anyhow::Ok((world.modelled_errors().await?, world.permissions().await?));
    of_aws.get_or_try_init(ask).await?;
    let recorded = Recorded {
        shape: finish.shape(),
        struck: world.faults_struck().await?,
        calls: uses(scenario, &finish).await?,
    };
    Ok((scenario, recorded))
}

/// The calls that the scenario had.
async fn uses(scenario: Scenario, finish: &Finish) -> Result<BTreeMap<Use, u32>> {
    let mut uses = BTreeMap::new();
    for call in finish.scene.bed.world.calls().await? {
        let caller = call.caller.unwrap_or_default();
        // Elsewhere it is chance whether two messages are handed over together, and the function looks for more.
        let is_shortcut = matches!(call.action.as_str(), "ReceiveMessage" | "DeleteMessageBatch");
        // deregister-targets writes the same ends at the same time, and the first one writes them. In an exchange,
        // replace-capacity writes by itself.
        let is_written_by_either = caller == "replace-capacity" && call.action == "PutItem";
        let by_chance = is_shortcut && scenario != Scenario::ManyAtOnce
            || is_written_by_either && scenario.is_side_by_side();
        // That message starts the watch over the group. The hand-off does not need it. `followed_through` tests the
        // watch.
        let begins_watch = caller == "replace-capacity"
            && call.action == "SendMessageBatch"
            && scenario.is_plain_interruption();
        let by_chance = by_chance || begins_watch;
        if EVERY_FUNCTION.contains(&caller.as_str()) && !by_chance {
            let of_call = Use {
                caller,
                service: call.service,
                action: call.action,
            };
            *uses.entry(of_call).or_default() += 1;
        }
    }
    Ok(uses)
}
