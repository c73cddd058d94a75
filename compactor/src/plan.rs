//! The pure planner: chunks of one tenant in, jobs out. No I/O, no clock.

use schema::ChunkKey;

/// What the planner knows of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkSummary {
    /// Its name, with time range, rows and content hash.
    pub key: ChunkKey,
    /// Stored bytes.
    pub size: u64,
}

/// Chunks to be merged into fewer, larger ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionJob {
    /// The inputs. They stay readable until a grace period after the commit that replaces them.
    pub inputs: Vec<ChunkKey>,
}

/// The jobs that would improve a snapshot. This version merges nothing: level-0 chunks stay as they were written, which is
/// always right to read, and slower the more of them a query meets.
pub fn plan(_level0: &[ChunkSummary]) -> Vec<CompactionJob> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::{ChunkHash, LabelBloom, TenantId, Timestamp};

    #[test]
    fn a_plan_names_no_chunk_that_it_was_not_given() {
        let key = ChunkKey {
            tenant: TenantId::default_tenant(),
            min: Timestamp(0),
            max: Timestamp(1),
            rows: 1,
            bloom: LabelBloom::default(),
            hash: ChunkHash([0; 16]),
        };
        let given = [ChunkSummary { key, size: 10 }];
        for job in plan(&given) {
            assert!(job.inputs.iter().all(|input| given.iter().any(|chunk| chunk.key == *input)));
        }
    }
}
