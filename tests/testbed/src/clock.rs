//! The clock of a world, which may run faster than real time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use spot_handoff::runtime::clock;

/// A clock that the processes of a world can share.
///
/// Everything in a world reads the same clock: the embedded AWS, the functions (by the variable [`Clock::VARIABLE`])
/// and this crate. Only work itself takes real time: a function that needs 300 ms uses 6 s of a world that runs
/// twenty times as fast.
///
/// A fast clock can leap, and all copies of it leap with it. But a process that got the setting before a leap keeps
/// the old time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The moment at which it agrees with real time, in milliseconds since the Unix epoch. The earlier this moment,
    /// the further the clock is ahead.
    origin: &'static AtomicI64,
    speed: f64,
}

/// The origin of real time. Nobody moves it.
static REAL: AtomicI64 = AtomicI64::new(0);

impl Clock {
    /// The environment variable that tells a process of a world the time.
    pub const VARIABLE: &'static str = "SPOT_HANDOFF_CLOCK";

    /// Real time.
    pub fn real() -> Self {
        Self {
            origin: &REAL,
            speed: 1.0,
        }
    }

    /// A clock that shows real time now and runs `speed` times as fast from here on.
    pub fn fast(speed: f64) -> Self {
        Self::fast_from(Timestamp::now(), speed)
    }

    fn fast_from(origin: Timestamp, speed: f64) -> Self {
        // A few bytes for each world, for as long as the program runs.
        let origin = Box::leak(Box::new(AtomicI64::new(origin.as_millisecond())));
        Self { origin, speed }
    }

    fn shown(&self) -> clock::Clock {
        if !self.is_fast() {
            return clock::Clock::real();
        }
        let origin = Timestamp::from_millisecond(self.origin.load(Ordering::SeqCst));
        clock::Clock::fast(origin.unwrap_or(Timestamp::UNIX_EPOCH), self.speed)
    }

    /// The time in the world.
    pub fn now(&self) -> Timestamp {
        self.shown().now()
    }

    /// Goes on with another setting of the same speed.
    pub(crate) fn leap(&self, setting: &str) {
        let origin = setting.split_once('x').map(|(origin, _)| origin.parse());
        if let Some(Ok(origin)) = origin
            && self.is_fast()
        {
            self.origin.store(origin, Ordering::SeqCst);
        }
    }

    /// How long a span of the world lasts in real time.
    pub fn real_span(&self, span: Duration) -> Duration {
        self.shown().real_duration(span)
    }

    /// Whether the clock runs faster than real time.
    pub fn is_fast(&self) -> bool {
        self.speed != 1.0
    }

    /// How many seconds of the world pass in a real one.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// The value of [`Clock::VARIABLE`]; `None` for real time.
    pub fn setting(&self) -> Option<String> {
        self.is_fast()
            .then(|| format!("{}x{}", self.origin.load(Ordering::SeqCst), self.speed))
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

    #[test]
    fn every_copy_leaps() {
        let clock = Clock::fast(5.0);
        let (copy, before) = (clock, clock.now());
        let origin = clock.origin.load(Ordering::SeqCst);
        // If the origin is a minute earlier, there is a minute less of real time, and five of the world.
        clock.leap(&format!("{}x5", origin - 60_000));
        let ahead = copy.now().duration_since(before).as_secs_f64();
        assert!((240.0..250.0).contains(&ahead), "{ahead}");
        Clock::real().leap("0x5");
        assert!(
            Timestamp::now()
                .duration_since(Clock::real().now())
                .as_secs_f64()
                .abs()
                < 1.0
        );
    }
}
