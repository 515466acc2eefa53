//! A Capacity Block ends: told some 40 minutes ahead, about the reservation and not its instances.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-monitor.html>

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Content, Matter, NoticeError, cut, detail};

/// AWS's pages have both spellings.
pub const DETAIL_TYPES: [&str; 2] = [
    "Capacity Block Expiration Warning",
    "Capacity Block Reservation Expiration Warning",
];

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "an object")]
struct Detail {
    capacity_reservation_id: String,
    /// AWS shows no example of its form. What cannot be read is not told, and no reason to tell nothing.
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
