//! Retention: chunks whose rows are all too old go as whole objects; where only some streams are too old, the chunk is written anew without them, once per day and stream.
//! Owns: which chunks. Rows that are too old are also left out of every merge (`filter`).

use schema::{ChunkEntry, ChunkRef, Day, DayManifest, StreamManifest, Timestamp};
use store::chunk::{ChunkCache, ChunkReader};

use crate::error::CompactError;
use crate::job::TenantContext;
use crate::settings::TenantSettings;

/// What becomes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    /// Some streams have expired for the whole day.
    Rewrite,
    /// All of its rows have expired.
    Drop,
}

/// Whether any row of `day` can have expired: then it is worth looking at its chunks.
pub(crate) fn may_expire(day: Day, settings: &TenantSettings, now: Timestamp) -> bool {
    let shortest = settings.retention.iter().chain(settings.retention_rules.iter().map(|rule| &rule.period)).min();
    shortest.is_some_and(|period| day.start().as_nanos() < now.as_nanos().saturating_sub(i64::try_from(period.as_nanos()).unwrap_or(i64::MAX)))
}

/// The fate of a chunk with these streams. A stream counts as expired when all of the day is beyond its retention, so that a chunk is not written anew for every hour.
pub(crate) fn fate(streams: &[StreamManifest], day: Day, settings: &TenantSettings, now: Timestamp) -> Fate {
    let (mut kept, mut expired) = (0usize, 0usize);
    for stream in streams {
        match settings.horizon(&stream.labels, now) {
            Some(horizon) if stream.max < horizon => {
                // Counts towards the drop of a whole chunk at once, towards a rewrite only once the day is over for it.
                expired += usize::from(day.last() < horizon);
            }
            _ => kept += 1,
        }
    }
    match (kept, expired) {
        (0, _) => Fate::Drop,
        (_, 0) => Fate::Keep,
        _ => Fate::Rewrite,
    }
}

/// The chunks of a day that are not to be kept. Reads labels from the manifest where they are, else from the chunks' footers.
pub(crate) async fn find<'m>(context: &TenantContext<'_>, manifest: &'m DayManifest, cache: &ChunkCache) -> Result<Vec<(&'m ChunkEntry, Fate)>, CompactError> {
    let now = context.env.now();
    let mut found = Vec::new();
    for entry in &manifest.chunks {
        let labels = ChunkReader::labels(context.client, &ChunkRef::level1(entry), entry.labels.as_deref(), cache).await?;
        match fate(&labels.streams, manifest.day, context.settings, now) {
            Fate::Keep => {}
            fate => found.push((entry, fate)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use schema::{LabelSet, MatchOp, Matcher};

    use super::*;
    use crate::settings::RetentionRule;

    const HOUR: i64 = schema::day::NANOS_PER_HOUR;

    fn stream(env: &str, max: i64) -> StreamManifest {
        let labels = LabelSet::from_pairs([("env", env)]).unwrap();
        StreamManifest { labels, first_row: 0, rows: 1, min: Timestamp(0), max: Timestamp(max), bytes: 0, minutes: Vec::new() }
    }

    fn settings() -> TenantSettings {
        let matchers = vec![Matcher::new("env", MatchOp::Equal, "dev").unwrap()];
        TenantSettings {
            retention: Some(Duration::from_secs(100 * 3600)),
            retention_rules: vec![RetentionRule { matchers, priority: 1, period: Duration::from_secs(10 * 3600) }],
            ..TenantSettings::default()
        }
    }

    #[test]
    fn whole_chunks_go_as_soon_as_they_may_parts_of_them_once_a_day() {
        let day = Day::from_number(0).unwrap();
        let at = |hours: i64, streams: &[StreamManifest]| fate(streams, day, &settings(), Timestamp(hours * HOUR));
        let (dev, prod) = (stream("dev", HOUR), stream("prod", HOUR));
        assert_eq!(at(11, std::slice::from_ref(&dev)), Fate::Keep);
        assert_eq!(at(12, std::slice::from_ref(&dev)), Fate::Drop);
        assert_eq!(at(12, &[dev.clone(), prod.clone()]), Fate::Keep);
        assert_eq!(at(35, &[dev.clone(), prod.clone()]), Fate::Rewrite);
        assert_eq!(at(102, &[dev, prod]), Fate::Drop);
    }

    #[test]
    fn a_day_is_looked_at_only_once_its_first_row_can_be_too_old() {
        let day = Day::from_number(0).unwrap();
        assert!(!may_expire(day, &settings(), Timestamp(10 * HOUR)));
        assert!(may_expire(day, &settings(), Timestamp(10 * HOUR + 1)));
        assert!(!may_expire(day, &TenantSettings::default(), Timestamp::MAX));
    }
}
