//! A function is killed in the middle of a call, before or after AWS has carried the call out. Its message comes
//! again.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::scene::Scene;
use serde_json::json;

use crate::finish::play;
use crate::recording::{Recording, Use};
use crate::scenarios::Scenario;
use crate::several::{all_well, chosen, several};
use crate::shape::difference;

/// How often it is looked whether the moment has come.
const LOOK_AGAIN: Duration = Duration::from_millis(15);
/// If a call comes at all, it has come by then, in real time.
const PATIENCE: Duration = Duration::from_secs(60);

/// One death.
#[derive(Debug, Clone)]
struct Death {
    scenario: Scenario,
    of: Use,
    /// Calls of this kind that go well before.
    after_calls: u32,
    carried_out: bool,
}

impl Death {
    /// At every call of every scenario, before and after it takes effect.
    fn all(recording: &Recording) -> Vec<Self> {
        let mut deaths = vec![];
        for (scenario, recorded) in &recording.scenarios {
            for (of, count) in &recorded.calls {
                for after_calls in 0..*count {
                    for carried_out in [false, true] {
                        let (scenario, of) = (*scenario, of.clone());
                        deaths.push(Self {
                            scenario,
                            of,
                            after_calls,
                            carried_out,
                        });
                    }
                }
            }
        }
        deaths
    }

    /// Whether it has to end just as if nothing had been killed. After a late termination, drain-tasks may stop the
    /// tasks that the termination would have ended. So these tasks end in another way.
    fn ends_the_same(&self) -> bool {
        self.of.action != "TerminateInstanceInAutoScalingGroup"
    }

    /// Whether there may be fewer such calls than before. In a world that moves, the number of looks depends on what
    /// was faster.
    fn may_not_come(&self) -> bool {
        self.after_calls > 0 && !self.scenario.is_side_by_side()
    }

    /// At each use once. At a use that changes something, twice: before and after.
    fn covering(recording: &Recording) -> Vec<Self> {
        let all = Self::all(recording);
        let mut chosen: BTreeMap<(Use, bool), Self> = BTreeMap::new();
        for death in all {
            if !(death.carried_out && death.of.is_read()) {
                chosen
                    .entry((death.of.clone(), death.carried_out))
                    .or_insert(death);
            }
        }
        chosen.into_values().collect()
    }

    async fn play(&self, recording: &Recording) -> Result<()> {
        let recorded = &recording.scenarios[&self.scenario];
        let options = self.scenario.options();
        // The hold has to outlast the kill.
        let milliseconds = 3_000.0 * options.speed;
        let order = async |scene: &Scene| {
            let hold = json!({ "kind": "hang", "ms": milliseconds, "carried_out": self.carried_out });
            let order = json!([{
                "caller": self.of.caller,
                "service": self.of.service,
                "action": self.of.action,
                "skip": self.after_calls,
                "times": 1,
                "fault": hold,
            }]);
            scene.bed.world.faults(&order).await
        };
        let kill = async |scene: &Scene| {
            let struck = async {
                while scene.bed.world.faults_struck().await? <= recorded.struck {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                anyhow::Ok(())
            };
            match tokio::time::timeout(PATIENCE, struck).await {
                Ok(struck) => struck?,
                Err(_) if self.may_not_come() => return Ok(()),
                Err(_) => anyhow::bail!("the call never came"),
            }
            scene.bed.kill(&self.of.caller);
            Ok(())
        };
        let finish = play(self.scenario, options, order, kill).await?;
        ensure!(
            finish.was_killed() || self.may_not_come(),
            "nothing was killed\n{}",
            finish.scene.story()
        );
        finish.sound()?;
        let undisturbed = &recorded.shape;
        ensure!(
            finish.shape() == *undisturbed || !self.ends_the_same(),
            "it ended otherwise:\n{}\n{}",
            difference(undisturbed, &finish.shape()),
            finish.scene.story()
        );
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes of a machine that has nothing else to do: run with --ignored killed"]
async fn a_function_that_is_killed_at_any_call_does_the_same_in_the_end() -> Result<()> {
    let recording = Recording::shared().await?;
    let deaths = chosen(|| Death::all(&recording), || Death::covering(&recording));
    let plays = deaths.into_iter().map(|death| {
        let recording = &recording;
        async move { death.play(recording).await.with_context(|| format!("{death:?}")) }
    });
    all_well("kill matrix", several(plays).await)
}
