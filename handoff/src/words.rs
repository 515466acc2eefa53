//! Numbers with nouns, and spans of time.

use jiff::SignedDuration;

/// `1 function`, `2 functions`.
pub fn count(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// `40 s`, `12 min`, `3 h`, `2 d`.
pub fn span(span: SignedDuration) -> String {
    match span.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_one_unit() {
        let spans = [40, 119, 120, 7199, 7200, 172_800].map(|s| span(SignedDuration::from_secs(s)));
        assert_eq!(spans, ["40 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }
}
