//! The clock of a world, which may run faster than real time.

use std::time::Duration;

use jiff::Timestamp;
use spot_handoff::runtime::clock;

/// A clock that can be handed on to the processes of a world.
///
/// Everything in a world reads the same clock: the embedded AWS, the functions (by the
/// variable [`Clock::VARIABLE`]) and this crate. Only work itself takes real time: a function
/// that needs 300 ms uses up 6 s of a world that runs twenty times as fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    shown: clock::Clock,
    origin: Timestamp,
    speed: f64,
}

impl Clock {
    /// The environment variable that tells a process of a world the time.
    pub const VARIABLE: &'static str = "SPOT_HANDOFF_CLOCK";

    /// Real time.
    pub fn real() -> Self {
        Self {
            shown: clock::Clock::real(),
            origin: Timestamp::UNIX_EPOCH,
            speed: 1.0,
        }
    }

    /// A clock that shows real time now and runs `speed` times as fast from here on.
    pub fn fast(speed: f64) -> Self {
        Self::fast_from(Timestamp::now(), speed)
    }

    fn fast_from(origin: Timestamp, speed: f64) -> Self {
        Self {
            shown: clock::Clock::fast(origin, speed),
            origin,
            speed,
        }
    }

    /// The time in the world.
    pub fn now(&self) -> Timestamp {
        self.shown.now()
    }

    /// How long a span of the world lasts for us.
    pub fn real_span(&self, span: Duration) -> Duration {
        self.shown.real_duration(span)
    }

    /// Whether the clock runs faster than real time.
    pub fn is_fast(&self) -> bool {
        self.speed != 1.0
    }

    /// How many seconds of the world pass in a real one.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// The value of [`Clock::VARIABLE`]; `None` where real time needs no telling.
    pub fn setting(&self) -> Option<String> {
        self.is_fast()
            .then(|| format!("{}x{}", self.origin.as_millisecond(), self.speed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_is_not_passed_on() {
        assert_eq!(Clock::real().setting(), None);
    }

    #[test]
    fn a_fast_clock_is_passed_on_as_origin_and_speed() {
        let origin = "2026-11-24T04:00:00Z".parse().unwrap();
        let clock = Clock::fast_from(origin, 20.0);
        assert_eq!(clock.setting().as_deref(), Some("1795492800000x20"));
        assert_eq!(clock.real_span(Duration::from_secs(120)), Duration::from_secs(6));
    }
}
