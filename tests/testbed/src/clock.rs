//! The clock of a world, which may run faster than real time.

use std::time::Duration;

use jiff::Timestamp;

/// Real time, or real time sped up from an origin on.
///
/// Everything that belongs to a world reads the same clock: the embedded AWS, the functions
/// (by the variable [`Clock::VARIABLE`]) and this crate. Only work itself takes real time: a
/// function that needs 300 ms uses up 6 s of a world that runs twenty times as fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    origin_ms: i64,
    speed: f64,
}

impl Clock {
    /// The environment variable that tells a process of a world the time.
    pub const VARIABLE: &'static str = "SPOT_HANDOFF_CLOCK";

    /// Real time.
    pub fn real() -> Self {
        Self::fast(1.0)
    }

    /// A clock that shows real time now and runs `speed` times as fast from here on.
    pub fn fast(speed: f64) -> Self {
        Self {
            origin_ms: Timestamp::now().as_millisecond(),
            speed,
        }
    }

    /// The time in the world.
    pub fn now(&self) -> Timestamp {
        let real = Timestamp::now();
        if !self.is_fast() {
            return real;
        }
        let origin = Timestamp::from_millisecond(self.origin_ms).unwrap_or(real);
        let passed = real.duration_since(origin).as_secs_f64() * self.speed;
        let passed = jiff::SignedDuration::try_from_secs_f64(passed).unwrap_or_default();
        origin.saturating_add(passed).unwrap_or(real)
    }

    /// How long a span of the world lasts for us.
    pub fn real_span(&self, span: Duration) -> Duration {
        span.div_f64(self.speed)
    }

    /// How long a real span lasts in the world.
    pub fn world_span(&self, span: Duration) -> Duration {
        span.mul_f64(self.speed)
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
            .then(|| format!("{}x{}", self.origin_ms, self.speed))
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
        let clock = Clock {
            origin_ms: 1_795_492_800_000,
            speed: 20.0,
        };
        assert_eq!(clock.setting().as_deref(), Some("1795492800000x20"));
        assert_eq!(clock.real_span(Duration::from_secs(120)), Duration::from_secs(6));
    }

    #[test]
    fn a_fast_clock_is_ahead_of_real_time() {
        let clock = Clock {
            origin_ms: Timestamp::now().as_millisecond() - 1_000,
            speed: 20.0,
        };
        let ahead = clock.now().duration_since(Timestamp::now()).as_secs_f64();
        assert!((18.9..20.0).contains(&ahead), "{ahead} s ahead");
    }
}
