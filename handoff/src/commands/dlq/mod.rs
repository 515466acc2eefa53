//! `cargo handoff dlq`: which messages failed for good, why, and whether to try them again.

mod judge;
mod letter;
mod queues;
mod reason;
mod show;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use futures::StreamExt;
use jiff::Timestamp;
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::Env;

use crate::NAME;
use crate::stack::StackArguments;
use crate::usage::UsageError;
use crate::words::count;
use crate::{style, terminal};
use judge::Judgement;
use letter::Letter;
use queues::Queues;
use reason::Reason;

/// For how many letters logs are searched at the same time. CloudWatch Logs answers five FilterLogEvents calls a
/// second.
const SEARCHES_AT_ONCE: usize = 3;

#[derive(Args)]
#[command(after_help = "\
Permissions: cloudformation:ListStackResources, sqs:ReceiveMessage and sqs:ChangeMessageVisibility on the dead-letter \
queues, logs:FilterLogEvents; to delete and to redrive also sqs:DeleteMessage there; to redrive sqs:SendMessage on the \
functions' queues.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One line for each message: what failed, why, how old, whether to redrive
    List {
        #[command(flatten)]
        stack: StackArguments,
    },
    /// Everything about one message
    Show {
        /// The message's id, or its beginning
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        #[command(flatten)]
        stack: StackArguments,
    },
    /// Sends messages back to the queue they came from
    Redrive {
        /// The message's id, or its beginning
        #[arg(required_unless_present = "all", conflicts_with = "all", value_parser = NonEmptyStringValueParser::new())]
        id: Option<String>,
        /// All messages for which it makes sense
        #[arg(long)]
        all: bool,
        /// Also where it makes no sense
        #[arg(long)]
        anyway: bool,
        #[command(flatten)]
        stack: StackArguments,
    },
    /// Deletes one message for good, so that the queue's alarm can ring again
    Delete {
        /// The message's id, or its beginning
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        /// Also where it makes sense to redrive it
        #[arg(long)]
        anyway: bool,
        #[command(flatten)]
        stack: StackArguments,
    },
}

/// A message in a dead-letter queue, and everything known about it.
struct Case {
    letter: Letter,
    judgement: Judgement,
    reason: Reason,
}

/// Runs the subcommand. Returns whether there was nothing to worry about.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let now = Clock::from_env(&Env::of_process())?.now();
    match arguments.command {
        Command::List { stack } => list(&stack, now).await,
        Command::Show { id, stack } => show_one(&stack, &id, now).await,
        Command::Redrive {
            id, anyway, stack, ..
        } => redrive(&stack, id.as_deref(), anyway, now).await,
        Command::Delete { id, anyway, stack } => delete(&stack, &id, anyway, now).await,
    }
}

async fn list(stack: &StackArguments, now: Timestamp) -> Result<bool> {
    let (config, stack) = stack.find().await?;
    let queues = Queues::new(&config, &stack);
    let letters = queues.letters().await?;
    queues.put_back(&letters).await?;
    let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
    let cases = futures::stream::iter(letters)
        .map(|letter| examine(&logs, &stack, letter, now))
        .buffered(SEARCHES_AT_ONCE);
    let cases: Vec<Result<Case>> = cases.collect().await;
    let cases: Vec<Case> = cases.into_iter().collect::<Result<_>>()?;
    anstream::println!("{}", show::list(&cases, now));
    Ok(cases.is_empty())
}

async fn show_one(stack: &StackArguments, id: &str, now: Timestamp) -> Result<bool> {
    let (config, stack) = stack.find().await?;
    let queues = Queues::new(&config, &stack);
    let letters = queues.letters().await?;
    queues.put_back(&letters).await?;
    let letter = find(&letters, id)?.clone();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
    let case = examine(&logs, &stack, letter, now).await?;
    anstream::println!("{}", show::one(&case, now));
    Ok(true)
}

async fn redrive(stack: &StackArguments, id: Option<&str>, anyway: bool, now: Timestamp) -> Result<bool> {
    let (config, stack) = stack.find().await?;
    anstream::println!("{}", style::dim(&stack.place));
    let queues = Queues::new(&config, &stack);
    let letters = queues.letters().await?;
    let chosen: Vec<&Letter> = match id {
        Some(id) => vec![take(&queues, &letters, id).await?],
        None => letters.iter().collect(),
    };
    let (mut sent, mut refused) = (vec![], vec![]);
    for letter in chosen {
        let judgement = judge::judge(letter, now);
        if (judgement.is_sensible() || anyway) && !letter.source.is_empty() {
            sent.push(letter);
        } else {
            refused.push((letter, judgement));
        }
    }
    put_back_others(&queues, &letters, &sent).await?;
    for letter in &sent {
        queues.redrive(letter).await?;
        anstream::println!(
            "{} {}  sent back to {}",
            style::good("✓"),
            letter.short_id(),
            letter.function
        );
    }
    for (letter, judgement) in &refused {
        let prefix = format!("{} {}  ", style::warning("!"), letter.short_id());
        anstream::println!("{}", terminal::hang(&prefix, &format!("left: {judgement}")));
    }
    if !anyway && refused.iter().any(|(letter, _)| !letter.source.is_empty()) {
        anstream::println!("{}", style::dim("--anyway sends them back all the same"));
    }
    if sent.is_empty() && refused.is_empty() {
        anstream::println!("the dead-letter queues are empty");
    } else {
        anstream::println!(
            "{}, {} left",
            count(sent.len() as u64, "message") + " sent back",
            refused.len()
        );
    }
    Ok(refused.is_empty())
}

async fn delete(stack: &StackArguments, id: &str, anyway: bool, now: Timestamp) -> Result<bool> {
    let (config, stack) = stack.find().await?;
    anstream::println!("{}", style::dim(&stack.place));
    let queues = Queues::new(&config, &stack);
    let letters = queues.letters().await?;
    let letter = take(&queues, &letters, id).await?;
    let judgement = judge::judge(letter, now);
    anstream::println!("{}", show::line(letter, &judgement, now));
    if judgement.is_sensible() && !anyway {
        queues.put_back(&letters).await?;
        let id = letter.short_id();
        anstream::println!("{} {id}  left: it is worth a redrive", style::warning("!"));
        anstream::println!("{}", style::dim("--anyway deletes it all the same"));
        return Ok(false);
    }
    put_back_others(&queues, &letters, &[letter]).await?;
    queues.delete(letter).await?;
    anstream::println!("{} {}  deleted", style::good("✓"), letter.short_id());
    Ok(true)
}

/// The letter with this id. If there is none, the queues are left as they were.
async fn take<'a>(queues: &Queues<'_>, letters: &'a [Letter], id: &str) -> Result<&'a Letter> {
    match find(letters, id) {
        Ok(letter) => Ok(letter),
        Err(error) => {
            queues.put_back(letters).await?;
            Err(error.into())
        }
    }
}

async fn put_back_others(queues: &Queues<'_>, letters: &[Letter], taken: &[&Letter]) -> Result<()> {
    let is_taken = |letter: &&Letter| taken.iter().any(|other| other.id == letter.id);
    let others: Vec<Letter> = letters
        .iter()
        .filter(|letter| !is_taken(letter))
        .cloned()
        .collect();
    queues.put_back(&others).await
}

async fn examine(
    logs: &aws_sdk_cloudwatchlogs::Client,
    stack: &crate::stack::Stack,
    letter: Letter,
    now: Timestamp,
) -> Result<Case> {
    Ok(Case {
        judgement: judge::judge(&letter, now),
        reason: reason::of(logs, stack, &letter).await?,
        letter,
    })
}

fn find<'a>(letters: &'a [Letter], id: &str) -> Result<&'a Letter, UsageError> {
    let mut found = letters.iter().filter(|letter| letter.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(letter), None) => Ok(letter),
        (Some(_), Some(_)) => Err(UsageError::new(format!(
            "several messages begin with {id}: give more of the id"
        ))),
        (None, _) => Err(UsageError::new(format!(
            "no dead-letter queue has a message {id}: {NAME} dlq list shows what there is"
        ))),
    }
}
