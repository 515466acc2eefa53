//! Answers in pages: the token is the number of the next item.

use super::error::AwsError;

/// The items of one page, and the token of the next.
pub(crate) fn page<T>(
    items: Vec<T>,
    token: Option<&str>,
    size: usize,
    bad_token: &AwsError,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let from = match token {
        Some(token) => token.parse().map_err(|_| bad_token.clone())?,
        None => 0,
    };
    let more = items.len() > from + size;
    let shown = items.into_iter().skip(from).take(size).collect();
    Ok((shown, more.then(|| (from + size).to_string())))
}
