//! The stories as a self-contained page for a browser.

mod picture;
mod work;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::story::Story;
use super::{Line, Word, since};
use crate::verdict::{State, Verdict};
use crate::words::count;
use picture::Frame;

const STYLE: &str = include_str!("html/page.css");

/// The page.
pub fn page(stories: &[Story], stack: &str, from: Timestamp, now: Timestamp) -> String {
    let title = format!("{} of {stack}", count(stories.len() as u64, "hand-off"));
    let verdicts: Vec<Verdict> = stories.iter().map(|story| story.verdict(now)).collect();
    let of = |state| verdicts.iter().filter(|verdict| verdict.state() == state).count() as u64;
    let (failed, open) = (of(State::Bad), of(State::Open));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&title, ""))
            body {
                header {
                    h1 { (title) }
                    p {
                        (from.strftime("%F %T").to_string()) " to " (now.strftime("%F %T UTC").to_string()) ". "
                        @if failed > 0 { strong.failed { "✕ " (count(failed, "hand-off")) " with failures." } " " }
                        @if open > 0 { strong.warning { "! " (count(open, "hand-off")) " not over, or not known to be." } }
                        @if failed + open == 0 { "Nothing failed." }
                    }
                    @if !stories.is_empty() { (legend()) }
                    @if stories.len() > 1 { (contents(stories, &verdicts)) }
                }
                main {
                    @for (number, (story, verdict)) in stories.iter().zip(&verdicts).enumerate() {
                        (section(number, story, verdict))
                    }
                    @if stories.is_empty() { p { "No function reported on any instance in this time." } }
                }
            }
        }
    };
    page.into_string()
}

/// The head of a page, with its own additional style.
pub fn head(title: &str, style: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            // The page shows text from logs. Nothing in it may become more than text.
            meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
            title { (title) }
            style { (PreEscaped(STYLE)) (PreEscaped(style)) }
        }
    }
}

fn contents(stories: &[Story], verdicts: &[Verdict]) -> Markup {
    html! {
        nav aria-label="Hand-offs" {
            ol {
                @for (number, (story, verdict)) in stories.iter().zip(verdicts).enumerate() {
                    li {
                        (mark(verdict.state())) " "
                        a href={ "#h" (number) } {
                            time { (story.notice_time().strftime("%F %T").to_string()) }
                            " " (story.title()) " " code { (story.instance()) }
                        }
                        " " span.place { (story.place()) }
                    }
                }
            }
        }
    }
}

/// The result of a hand-off: a mark with its own shape, and a word for people who cannot see the mark.
fn mark(state: State) -> Markup {
    let (class, mark, word) = match state {
        State::Good => ("good", "✓", "went well"),
        State::Open => ("warning", "!", "not over"),
        State::Bad => ("failed", "✕", "failed"),
    };
    html! { strong.mark.(class) role="img" aria-label=(word) title=(word) { (mark) } }
}

fn section(number: usize, story: &Story, verdict: &Verdict) -> Markup {
    let lines = story.lines();
    html! {
        section id={ "h" (number) } {
            h2 {
                (mark(verdict.state())) " " (story.title()) " " code { (story.instance()) }
                " " span.place { (story.place()) }
            }
            p.facts {
                "Sent " time { (story.notice_time().strftime("%F %T UTC").to_string()) }
                @if let Some(deadline) = story.deadline() {
                    "; " (story.end()) " at " time { (deadline.strftime("%F %T").to_string()) }
                }
                ". Event " code { (story.event_id()) } "."
            }
            @if verdict.state() == State::Good { p.verdict.good { (verdict.praise()) } }
            @if !verdict.work().is_empty() {
                ul.work { @for sentence in verdict.work() { li { (sentence) } } }
            }
            @for problem in verdict.problems() { p.verdict.failed { "✕ " (problem) } }
            @for note in verdict.notes() { p.verdict.warning { "! " (note) } }
            @if picture::has_marks(&lines) {
                div.picture.wide { (picture::svg(story, &lines, Frame::WIDE)) }
                div.picture.narrow { (picture::svg(story, &lines, Frame::NARROW)) }
            }
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
                            td.who { (line.who) }
                            td.word { (picture::icon(line.word)) " " (line.word.text()) }
                            td.what { (line.plain()) }
                        }
                    }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        p.legend {
            @for (word, meaning) in [
                (Word::Done, "done"),
                (Word::Already, "was done already"),
                (Word::Planned, "would be done"),
                (Word::Later, "a delayed message will do it"),
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
