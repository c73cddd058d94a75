//! Rows as a client knows them, and as a batch that can be stored.

use schema::{LabelSet, RowBatch, StreamRun};

/// One log line of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimRow {
    /// Whose it is: an index into the scenario's tenants.
    pub tenant: usize,
    /// Labels as pairs in name order.
    pub labels: Vec<(String, String)>,
    /// Nanoseconds since the epoch.
    pub at: i64,
    /// The line: unique in the simulation, and then the row's tag.
    pub line: String,
    /// Structured metadata in name order.
    pub metadata: Vec<(String, String)>,
}

/// Names a row by its content: two rows with the same name are the same row.
pub type RowName = u128;

impl SimRow {
    /// Its name.
    pub fn name(&self) -> RowName {
        name_of(
            self.tenant,
            self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            self.at,
            self.line.as_bytes(),
            self.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        )
    }

    /// The value of one of its labels.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// The name of a row with this content.
pub fn name_of<'a>(
    tenant: usize,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    at: i64,
    line: &[u8],
    metadata: impl Iterator<Item = (&'a str, &'a str)>,
) -> RowName {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&tenant.to_le_bytes()).update(&at.to_le_bytes());
    let mut text = |bytes: &[u8]| {
        hasher.update(&bytes.len().to_le_bytes()).update(bytes);
    };
    text(line);
    for (name, value) in labels {
        text(name.as_bytes());
        text(value.as_bytes());
    }
    text(b"and");
    for (name, value) in metadata {
        text(name.as_bytes());
        text(value.as_bytes());
    }
    let mut half = [0; 16];
    hasher.finalize_xof().fill(&mut half);
    u128::from_le_bytes(half)
}

/// The rows as one push: a run for each stretch of rows with the same labels.
pub fn batch_of(rows: &[SimRow]) -> anyhow::Result<RowBatch> {
    let mut batch = RowBatch::default();
    for row in rows {
        let labels = LabelSet::from_pairs(row.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        let at = batch.timestamps.len();
        match batch.runs.last_mut() {
            Some(run) if run.labels == labels => run.rows.end = at + 1,
            _ => batch.runs.push(StreamRun { labels, rows: at..at + 1 }),
        }
        batch.timestamps.push(row.at);
        batch.lines.push(row.line.as_bytes());
        for (name, value) in &row.metadata {
            let id = batch.metadata.intern(name);
            batch.metadata.push_pair(id, value.as_bytes());
        }
        batch.metadata.finish_row();
    }
    Ok(batch)
}
