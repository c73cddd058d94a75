//! Small chunks with the borders of large ones.

use schema::{RowBatch, TenantId};

use crate::chunk::WriteOptions;
use crate::chunk::{BuiltChunk, build_with};
use crate::error::StoreError;

/// As [`crate::chunk::build`], with pages of at most `page_rows` rows and a few pages per row group.
pub fn build_in_pages(tenant: &TenantId, batches: &[RowBatch], page_rows: usize) -> Result<BuiltChunk, StoreError> {
    build_with(tenant, batches, &WriteOptions { page_rows, row_group_line_bytes: 64 * page_rows, ..WriteOptions::default() })
}
