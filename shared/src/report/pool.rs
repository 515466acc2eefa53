//! Spot capacity pools: one instance type in one zone. AWS takes instances back pool by pool.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-best-practices.html>

use serde::{Deserialize, Serialize};

/// The pool of an instance, as far as Auto Scaling tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pool {
    /// Instance type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Availability Zone. Each account has its own names for zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Id of the zone. It is the same in every account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_id: Option<String>,
}

impl Pool {
    /// The pool with these values; `None` if all are missing.
    pub fn of(instance_type: Option<&str>, zone: Option<&str>, zone_id: Option<&str>) -> Option<Self> {
        let told = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let pool = Self {
            instance_type: told(instance_type),
            zone: told(zone),
            zone_id: told(zone_id),
        };
        (pool != Self::default()).then_some(pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_left_out() {
        assert_eq!(Pool::of(None, Some(""), None), None);
        let pool = Pool::of(Some("m5.large"), Some("us-east-1a"), None).expect("a pool");
        let json = serde_json::to_value(&pool).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({"instance_type": "m5.large", "zone": "us-east-1a"})
        );
        assert_eq!(serde_json::from_value::<Pool>(json).expect("read"), pool);
    }
}
