use super::*;

fn at(seconds: i64) -> Timestamp {
    let now: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
    now + SignedDuration::from_secs(seconds)
}

fn doomed(id: &str, end: Option<i64>) -> Doomed {
    Doomed {
        as_last: None,
        id: id.to_owned(),
        port: None,
        serves_until: end.map(at),
        order: 0,
    }
}

fn orders(item: &UnderNotice) -> Vec<(String, u64)> {
    item.doomed()
        .into_iter()
        .map(|doomed| (doomed.id, doomed.order))
        .collect()
}

#[test]
fn each_batch_has_its_place_and_what_is_known_keeps_its_own() {
    let mut item = UnderNotice::nothing("tg");
    assert!(item.add(&[doomed("a", Some(120)), doomed("b", Some(120))], 4, at(0)));
    assert!(
        !item.add(&[doomed("a", Some(120))], 3, at(10)),
        "the same notice again"
    );
    assert!(item.add(&[doomed("a", Some(120)), doomed("c", Some(140))], 2, at(20)));
    let expected = [("a", 1), ("b", 1), ("c", 2)].map(|(id, order)| (id.to_owned(), order));
    assert_eq!(orders(&item), expected);
    assert_eq!(item.served_before(at(20)), 4, "before the first of the notices");
    assert_eq!(item.served_before(at(190)), 2, "long ago");
}

#[test]
fn what_is_over_is_forgotten_with_the_next_write() {
    let mut item = UnderNotice::nothing("tg");
    assert!(item.add(&[doomed("a", Some(120))], 9, at(0)));
    assert!(item.add(&[doomed("b", None)], 9, at(30)));
    assert_eq!(
        item.expires(),
        at(30 + 3600),
        "what has no end is kept for an hour"
    );
    assert!(item.add(&[doomed("c", Some(700))], 3, at(600)));
    assert_eq!(orders(&item), [("b".to_owned(), 2), ("c".to_owned(), 3)]);
    assert!(item.add(&[doomed("d", Some(9000))], 3, at(8000)));
    assert_eq!(orders(&item), [("d".to_owned(), 1)]);
    assert_eq!(item.served_before(at(8000)), 3);
}

#[test]
fn a_thousand_targets_of_one_batch_are_one_small_item() {
    let all: Vec<Doomed> = (0..1000)
        .map(|number| doomed(&format!("i-{number:017x}"), Some(120)))
        .collect();
    let mut item = UnderNotice::nothing("tg");
    assert!(item.add(&all, 1000, at(0)));
    let body = serde_json::to_string(&item).expect("json");
    assert!(body.len() < 40_000, "{} bytes", body.len());
    let back: UnderNotice = serde_json::from_str(&body).expect("an item");
    assert_eq!(back, item);
}
