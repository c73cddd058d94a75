use super::*;
use crate::fixture::{self, DAY, MINUTE, commit, compacted, consumed, push, rows, store, tenant};
use bytes::Bytes;
use schema::{DeleteRequest, Replaced, Timestamp};

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap()
}

#[tokio::test]
async fn everything_is_counted_where_it_belongs() {
    let (client, env) = store();
    let tenant = tenant();
    let day = Day::of(Timestamp(DAY));
    let first = push(&client, &tenant, &[rows(r#"{app="a", service_name="s"}"#, &[(DAY + MINUTE, "twelve bytes"), (DAY + 2 * MINUTE, "x")])]).await;
    let waiting = push(&client, &tenant, &[rows(r#"{app="b", service_name="s"}"#, &[(DAY - 5, "yesterday"), (DAY + 5, "today")])]).await;
    // One of the hour with its labels inline, one of the day without, one that was replaced, and one that a crash left behind.
    let hour = compacted(&client, &first, Some(0), 1, true).await;
    let other = store::chunk::build(&tenant, &[rows(r#"{app="a", service_name="s"}"#, &[(DAY + 9 * MINUTE, "more of a"), (DAY + 10 * MINUTE, "")])]).unwrap();
    let whole = compacted(&client, &other, None, 2, false).await;
    let gone = compacted(&client, &other, None, 3, false).await;
    let orphan = compacted(&client, &other, None, 1_793_491_200_123 << 80, false).await;
    let entries = {
        let mut entries = vec![hour.clone(), whole.clone()];
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries
    };
    commit(&client, &env, &tenant, day, |manifest| {
        manifest.chunks = entries;
        let mut hashes = vec![consumed(first.key.hash, &env), consumed(waiting.key.hash, &env)];
        hashes.sort();
        manifest.consumed = hashes;
        manifest.replaced = vec![Replaced { key: gone.key.clone(), at: env.now() }];
    })
    .await;
    let request = |processed| DeleteRequest { id: "1".into(), query: "{}".to_owned(), start: 0, end: 1, created: 2, processed, receipt: Vec::new() };
    deletes::update(&client, &env, &tenant, |list| {
        list.requests = vec![request(None), request(Some(5))];
        Some(())
    })
    .await
    .unwrap();

    // A chunk with rows in two days that lie far apart, both compacted.
    let (early, late) = (DAY - 400 * schema::day::NANOS_PER_DAY + 7, DAY + 7);
    let far = push(&client, &tenant, &[rows(r#"{app="far"}"#, &[(early, "x"), (late, "y")])]).await;
    for at in [early, late] {
        commit(&client, &env, &tenant, Day::of(Timestamp(at)), |manifest| {
            manifest.consumed.push(consumed(far.key.hash, &env));
            manifest.consumed.sort();
        })
        .await;
    }
    let found = inspect(&client, &env, Some(&tenant)).await.unwrap();
    assert_eq!((found.at, found.tenants.len()), (env.now().as_nanos(), 1));
    let found = &found.tenants[0];
    assert_eq!((found.days, found.first_day.as_deref(), found.last_day.as_deref()), (2, Some("2025-09-27"), Some("2026-11-01")));
    // "waiting" is compacted for today, and waits for yesterday.
    let level = |objects, stored: usize, rows, line_bytes| LevelInspection {
        objects,
        stored_bytes: size(stored),
        rows,
        line_bytes,
        ratio: f64::from(u32::try_from(stored).unwrap()) / f64::from(u32::try_from(line_bytes).unwrap()),
    };
    assert_eq!(found.levels.level0, level(1, waiting.bytes.len(), 2, 14));
    assert_eq!(found.levels.hours, level(1, first.bytes.len(), 2, 13));
    assert_eq!(found.levels.days, level(1, other.bytes.len(), 2, 9));
    assert_eq!(found.total, level(3, waiting.bytes.len() + first.bytes.len() + other.bytes.len(), 6, 36));
    assert_eq!(found.oldest_waiting_row, Some(DAY - 5));
    assert_eq!(found.consumed, Waiting { objects: 2, stored_bytes: size(first.bytes.len() + far.bytes.len()) });
    assert_eq!(found.replaced, Waiting { objects: 1, stored_bytes: gone.size });
    assert_eq!((found.orphans, found.oldest_orphan), (Waiting { objects: 1, stored_bytes: orphan.size }, Some(1_793_491_200_123_000_000)));
    assert_eq!((found.manifests.objects, found.deletes_pending, found.streams), (3, 1, 2));
    let value = |value: &str, rows, line_bytes| ValueInspection { value: value.to_owned(), rows, line_bytes };
    assert_eq!(
        found.labels,
        [
            LabelInspection { name: "app".to_owned(), values: 2, approximate: false, largest: vec![value("a", 4, 22), value("b", 2, 14)] },
            LabelInspection { name: "service_name".to_owned(), values: 1, approximate: false, largest: vec![value("s", 6, 36)] },
        ]
    );
}

#[tokio::test]
async fn all_tenants_are_looked_at_and_an_unreadable_name_is_an_error() {
    let (client, env) = store();
    for name in ["b", "a"] {
        push(&client, &TenantId::parse(name).unwrap(), &[rows(r#"{app="x"}"#, &[(DAY, "line")])]).await;
    }
    let found = inspect(&client, &env, None).await.unwrap();
    assert_eq!(found.tenants.iter().map(|tenant| (tenant.tenant.as_str(), tenant.total.rows)).collect::<Vec<_>>(), [("a", 1), ("b", 1)]);
    assert_eq!(inspect(&client, &env, Some(&fixture::tenant())).await.unwrap().tenants[0].total, LevelInspection::default());
    for name in ["t=a/l0/a/x", "t=b/l1/x", "t=b/m/x"] {
        client.create(name, Bytes::from_static(b"x")).await.unwrap();
        let error = inspect(&client, &env, None).await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some(name)));
        client.delete(name).await.unwrap();
    }
}

#[test]
fn a_label_with_more_values_than_are_kept_keeps_its_largest() {
    let mut values = Values::default();
    for n in 0..3 * MAX_VALUES {
        values.add(&format!("v{n}"), 1, if n % 10_000 == 1 { 1000 } else { 1 });
    }
    let label = values.into_label("l".to_owned());
    assert!(label.approximate && label.values <= size(MAX_VALUES));
    let large: Vec<(&str, u64)> = label.largest.iter().take(6).map(|value| (value.value.as_str(), value.line_bytes)).collect();
    assert_eq!(large, [("v1", 1000), ("v10001", 1000), ("v20001", 1000), ("v30001", 1000), ("v40001", 1000), ("v50001", 1000)]);
    assert_eq!((label.largest.len(), label.largest[9].line_bytes), (TOP_VALUES, 1));
}
