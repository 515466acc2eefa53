//! What happens in the AWS on which the commands are shown.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testbed::{Options, Testbed};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::browser;
use crate::document::Document;

const COMMANDS: &str = "docs/commands.md";
const PATIENCE: Duration = Duration::from_secs(120);

/// An AWS, and the document to compare with.
pub struct Scene {
    pub bed: Testbed,
    pub document: Document,
    folder: PathBuf,
}

impl Scene {
    pub async fn start(name: &str, page: &'static str, options: Options) -> Result<Self> {
        let folder =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            bed: Testbed::start(options).await?,
            document: Document::read(page)?,
            folder,
        })
    }

    /// Puts a sample event where the commands find it, under its name in the repository.
    pub fn add_sample(&self, name: &str) -> Result<()> {
        let samples = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../events"));
        std::fs::create_dir_all(self.folder.join("events"))?;
        std::fs::copy(samples.join(name), self.folder.join("events").join(name))?;
        Ok(())
    }

    /// Runs `cargo handoff …`. Returns its output and its exit status.
    pub async fn run(&self, arguments: &str) -> Result<(String, i32)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_handoff"));
        command
            .args(arguments.split(' '))
            .envs(self.bed.environment())
            .env_remove("AWS_PROFILE")
            .env_remove("COLUMNS");
        // The files that a command writes are here, and the samples are in their usual place.
        command.current_dir(&self.folder);
        let output = command.output().await.context("cannot run handoff")?;
        let mut printed = String::from_utf8(output.stdout)?;
        printed.push_str(std::str::from_utf8(&output.stderr)?);
        Ok((printed, output.status.code().unwrap_or(-1)))
    }

    /// Runs a command as the document shows it, but perhaps with another id.
    async fn show(&mut self, arguments: &str, status: i32) -> Result<String> {
        let (printed, ended) = self.run(arguments).await?;
        ensure!(ended == status, "{arguments} ended with {ended}:\n{printed}");
        self.document
            .check(&format!("cargo handoff {arguments}"), &printed)?;
        Ok(printed)
    }

    async fn first_of(&self, group: &str) -> Result<String> {
        let state = self.bed.world.state().await?;
        let group = state.group(group).context("no such group")?;
        Ok(group.instances.first().context("it is empty")?.id.clone())
    }

    /// How many messages are in dead-letter queues.
    async fn dead(&self) -> Result<usize> {
        let state = self.bed.world.state().await?;
        let queues = state
            .queues
            .iter()
            .filter(|queue| queue.name.ends_with("dead-letters"));
        Ok(queues.map(|queue| queue.bodies.len()).sum())
    }

    async fn until(&self, what: &str, enough: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let closes = Instant::now() + PATIENCE;
        while !enough().await? {
            if Instant::now() > closes {
                let reports: Vec<String> = self
                    .bed
                    .reports()
                    .into_iter()
                    .map(|report| report.message)
                    .collect();
                bail!("waited in vain until {what}; reports: {reports:#?}");
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn a_game_day_and_what_the_logs_tell_of_it() -> Result<()> {
    let options = Options::default().parameter("Drills", "real");
    let mut scene = Scene::start("game-day", COMMANDS, options).await?;
    scene.add_sample("spot-interruption-warning.json")?;
    let before = scene.bed.world.state().await?;

    scene.show("drill --group inference", 0).await?;
    let instance = scene.first_of("inference").await?;
    let replay = "replay --stack spot-handoff events/spot-interruption-warning.json --instance";
    scene.show(&format!("{replay} {instance}"), 0).await?;
    let after = scene.bed.world.state().await?;
    ensure!(
        before.groups == after.groups && before.target_groups == after.target_groups,
        "a drill that is only planned changed something"
    );

    program_reads_what_failed(&scene).await?;

    let instance = scene.first_of("hooked").await?;
    scene
        .show("drill --group hooked --signal state-change --for-real", 0)
        .await?;
    let state = scene.bed.world.state().await?;
    let registered = state.registration(&instance);
    ensure!(
        registered.is_some_and(|(_, registered)| registered.status == "DRAINING"),
        "it acts"
    );

    let detached = scene.first_of("legacy").await?;
    let (printed, status) = scene.run("drill --group legacy --for-real").await?;
    ensure!(status == 0, "{status}: {printed}");
    let state = scene.bed.world.state().await?;
    let group = state
        .group_of(&detached)
        .and_then(|group| group.member(&detached));
    ensure!(
        group.is_none_or(|member| member.lifecycle.starts_with("Detach")),
        "it has the instance detached"
    );

    scene
        .show(&format!("timeline --since 1h --instance {instance}"), 0)
        .await?;
    scene.show("timeline --since 1h --html night.html", 0).await?;
    if let Some((dom, picture)) = browser::look(&scene.folder.join("night.html"), &scene.folder)? {
        // At least two marks for what was planned, and one for each real action.
        ensure!(dom.matches("class=\"label\"").count() >= 6, "{dom}");
        ensure!(
            dom.contains("in a real interruption AWS would take the instance"),
            "{dom}"
        );
        ensure!(
            picture.starts_with(b"\x89PNG") && picture.len() > 20_000,
            "the picture is empty"
        );
    }

    // Its instances are in no cluster: they are exchanged only if the group asks for it.
    let asks = ("spot-handoff:rebalance", "launch-first");
    scene.bed.world.tag_group("mixed", asks.0, asks.1).await?;
    let begun = "drill --group mixed --signal rebalance-recommendation --for-real";
    let (printed, status) = scene.run(begun).await?;
    ensure!(
        status == 0 && printed.contains("later steps follow: cargo handoff timeline --instance i-"),
        "{status}: {printed}"
    );

    for (wrong, said) in [
        ("drill --group nobody", "there is no Auto Scaling group nobody"),
        (
            "drill --group inference --instance i-00000000",
            "has no instance i-00000000; it has i-",
        ),
        (
            "drill --group inference --stack nobody",
            "there is no stack nobody in us-east-1",
        ),
    ] {
        let (printed, status) = scene.run(wrong).await?;
        ensure!(
            status == 2 && printed.contains(said),
            "{wrong} ended with {status}: {printed}"
        );
    }
    scene
        .bed
        .world
        .tag_group("inference", "spot-handoff:ignore", "true")
        .await?;
    for empty in [
        "drill --group ",
        "exchange end --group ",
        "timeline --instance ",
        "dlq show ",
    ] {
        let (printed, status) = scene.run(empty).await?;
        ensure!(status == 2, "{empty:?} ended with {status}: {printed}");
    }
    let (printed, status) = scene.run("drill --group inference").await?;
    ensure!(
        status == 2 && printed.contains("is tagged spot-handoff:ignore"),
        "{status}: {printed}"
    );
    Ok(())
}

/// A function that failed as a whole has no report, but a program still gets a line about it.
async fn program_reads_what_failed(scene: &Scene) -> Result<()> {
    let batch = json!({"Records": [{"body": "Spot interruption of i-0123456789abcdef0"}]});
    std::fs::write(scene.folder.join("broken.json"), format!("\u{feff}{batch}"))?;
    let (printed, status) = scene
        .run("replay --stack spot-handoff broken.json --format json")
        .await?;
    ensure!(status == 1, "{status}: {printed}");
    let lines: Vec<Value> = printed
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let functions: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line["function"].as_str())
        .collect();
    ensure!(
        functions
            == BTreeSet::from([
                "deregister-targets",
                "drain-tasks",
                "replace-capacity",
                "run-commands"
            ]),
        "{printed}"
    );
    for line in &lines {
        let error = line["error"].as_str().unwrap_or_default();
        ensure!(!error.is_empty() && lines.len() == functions.len(), "{printed}");
    }
    // The lines that are not for the program go to standard error.
    ensure!(
        printed.contains("account 123456789012, region us-east-1, stack spot-handoff"),
        "{printed}"
    );
    Ok(())
}

#[tokio::test]
async fn dead_letters_are_explained_and_sent_back_where_that_makes_sense() -> Result<()> {
    let options = Options {
        announce: true,
        ..Options::default().speed(20.0)
    };
    let mut scene = Scene::start("dead-letters", COMMANDS, options).await?;
    let denied = |function: &str, action: &str| {
        json!({"action": action, "caller": function,
            "fault": {"kind": "error", "code": "AccessDenied", "message": "not allowed"}})
    };
    let faults = json!([
        denied("replace-capacity", "DetachInstances"),
        denied("replace-capacity", "SetDesiredCapacity"),
        denied("announce-hand-offs", "PutEvents"),
    ]);
    scene.bed.world.faults(&faults).await?;
    let instance = scene.first_of("inference").await?;
    let retired = scene.first_of("web").await?;
    let now = scene.bed.world.clock().now();
    let whole = jiff::Timestamp::from_second(now.as_second())?;
    let starts = now + jiff::SignedDuration::from_hours(14 * 24);
    let starts = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&starts)?;
    let event = |source: &str, kind: &str, detail: Value| {
        json!({"version": "0", "id": uuid::Uuid::new_v4().to_string(), "source": source,
            "detail-type": kind, "account": "123456789012", "time": whole, "region": "us-east-1",
            "resources": [], "detail": detail})
    };
    let warning = json!({"instance-id": instance, "instance-action": "terminate"});
    let warning = event("aws.ec2", "EC2 Spot Instance Interruption Warning", warning);
    // The order of arrival decides which message of the announcer fails: the warning, or the message for its next look.
    scene.bed.send("announce-hand-offs", &warning.to_string()).await?;
    let has_reported = || {
        let mut reports = scene.bed.reports().into_iter();
        reports.any(|report| report.function == "announce-hand-offs")
    };
    scene
        .until("the announcer waits for the others", async || Ok(has_reported()))
        .await?;
    scene.bed.send("replace-capacity", &warning.to_string()).await?;
    scene
        .bed
        .send("drain-tasks", "Spot interruption of i-0123456789abcdef0")
        .await?;
    let retirement = event(
        "aws.health",
        "AWS Health Event",
        json!({
            "service": "EC2", "eventTypeCategory": "scheduledChange",
            "eventTypeCode": "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED",
            "startTime": starts,
            "affectedEntities": [{"entityValue": retired}],
        }),
    );
    scene
        .bed
        .send("replace-capacity", &retirement.to_string())
        .await?;
    scene
        .until("four messages are dead", async || Ok(scene.dead().await? == 4))
        .await?;
    let past_the_notice = now + jiff::SignedDuration::from_secs(180);
    scene
        .until("the notice is over", async || {
            Ok(scene.bed.world.clock().now() > past_the_notice)
        })
        .await?;

    let listed = scene.show("dlq list", 1).await?;
    ensure!(scene.dead().await? == 4, "listing takes nothing out");
    let (again, _) = scene.run("dlq list").await?;
    ensure!(again.contains("4 messages"), "listing hides nothing: {again}");
    let id = |about: &str| {
        let line = listed.lines().find(|line| line.contains(about));
        line.and_then(|line| line.split(' ').next())
            .map(str::to_owned)
            .context("not in the list")
    };
    let interruption = id("interruption warning")?;
    scene.show(&format!("dlq show {interruption}"), 0).await?;
    let (printed, status) = scene.run(&format!("dlq redrive {interruption}")).await?;
    ensure!(
        status == 1 && printed.contains("AWS took the instance"),
        "{status}: {printed}"
    );

    let retirement = id("scheduled retirement")?;
    for (wrong, said) in [("0000", "has a message 0000"), ("", "a value is required")] {
        let (printed, status) = scene.run(&format!("dlq delete {wrong}")).await?;
        ensure!(
            status == 2 && printed.contains(said),
            "{wrong} ended with {status}: {printed}"
        );
    }
    let (printed, status) = scene.run(&format!("dlq delete {retirement}")).await?;
    ensure!(
        status == 1 && printed.contains("left: it is worth a redrive"),
        "{status}: {printed}"
    );
    let (again, _) = scene.run("dlq list").await?;
    ensure!(
        again.contains("4 messages"),
        "nothing is deleted or hidden: {again}"
    );

    let (_, status) = scene.run("timeline --since 1h --html night.html").await?;
    ensure!(status == 1, "failures show in the exit status");
    if let Some((dom, _)) = browser::look(&scene.folder.join("night.html"), &scene.folder)? {
        ensure!(
            dom.contains("FAILED detach instance") && dom.contains("✕"),
            "{dom}"
        );
    }

    scene.bed.world.clear_faults().await?;
    scene.show("dlq redrive --all", 1).await?;
    scene
        .until("the message was sent back", async || Ok(scene.dead().await? == 2))
        .await?;
    scene
        .until("it was done", async || {
            let mut reports = scene.bed.reports().into_iter();
            Ok(reports.any(|report| {
                report.actions.iter().any(|action| {
                    action.action == spot_handoff::report::ActionKind::RaiseDesiredCapacity
                        && action.result == spot_handoff::report::ActionResult::Done
                })
            }))
        })
        .await?;
    // It names no signal and no instance.
    let malformed = id("drain-tasks")?;
    scene.show(&format!("dlq delete {malformed}"), 0).await?;
    ensure!(scene.dead().await? == 1, "it is deleted, and nothing else");
    let (printed, status) = scene.run(&format!("dlq redrive {interruption} --anyway")).await?;
    ensure!(
        status == 0 && scene.dead().await? == 0,
        "--anyway sends back what makes no sense: {printed}"
    );

    Ok(())
}

#[tokio::test]
async fn what_the_pools_have_done_is_read_from_the_table() -> Result<()> {
    let scene = Scene::start("pools", COMMANDS, Options::default().speed(20.0)).await?;
    let (nothing, status) = scene.run("pools").await?;
    ensure!(status == 0 && nothing.starts_with("no interruption"), "{nothing}");

    let serving = async || -> Result<Vec<(String, String)>> {
        let state = scene.bed.world.state().await?;
        let members = &state.group("legacy").context("no such group")?.instances;
        let serving = members.iter().filter(|member| member.lifecycle == "InService");
        let serving = serving.map(|member| (member.zone.clone(), member.id.clone()));
        Ok(serving.collect())
    };
    let before = serving().await?;
    let zone = before.first().context("it is empty")?.0.clone();
    let mut taken: Vec<String> = vec![];
    for _ in 0..3 {
        let in_zone = async || -> Result<Option<String>> {
            let serving = serving().await?;
            let mut others = serving
                .into_iter()
                .filter(|(of, id)| *of == zone && !taken.contains(id));
            Ok(others.next().map(|(_, id)| id))
        };
        scene
            .until("an instance serves there", async || {
                Ok(in_zone().await?.is_some())
            })
            .await?;
        let instance = in_zone().await?.context("it is gone again")?;
        let event = json!({"version": "0", "id": uuid::Uuid::new_v4().to_string(), "source": "aws.ec2",
            "detail-type": "EC2 Spot Instance Interruption Warning", "account": "123456789012",
            "time": scene.bed.world.clock().now(), "region": "us-east-1", "resources": [],
            "detail": {"instance-id": instance, "instance-action": "terminate"}});
        scene.bed.put_event(&event).await?;
        taken.push(instance);
    }
    scene.bed.until_settled(PATIENCE).await?;

    let (printed, status) = scene.run("pools --group legacy --format json").await?;
    let pools: Value = serde_json::from_str(&printed).context(printed.clone())?;
    let [pool] = pools["pools"].as_array().context("no pools")?.as_slice() else {
        bail!("one pool: {printed}");
    };
    ensure!(status == 0 && pool["zone"] == json!(zone), "{printed}");
    let numbers = [&pool["warnings"], &pool["failed"], &pool["recommendations"]];
    ensure!(numbers == [&json!(3), &json!(0), &json!(0)], "{printed}");
    let (elsewhere, _) = scene.run("pools --group inference").await?;
    ensure!(elsewhere.starts_with("no interruption"), "{elsewhere}");

    let (printed, status) = scene.run("pools --html pools.html").await?;
    ensure!(status == 0 && printed.starts_with("1 pool since"), "{printed}");
    if let Some((dom, picture)) = browser::look(&scene.folder.join("pools.html"), &scene.folder)? {
        ensure!(dom.matches("class=\"taken\"").count() == 3, "{dom}");
        ensure!(picture.len() > 10_000, "the picture is empty");
    }

    let (printed, _) = scene.run("doctor --format json --group legacy").await?;
    let found: Value = serde_json::from_str(&printed).context(printed.clone())?;
    let findings = found["findings"].as_array().context("no findings")?;
    let finding = findings
        .iter()
        .find(|finding| finding["rule"] == json!("pool-that-is-taken"));
    let what = finding
        .map(|finding| finding["what"].to_string())
        .unwrap_or_default();
    ensure!(
        what.contains("3 of 3 interruptions came from") && what.contains(&zone),
        "{printed}"
    );
    Ok(())
}

#[tokio::test]
async fn a_game_day_with_real_interruptions_is_scored() -> Result<()> {
    let options = Options::default().speed(20.0);
    let scene = Scene::start("no-game-days", COMMANDS, options).await?;
    let (printed, status) = scene.run("drill --group inference --fis --for-real").await?;
    ensure!(
        status == 2 && printed.contains("deploy it with GameDays=true"),
        "{status}: {printed}"
    );
    drop(scene);

    let options = Options::default().speed(20.0).parameter("GameDays", "true");
    let scene = Scene::start("game-days", COMMANDS, options).await?;
    let before = scene.bed.world.state().await?;
    let (printed, status) = scene.run("drill --group inference --fis --percent 40").await?;
    ensure!(
        status == 0 && printed.contains("nothing was done: --for-real has AWS take these instances"),
        "{status}: {printed}"
    );
    ensure!(
        scene.bed.world.state().await?.groups == before.groups,
        "it took some"
    );

    let (printed, status) = scene
        .run("drill --group inference --fis --percent 40 --for-real")
        .await?;
    ensure!(status == 0, "{status}: {printed}");
    for line in [
        "account 123456789012, region us-east-1, stack spot-handoff",
        "interrupts 40 % of the Spot Instances of group inference",
        "instances interrupted                    2",
        "tasks cut off                            0",
        "seconds without a healthy target         0",
    ] {
        ensure!(printed.contains(line), "{line}: {printed}");
    }
    let after = scene.bed.world.state().await?;
    let ids = |state: &testbed::State| -> Result<BTreeSet<String>> {
        let group = state.group("inference").context("no such group")?;
        Ok(group.instances.iter().map(|one| one.id.clone()).collect())
    };
    let (before, after) = (ids(&before)?, ids(&after)?);
    let taken = before.difference(&after).count();
    ensure!(
        taken == before.len() * 40 / 100 && taken > 1,
        "{taken} of {before:?}"
    );

    let (printed, status) = scene
        .run("drill --group inference --fis --percent 40 --for-real --whole-within 5")
        .await?;
    ensure!(
        status == 1 && printed.contains("not whole within 5 s"),
        "{status}: {printed}"
    );
    let (printed, status) = scene
        .run("drill --group inference --fis --zone us-east-1z --for-real")
        .await?;
    ensure!(
        status == 1 && printed.contains("the experiment"),
        "{status}: {printed}"
    );
    // Only a zone: of all groups that have enough instances there.
    let (printed, status) = scene
        .run("drill --fis --zone us-east-1a --percent 60 --for-real")
        .await?;
    let is_told = |text: &str| printed.contains(text);
    ensure!(
        status == 0 && is_told("groups in us-east-1a") && is_told("\ngroup inference\n"),
        "{status}: {printed}"
    );
    let (printed, status) = scene
        .run("drill --fis --zone us-east-1a --percent 1 --for-real")
        .await?;
    ensure!(
        status == 1 && printed.contains("took no instance"),
        "{status}: {printed}"
    );
    let (printed, status) = scene.run("drill --fis --zone us-east-9z --for-real").await?;
    ensure!(
        status == 2 && printed.contains("no group has an instance in us-east-9z"),
        "{status}: {printed}"
    );
    let calls = scene.bed.world.calls().await?;
    let of = |what: &str| calls.iter().filter(|call| call.action.starts_with(what)).count();
    let (made, deleted) = (
        of("POST /experimentTemplates"),
        of("DELETE /experimentTemplates/"),
    );
    ensure!(made == 5 && deleted == made, "{made} made, {deleted} deleted");
    Ok(())
}
