//! A page as a list of transcripts, and the parts of a transcript that change with every run.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

/// The document, with the transcripts in it.
pub struct Document {
    page: &'static str,
    path: PathBuf,
    text: String,
}

const OPENS: &str = "```console\n$ ";
const CLOSES: &str = "\n```";
/// On a line of its own, it matches any lines; at the end of a line, it matches the rest.
const GAP: char = '…';

impl Document {
    /// Reads it.
    pub fn read(page: &'static str) -> Result<Self> {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(page);
        let text = std::fs::read_to_string(&path).context(page)?;
        Ok(Self { page, path, text })
    }

    /// Where the page shows a command, whatever ids the command has.
    fn find(&self, command: &str) -> Option<Range<usize>> {
        let starts = self.text.match_indices(OPENS).map(|(at, _)| at + OPENS.len());
        let mut lines = starts.filter_map(|start| Some(start..start + self.text[start..].find('\n')?));
        lines.find(|line| settle_line(&self.text[line.clone()]) == settle_line(command))
    }

    /// Compares the output of a command with its transcript. With `UPDATE`, it puts the output into the document,
    /// except if the transcript has [`GAP`]s: a person has to choose which lines it shows.
    pub fn check(&mut self, command: &str, printed: &str) -> Result<()> {
        let shown = self.find(command);
        let shown = shown.with_context(|| format!("{} shows no `{command}`", self.page))?;
        let start = shown.end + 1;
        let length = self.text[start - 1..]
            .find(CLOSES)
            .context("the transcript does not end")?;
        let end = (start - 1 + length).max(start);
        let printed = printed.trim_matches('\n');
        if self.text[start..end].contains(GAP) {
            let lacking = lacking(&self.text[start..end], printed);
            return lacking.map_or(Ok(()), |line| {
                bail!(
                    "{} shows of `{command}` the line\n\n{line}\n\nbut it prints:\n\n{printed}",
                    self.page
                )
            });
        }
        if std::env::var_os("UPDATE").is_some() {
            let end_of_line = if start == end { "\n" } else { "" };
            self.text
                .replace_range(start..end, &format!("{printed}{end_of_line}"));
            self.text.replace_range(shown, command);
            std::fs::write(&self.path, &self.text)?;
            return Ok(());
        }
        let (shown, printed) = (settle(&self.text[start..end]), settle(printed));
        ensure!(
            shown == printed,
            "{} shows of `{command}`:\n\n{shown}\n\nbut it prints:\n\n{printed}\n\n\
             (UPDATE=1 cargo test -p handoff --test commands writes it there)",
            self.page
        );
        Ok(())
    }
}

#[test]
fn a_command_is_found_under_another_id() {
    let text = "```console\n$ dlq list\n```\n```console\n$ dlq show 713eed38\nit\n```".to_owned();
    let document = Document {
        page: "",
        path: PathBuf::new(),
        text,
    };
    let found = |command| document.find(command).map(|at| &document.text[at]);
    assert_eq!(found("dlq show 85472452-65e1-4bd3"), Some("dlq show 713eed38"));
    assert_eq!(found("dlq list"), Some("dlq list"));
    assert_eq!(found("dlq redrive"), None);
}

/// The first line of a transcript with gaps that was not printed after the lines before it. The lines between two gaps
/// must be printed in that order, but timed lines in any order.
fn lacking(shown: &str, printed: &str) -> Option<String> {
    let printed: Vec<String> = printed.lines().map(settle_line).collect();
    let mut from = 0;
    for line in shown.lines().filter(|line| line.trim() != GAP.to_string()) {
        let (wanted, is_cut) = match line.strip_suffix(GAP) {
            Some(kept) => (settle_line(kept.trim_end()), true),
            None => (settle_line(line), false),
        };
        let is_timed = line.starts_with("T+");
        let rest = if is_timed { &printed[..] } else { &printed[from..] };
        let at = rest
            .iter()
            .position(|one| *one == wanted || is_cut && one.starts_with(&wanted));
        match at {
            Some(at) if !is_timed => from += at + 1,
            Some(_) => {}
            None => return Some(line.to_owned()),
        }
    }
    None
}

/// Makes two transcripts of the same run equal: it replaces times and generated ids with words, and sorts the lines of
/// a timeline, so that it does not matter which function was fastest.
fn settle(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(settle_line).collect();
    let is_timed = |line: &String| line.starts_with("T+");
    let settled = lines
        .chunk_by(|a, b| is_timed(a) == is_timed(b))
        .flat_map(|chunk| {
            let mut chunk = chunk.to_vec();
            if is_timed(&chunk[0]) {
                chunk.sort();
            }
            chunk
        });
    settled.collect::<Vec<_>>().join("\n")
}

fn settle_line(line: &str) -> String {
    let line = match line.strip_prefix("T+") {
        // `T+  412 ms  ` and `T+  41.2 s  ` have the same width.
        Some(rest) => format!("T+TIME{}", rest.get(8..).unwrap_or_default()),
        None => line.to_owned(),
    };
    let words = line.split(' ').map(settle_word).collect::<Vec<_>>();
    let mut line = words.join(" ");
    // Columns are as wide as their contents.
    while line.contains("  ") {
        line = line.replace("  ", " ");
    }
    for unit in ["s", "min", "h", "d"] {
        line = line
            .replace(&format!("# {unit} "), "# TIME ")
            .replace(&format!("# {unit}."), "# TIME.");
    }
    line
}

fn settle_word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let is = |of: fn(char) -> bool| !bare.is_empty() && bare.chars().all(of);
    let hex = |c: char| c.is_ascii_hexdigit() || c == '-';
    let settled = if is(hex) && bare.len() >= 8 {
        "ID"
    } else if is(|c| c.is_ascii_digit() || "-:TZ.".contains(c)) {
        "#"
    } else {
        return word.to_owned();
    };
    word.replace(bare, settled)
}

#[test]
fn transcripts_of_two_runs_settle_to_the_same() {
    let one = "sent 2026-11-24T05:39:54Z\nT+   90 ms  b  done  x 18382783\nT+  221 ms  a  done  y\n\na    119.6 s left";
    let two = "sent 2026-11-25T06:00:00Z\nT+   12 ms  a  done  y\nT+  39.1 s  b  done  x 7582e496\n\na   65.6 s left";
    assert_eq!(settle(one), settle(two));
    assert_ne!(settle(one), settle(&one.replace("done", "FAILED")));
}

#[test]
fn a_transcript_with_gaps_shows_lines_that_were_printed() {
    let printed = "a\nT+   90 ms  b  done  x 18382783 and more\nb\nc 12 s";
    assert_eq!(
        lacking("a\n  …\nT+  12.1 s  b  done  x 7582e496 …\n  …\nc 13 s", printed),
        None
    );
    assert_eq!(
        lacking("a\n  …\nT+  12.1 s  b  failed …", printed).as_deref(),
        Some("T+  12.1 s  b  failed …")
    );
    assert_eq!(lacking("b\n  …\na", printed).as_deref(), Some("a"));
}
