//! The stories as one page for a browser, which needs nothing but itself.

mod picture;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::story::Story;
use super::{Line, Word, since};
use crate::words::count;

const STYLE: &str = include_str!("html/page.css");

/// The page.
pub fn page(stories: &[Story], stack: &str, from: Timestamp, now: Timestamp) -> String {
    let title = format!("{} of {stack}", count(stories.len() as u64, "hand-off"));
    let failed = stories.iter().filter(|story| !story.verdict().is_good()).count();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // The page shows what logs say; nothing in them may become more than text.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p {
                        (from.strftime("%F %T").to_string()) " to " (now.strftime("%F %T UTC").to_string()) ". "
                        @if failed == 0 { "Nothing failed." } @else {
                            strong.failed { "✕ " (count(failed as u64, "hand-off")) " with failures." }
                        }
                    }
                    @if stories.len() > 1 { (contents(stories)) }
                }
                main {
                    @for (number, story) in stories.iter().enumerate() { (section(number, story)) }
                    @if stories.is_empty() { p { "No function reported on any instance in this time." } }
                }
                @if !stories.is_empty() { (legend()) }
            }
        }
    };
    page.into_string()
}

fn contents(stories: &[Story]) -> Markup {
    html! {
        nav aria-label="Hand-offs" {
            ol {
                @for (number, story) in stories.iter().enumerate() {
                    li {
                        a href={ "#h" (number) } {
                            time { (story.notice_time().strftime("%F %T").to_string()) }
                            " " (story.title()) " " code { (story.instance()) }
                        }
                        @if !story.verdict().is_good() { " " strong.failed { "✕ failed" } }
                    }
                }
            }
        }
    }
}

fn section(number: usize, story: &Story) -> Markup {
    let lines = story.lines();
    let verdict = story.verdict();
    html! {
        section id={ "h" (number) } {
            h2 { (story.title()) " " code { (story.instance()) } }
            p.facts {
                "Sent " time { (story.notice_time().strftime("%F %T UTC").to_string()) }
                @if let Some(deadline) = story.deadline() {
                    "; " (story.end()) " at " time { (deadline.strftime("%F %T").to_string()) }
                }
                ". Event " code { (story.event_id()) } "."
            }
            @if verdict.is_good() {
                p.verdict.good { (verdict.praise()) }
            } @else {
                @for problem in verdict.problems() { p.verdict.failed { "✕ " (problem) } }
            }
            div.picture { (picture::svg(story, &lines)) }
            (table(story.notice_time(), &lines))
        }
    }
}

fn table(zero: Timestamp, lines: &[Line]) -> Markup {
    html! {
        div.table {
            table {
                thead { tr { th { "time" } th { "function" } th { "result" } th { "what" } } }
                tbody {
                    @for line in lines {
                        tr class=[(line.word == Word::Failed).then_some("failed")] {
                            td.at { (since(zero, line.at)) }
                            td { (line.who) }
                            td.word { (picture::icon(line.word)) " " (line.word.text()) }
                            td { (line.plain()) }
                        }
                    }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        footer {
            @for (word, meaning) in [
                (Word::Done, "done"),
                (Word::Already, "was done already"),
                (Word::Planned, "would be done"),
                (Word::Later, "a delayed message sees to it"),
                (Word::Impossible, "AWS cannot do it now"),
                (Word::Failed, "failed"),
            ] {
                span { (picture::icon(word)) " " (meaning) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
