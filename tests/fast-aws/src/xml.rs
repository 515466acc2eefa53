//! Answers of the query protocol.

use aws_smithy_xml::encode::{ScopeWriter, XmlWriter};

/// An answer of an action: what `write` puts into its result.
pub(crate) fn answer(action: &str, write: impl FnOnce(&mut ScopeWriter<'_, '_>)) -> String {
    let mut text = String::new();
    let mut writer = XmlWriter::new(&mut text);
    let name = format!("{action}Response");
    let mut response = writer.start_el(&name).finish();
    inside(&mut response, &format!("{action}Result"), write);
    inside(&mut response, "ResponseMetadata", |metadata| {
        leaf(metadata, "RequestId", "0")
    });
    response.finish();
    text
}

/// An element with others in it.
pub(crate) fn inside(
    parent: &mut ScopeWriter<'_, '_>,
    name: &str,
    write: impl FnOnce(&mut ScopeWriter<'_, '_>),
) {
    let mut element = parent.start_el(name).finish();
    write(&mut element);
    element.finish();
}

/// A list: each item in an element `member`.
pub(crate) fn members<T>(
    parent: &mut ScopeWriter<'_, '_>,
    name: &str,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut ScopeWriter<'_, '_>, T),
) {
    inside(parent, name, |list| {
        for item in items {
            inside(list, "member", |member| write(member, item));
        }
    });
}

/// A list of plain values.
pub(crate) fn values<'a>(
    parent: &mut ScopeWriter<'_, '_>,
    name: &str,
    items: impl IntoIterator<Item = &'a str>,
) {
    inside(parent, name, |list| {
        for item in items {
            leaf(list, "member", item);
        }
    });
}

/// An element with text in it.
pub(crate) fn leaf(parent: &mut ScopeWriter<'_, '_>, name: &str, text: impl ToString) {
    let mut element = parent.start_el(name).finish();
    element.data(&text.to_string());
    element.finish();
}

/// An element with text in it, where there is any.
pub(crate) fn optional(parent: &mut ScopeWriter<'_, '_>, name: &str, text: Option<impl ToString>) {
    if let Some(text) = text {
        leaf(parent, name, text);
    }
}
