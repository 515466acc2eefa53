//! The time of day. A replay may make it run fast.
//!
//! In Lambda this is the real time. A replay that shows two minutes in six seconds sets `SPOT_HANDOFF_CLOCK` to `<unix
//! milliseconds>x<speed>`. From that moment on, time passes `speed` times as fast: here, in the embedded AWS and in the
//! test bed. So deadlines and delays mean the same in all three.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::runtime::config::{ConfigError, Env};

/// The real clock, or one that runs faster from a given moment on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    origin: Timestamp,
    speed: f64,
}

impl Clock {
    /// The real time.
    pub fn real() -> Self {
        Self {
            origin: Timestamp::UNIX_EPOCH,
            speed: 1.0,
        }
    }

    /// A clock that runs `speed` times as fast as the real one, starting at `origin`.
    pub fn fast(origin: Timestamp, speed: f64) -> Self {
        Self { origin, speed }
    }

    /// The clock from `SPOT_HANDOFF_CLOCK`, or the real one if it is not set.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        const NAME: &str = "SPOT_HANDOFF_CLOCK";
        const EXPECTED: &str = "`<unix milliseconds>x<speed>`";
        let Some(value) = env.get(NAME) else {
            return Ok(Self::real());
        };
        let wrong = || ConfigError::new(NAME, EXPECTED, &value);
        let (origin, speed) = value.split_once('x').ok_or_else(wrong)?;
        let origin = origin
            .parse()
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let speed = speed
            .parse()
            .ok()
            .filter(|speed: &f64| speed.is_finite() && *speed > 0.0);
        match (origin, speed) {
            (Some(origin), Some(speed)) => Ok(Self { origin, speed }),
            _ => Err(wrong()),
        }
    }

    /// Now, on this clock.
    pub fn now(&self) -> Timestamp {
        let real = Timestamp::now();
        if self.speed == 1.0 {
            return real;
        }
        let passed = real.duration_since(self.origin).as_secs_f64() * self.speed;
        self.origin
            .checked_add(SignedDuration::from_secs_f64(passed))
            .unwrap_or(real)
    }

    /// How much real time passes while `duration` passes on this clock.
    pub fn real_duration(&self, duration: Duration) -> Duration {
        duration.div_f64(self.speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_shows_two_minutes_in_six_seconds() {
        let clock = Clock::fast(Timestamp::now(), 20.0);
        assert_eq!(
            clock.real_duration(Duration::from_secs(120)),
            Duration::from_secs(6)
        );
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(20));
        let passed = clock.now().duration_since(before).as_secs_f64();
        assert!(passed >= 0.4, "{passed} s passed");
    }

    #[test]
    fn a_clock_that_cannot_be_read_is_refused_by_name() {
        for value in ["20", "x20", "0x0", "1700000000000x-1", "1700000000000xfast"] {
            let env = Env::of(&[("SPOT_HANDOFF_CLOCK", value)]);
            let error = Clock::from_env(&env).expect_err(value).to_string();
            assert!(
                error.contains("SPOT_HANDOFF_CLOCK") && error.contains(value),
                "{error}"
            );
        }
    }
}
