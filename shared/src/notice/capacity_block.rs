//! A Capacity Block ends. AWS sends this event some 40 minutes ahead, about the reservation and not about its
//! instances.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-monitor.html>

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Content, Matter, NoticeError, cut, detail};

/// AWS's documentation has both names.
pub const DETAIL_TYPES: [&str; 2] = [
    "Capacity Block Expiration Warning",
    "Capacity Block Reservation Expiration Warning",
];

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "an object")]
struct Detail {
    capacity_reservation_id: String,
    /// AWS documents no example of its format. If it cannot be read, the event is announced without it.
    #[serde(default)]
    end_date: serde_json::Value,
}

pub fn parse(value: &RawValue) -> Result<Content, NoticeError> {
    let Detail {
        capacity_reservation_id,
        end_date,
    } = detail(value)?;
    let ends = end_date.as_str().and_then(|text| text.parse().ok());
    Ok(Content::Advice {
        about: vec![cut(capacity_reservation_id)],
        what: Matter::CapacityBlockEnds,
        at: ends,
    })
}
