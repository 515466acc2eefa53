//! The width of the output, and text that fits into it: wrapped between words, with a hanging indent.

use std::io::IsTerminal;

use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// The narrowest width to wrap for; a narrower terminal wraps by itself.
const NARROWEST: usize = 40;
/// If there is less room than this, a text begins under its prefix, not beside it.
const ROOM: usize = 36;
/// A space where a line never breaks.
const HARD_SPACE: &str = "\u{a0}";
/// The indent of a text that has no room beside its prefix.
const STEP_IN: usize = 4;

/// The columns of standard output: from `COLUMNS`, or from the terminal. `None` for a pipe or a file, whose lines are
/// for programs.
pub fn columns() -> Option<usize> {
    let set = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let columns = set.or_else(|| {
        let (width, _) = terminal_size::terminal_size()?;
        std::io::stdout().is_terminal().then_some(usize::from(width.0))
    });
    columns.map(|columns: usize| columns.max(NARROWEST))
}

/// How many columns a text takes, without colours.
pub fn width(text: &str) -> usize {
    display_width(text)
}

/// A prefix and a text, wrapped to the width of the output. The text continues under its own beginning.
pub fn hang(prefix: &str, text: &str) -> String {
    hang_in(columns(), prefix, text)
}

/// The same for a given number of columns.
pub fn hang_in(columns: Option<usize>, prefix: &str, text: &str) -> String {
    let Some(columns) = columns else {
        return format!("{prefix}{text}");
    };
    let beside = width(prefix);
    let indent = if beside + ROOM > columns { STEP_IN } else { beside };
    let indent = " ".repeat(indent);
    let options = Options::new(columns)
        .initial_indent(prefix)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    // An empty text would lose the prefix.
    let text = if text.is_empty() { " " } else { text };
    textwrap::fill(text, options).trim_end().to_owned()
}

/// A shell command after a prefix. If it is wrapped, a backslash joins its lines.
pub fn hang_command(prefix: &str, command: &str) -> String {
    let Some(columns) = columns() else {
        return format!("{prefix}{command}");
    };
    hang_command_in(columns, prefix, command)
}

fn hang_command_in(columns: usize, prefix: &str, command: &str) -> String {
    // A quoted part is one word.
    let parts = command.split('\'').enumerate();
    let kept: Vec<String> = parts
        .map(|(n, part)| {
            if n % 2 == 1 {
                part.replace(' ', HARD_SPACE)
            } else {
                part.to_owned()
            }
        })
        .collect();
    let wrapped = hang_in(Some(columns.saturating_sub(2)), prefix, &kept.join("'"));
    wrapped.replace('\n', " \\\n").replace(HARD_SPACE, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_on_under_its_beginning_and_no_word_is_broken() {
        let text =
            "deregistration delay is 300 s, longer than the notice; set deregistration_delay.timeout_seconds";
        assert_eq!(
            hang_in(Some(60), "a warning  ", text),
            "a warning  deregistration delay is 300 s, longer than the\n           \
             notice; set deregistration_delay.timeout_seconds"
        );
        assert_eq!(hang_in(None, "a  ", text), format!("a  {text}"));
        let long = "x".repeat(100);
        assert!(hang_in(Some(60), "a ", &long).contains(&long));
    }

    #[test]
    fn a_wrapped_command_is_still_one_and_its_quotes_are_whole() {
        let command = "aws autoscaling update-auto-scaling-group --auto-scaling-group-name web --mixed '{\"a\": {\"b\": 1}}'";
        assert_eq!(
            hang_command_in(60, "fix  ", command),
            "fix  aws autoscaling update-auto-scaling-group \\\n     --auto-scaling-group-name web --mixed \\\n     \
             '{\"a\": {\"b\": 1}}'"
        );
    }

    #[test]
    fn colours_take_no_room() {
        let red = "\u{1b}[31mred\u{1b}[0m";
        assert_eq!(width(red), 3);
        assert_eq!(hang_in(Some(40), &format!("{red}  "), ""), format!("{red}"));
    }
}
