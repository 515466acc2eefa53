//! The picture of a hand-off: each function has a lane, each action is a mark, the deadline is a line.

use jiff::Timestamp;
use maud::{Markup, html};
use spot_handoff::report::ActionKind;

use super::super::story::Story;
use super::super::{Line, Word, since};
use super::work::{self, Series};

const RIGHT: f64 = 20.0;
const TOP: f64 = 26.0;
const ROW: f64 = 19.0;
const LANE_MARGIN: f64 = 9.0;
/// The height of a line for the work, and its margin above and below.
const WORK: f64 = 26.0;
const WORK_MARGIN: f64 = 7.0;
/// The width of a letter in a label.
const LETTER: f64 = 6.6;
/// The distance from a mark to its label.
const TO_LABEL: f64 = 10.0;
/// Marks closer than this are drawn as one.
const NEAR: f64 = 9.0;
/// A picture shows at least this many seconds, so that quick actions look quick.
const AT_LEAST: f64 = 10.0;
/// Time shown after the deadline.
const AFTER_DEADLINE: f64 = 8.0;
/// A deadline later than this is not in the picture: it would leave too little room for the actions.
const DEADLINE_IN_SIGHT: f64 = 600.0;
const STEPS: [f64; 12] = [
    0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0,
];

/// The dimensions of a picture.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    width: f64,
    /// Where time begins. The names of the lanes are to the left of it, or above their lanes.
    left: f64,
    names_above: bool,
    /// How many ticks fit.
    ticks: f64,
}

impl Frame {
    /// For a screen.
    pub const WIDE: Self = Self {
        width: 1000.0,
        left: 150.0,
        names_above: false,
        ticks: 8.0,
    };
    /// For a phone: everything is visible, also the deadline.
    pub const NARROW: Self = Self {
        width: 350.0,
        left: 12.0,
        names_above: true,
        ticks: 4.0,
    };

    /// The space above the first row of a lane.
    fn above(self) -> f64 {
        if self.names_above { ROW } else { 0.0 }
    }
}

/// Actions of one kind with the same result at about the same moment.
#[derive(Debug, Clone, PartialEq)]
struct Mark {
    x: f64,
    row: usize,
    word: Word,
    label: String,
    /// Whether the label is on the left, because there is no room on the right.
    label_left: bool,
    /// The tooltip of the mark.
    tooltip: String,
}

/// A function and its marks.
#[derive(Debug)]
struct Lane {
    name: String,
    marks: Vec<Mark>,
    rows: usize,
}

/// The scale of time in the picture.
#[derive(Debug, Clone, Copy)]
struct Scale {
    zero: Timestamp,
    seconds: f64,
    frame: Frame,
}

impl Scale {
    fn of(story: &Story, lines: &[Line], frame: Frame) -> Self {
        let zero = story.notice_time();
        let after = |at: Timestamp| at.duration_since(zero).as_secs_f64();
        let last = lines.iter().map(|line| after(line.at)).fold(1.0, f64::max);
        let deadline = deadline(story).map_or(0.0, |seconds| seconds + AFTER_DEADLINE);
        Self {
            zero,
            seconds: (last * 1.1).max(deadline).max(AT_LEAST),
            frame,
        }
    }

    fn x(&self, at: Timestamp) -> f64 {
        self.x_of(at.duration_since(self.zero).as_secs_f64())
    }

    fn x_of(&self, seconds: f64) -> f64 {
        let part = (seconds / self.seconds).clamp(0.0, 1.0);
        self.frame.left + part * (self.frame.width - self.frame.left - RIGHT)
    }

    fn ticks(&self) -> Vec<f64> {
        let step = STEPS
            .into_iter()
            .find(|step| self.seconds / step <= self.frame.ticks);
        let step = step.unwrap_or(self.seconds / self.frame.ticks);
        let count = (self.seconds / step).floor() as usize;
        (0..=count).map(|n| n as f64 * step).collect()
    }
}

/// Seconds from the notice to the deadline, if the picture shows it.
fn deadline(story: &Story) -> Option<f64> {
    let seconds = story
        .deadline()?
        .duration_since(story.notice_time())
        .as_secs_f64();
    (0.0..=DEADLINE_IN_SIGHT).contains(&seconds).then_some(seconds)
}

/// Whether there is anything to draw.
pub fn has_marks(lines: &[Line]) -> bool {
    lines.iter().any(is_drawn)
}

fn is_drawn(line: &Line) -> bool {
    line.action.is_some() || line.word == Word::Failed
}

/// The picture.
pub fn svg(story: &Story, lines: &[Line], frame: Frame) -> Markup {
    let scale = Scale::of(story, lines, frame);
    let lanes = lanes(lines, scale);
    let series = work::series(&story.reports);
    let each = frame.above() + WORK + 2.0 * WORK_MARGIN;
    let work_tops: Vec<(f64, &Series)> = series
        .iter()
        .enumerate()
        .map(|(index, one)| (TOP + index as f64 * each, one))
        .collect();
    let mut y = TOP + series.len() as f64 * each;
    let top_of_lanes = y;
    let placed: Vec<(f64, f64, &Lane)> = lanes
        .iter()
        .map(|lane| {
            let top = y;
            y += frame.above() + lane.rows as f64 * ROW + 2.0 * LANE_MARGIN;
            (top, y - top, lane)
        })
        .collect();
    let bottom = y;
    let label = format!("What the functions did, and when: {}", story.title());
    html! {
        svg viewBox={ "0 0 " (frame.width) " " (bottom + 22.0) } role="img" aria-label=(label) {
            @for (n, (top, height, lane)) in placed.iter().enumerate() {
                @if n % 2 == 0 { rect.lane x="0" y=(top) width=(frame.width) height=(height) {} }
                text.name x="8" y=(top + LANE_MARGIN + ROW / 2.0 + 4.0) { (lane.name) }
            }
            @if !series.is_empty() { line.work x1="0" x2=(frame.width) y1=(top_of_lanes) y2=(top_of_lanes) {} }
            @for seconds in scale.ticks() {
                @let x = scale.x_of(seconds);
                line.tick x1=(x) x2=(x) y1=(TOP) y2=(bottom) {}
                text.tick x=(x) y=(bottom + 15.0) text-anchor="middle" { (time(seconds)) }
            }
            @if let Some(seconds) = deadline(story) {
                @let x = scale.x_of(seconds);
                line.deadline x1=(x) x2=(x) y1=(TOP - 8.0) y2=(bottom) {}
                text.deadline x=(x) y="13" text-anchor="end" {
                    @if frame.names_above { (time(seconds)) } @else { (story.end()) }
                }
            }
            @for (top, one) in &work_tops { (draw_work(story, one, *top, scale)) }
            @for (top, _, lane) in &placed {
                @for mark in &lane.marks { (draw(mark, top + LANE_MARGIN + frame.above() + (mark.row as f64 + 0.5) * ROW)) }
            }
        }
    }
}

/// The part of a name that fits before the lines.
fn fitted(name: &str, frame: Frame) -> String {
    const LETTERS: usize = 19;
    let letters = name.chars().count();
    if frame.names_above || letters <= LETTERS {
        return name.to_owned();
    }
    let begins: String = name.chars().take(LETTERS - 1).collect();
    format!("{begins}…")
}

/// A number over time: a line, with a mark and the number at each change.
fn draw_work(story: &Story, series: &Series, top: f64, scale: Scale) -> Markup {
    let frame = scale.frame;
    let bottom = top + frame.above() + WORK_MARGIN + WORK;
    let most = series.most().max(1) as f64;
    let y = |number: usize| bottom - number as f64 / most * WORK;
    let reported = story.reports.iter().map(|report| report.started_at).max();
    let last = story
        .deadline()
        .into_iter()
        .chain(reported)
        .max()
        .unwrap_or(scale.zero);
    let corners = work::corners(series, last, |at| scale.x(at), y);
    let points: Vec<String> = corners
        .iter()
        .map(|(x, y)| format!("{},{}", round(*x), round(*y)))
        .collect();
    html! {
        text.name x="8" y=(top + WORK_MARGIN + 13.0) { title { (series.name) } (fitted(&series.name, frame)) }
        line.ground x1=(frame.left) x2=(frame.width - RIGHT) y1=(bottom) y2=(bottom) {}
        polyline.number points=(points.join(" ")) {}
        @for (at, number) in &series.seen {
            g.number {
                title { (since(scale.zero, *at)) " " (number) " " (series.name) }
                circle cx=(round(scale.x(*at))) cy=(round(y(*number))) r="3" {}
                text.label x=(round(scale.x(*at) + 5.0)) y=(round((y(*number) - 3.0).max(top + frame.above() + if frame.names_above { 15.0 } else { 9.0 }))) { (number) }
            }
        }
    }
}

fn time(seconds: f64) -> String {
    if seconds >= 600.0 {
        format!("{} min", (seconds / 6.0).round() / 10.0)
    } else {
        format!("{seconds} s")
    }
}

fn lanes(lines: &[Line], scale: Scale) -> Vec<Lane> {
    let drawn = || lines.iter().filter(|line| is_drawn(line));
    let mut names: Vec<&str> = drawn().map(|line| line.who.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let lane = |name: &str| {
        let mut marks = marks(drawn().filter(|line| line.who == name), scale);
        let rows = place(&mut marks, scale.frame).max(1);
        Lane {
            name: name.to_owned(),
            marks,
            rows,
        }
    };
    names.into_iter().map(lane).collect()
}

/// The actions as marks. Actions that would overlap share a mark.
fn marks<'a>(lines: impl Iterator<Item = &'a Line>, scale: Scale) -> Vec<Mark> {
    let mut groups = Vec::<(f64, &Line, Vec<String>)>::new();
    for line in lines {
        let x = scale.x(line.at);
        let tooltip = format!(
            "{} {} {}",
            since(scale.zero, line.at),
            line.word.text(),
            line.plain()
        );
        let same = groups.iter_mut().find(|(at, first, _)| {
            (x - at).abs() < NEAR && first.word == line.word && first.action == line.action
        });
        match same {
            Some((_, _, tooltips)) => tooltips.push(tooltip),
            None => groups.push((x, line, vec![tooltip])),
        }
    }
    let mark = |(x, line, tooltips): (f64, &Line, Vec<String>)| {
        let what = line
            .action
            .map_or_else(|| "could not read".to_owned(), ActionKind::in_words);
        let mut label = match line.word {
            Word::Failed => format!("FAILED {what}"),
            Word::Lost => format!("LOST {what}"),
            Word::Impossible => format!("cannot {what}"),
            Word::Planned => format!("would {what}"),
            Word::Later => format!("later: {what}"),
            _ => what,
        };
        if tooltips.len() > 1 {
            label.push_str(&format!(" ×{}", tooltips.len()));
        }
        Mark {
            x,
            row: 0,
            word: line.word,
            label,
            label_left: false,
            tooltip: tooltips.join("\n"),
        }
    };
    groups.into_iter().map(mark).collect()
}

/// Puts each mark into the first row in which it and its label touch no other mark. Returns the number of rows.
fn place(marks: &mut [Mark], frame: Frame) -> usize {
    let mut rows = Vec::<Vec<(f64, f64)>>::new();
    for mark in marks {
        let width = TO_LABEL + mark.label.chars().count() as f64 * LETTER;
        // On the left there is only room for a label that does not begin before the picture.
        mark.label_left = mark.x + width > frame.width - 4.0 && mark.x - width > 0.0;
        let span = if mark.label_left {
            (mark.x - width, mark.x + NEAR)
        } else {
            (mark.x - NEAR, mark.x + width)
        };
        let free = |row: &Vec<(f64, f64)>| row.iter().all(|taken| span.1 < taken.0 || taken.1 < span.0);
        mark.row = rows.iter().position(free).unwrap_or(rows.len());
        if mark.row == rows.len() {
            rows.push(vec![]);
        }
        rows[mark.row].push(span);
    }
    rows.len()
}

fn draw(mark: &Mark, y: f64) -> Markup {
    let (x, anchor) = if mark.label_left {
        (mark.x - TO_LABEL, "end")
    } else {
        (mark.x + TO_LABEL, "start")
    };
    html! {
        g class=(class(mark.word)) {
            title { (mark.tooltip) }
            g transform={ "translate(" (round(mark.x)) " " (round(y)) ")" } { (shape(mark.word)) }
            text.label x=(round(x)) y=(round(y + 4.0)) text-anchor=(anchor) { (mark.label) }
        }
    }
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A result as a small icon in a text. Each has its own shape, for people who cannot see colours.
pub fn icon(word: Word) -> Markup {
    html! {
        svg class={ "icon " (class(word)) } viewBox="-7 -7 14 14" aria-hidden="true" { (shape(word)) }
    }
}

fn class(word: Word) -> &'static str {
    match word {
        Word::Done | Word::Already => "done",
        Word::Planned | Word::Later => "pending",
        Word::Failed | Word::Lost => "failed",
        Word::Impossible | Word::Warning => "warning",
        Word::Left | Word::Task | Word::Note => "dim",
    }
}

fn shape(word: Word) -> Markup {
    html! {
        @match word {
            Word::Done => circle.solid r="4.5" {},
            Word::Already => rect.solid x="-3.5" y="-3.5" width="7" height="7" {},
            Word::Planned => path.open d="M0 -5.5 5.5 0 0 5.5 -5.5 0Z" {},
            Word::Later => circle.open r="4.5" {},
            Word::Failed | Word::Lost => path.cross d="M-5 -5 5 5M5 -5 -5 5" {},
            Word::Impossible | Word::Warning => path.open d="M0 -5.5 5.5 4.5 -5.5 4.5Z" {},
            Word::Left | Word::Task | Word::Note => path.open d="M-4 0H4" {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(x: f64, label: &str) -> Mark {
        Mark {
            x,
            row: 0,
            word: Word::Done,
            label: label.to_owned(),
            label_left: false,
            tooltip: String::new(),
        }
    }

    #[test]
    fn labels_never_lie_on_each_other_nor_leave_the_picture() {
        let mut marks = [
            mark(150.0, "deregister target ×3"),
            mark(152.0, "stop task"),
            mark(400.0, "stop task"),
            mark(Frame::WIDE.width - RIGHT, "run task again"),
        ];
        assert_eq!(place(&mut marks, Frame::WIDE), 2);
        let rows: Vec<_> = marks.iter().map(|mark| mark.row).collect();
        assert_eq!(rows, [0, 1, 0, 0]);
        let left: Vec<_> = marks.iter().map(|mark| mark.label_left).collect();
        assert_eq!(left, [false, false, false, true]);
    }

    #[test]
    fn a_name_is_cut_where_the_lines_begin() {
        let name = "classifier-of-images: serving";
        assert_eq!(fitted(name, Frame::NARROW), name);
        assert_eq!(fitted(name, Frame::WIDE), "classifier-of-imag…");
        assert_eq!(fitted("ranker: serving", Frame::WIDE), "ranker: serving");
    }

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |seconds| {
            Scale {
                zero: Timestamp::UNIX_EPOCH,
                seconds,
                frame: Frame::WIDE,
            }
            .ticks()
        };
        assert_eq!(ticks(128.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0]);
        assert_eq!(ticks(3.0), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        assert!(ticks(1_000_000.0).len() <= 9);
    }
}
