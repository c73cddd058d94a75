//! Syslog (RFC 5424, and RFC 3164 as it is met in the wild): bytes in pieces become messages (`frame`), a message's header is read (`message`, `time`), messages become rows (`rows`).
//! Owns: framing (RFC 6587), what the parts of a message become, what happens to what is no message: it is stored whole, with a mark, never dropped.
//! Must not know: sockets.
//!
//! Syslog has no acknowledgement, so whoever reads a socket stops reading while the store takes nothing more, and keeps what it has read until [`store()`] says that it is durable.

mod frame;
mod message;
mod rows;
mod settings;
mod time;

pub use frame::{Frame, FrameReader};
pub use rows::{SyslogCounts, SyslogDecoder, SyslogRows};
pub use settings::{SYSLOG_FIELDS, SyslogSettings};

use schema::TenantId;

use crate::commit::Ingester;
use crate::error::CommitError;

/// Stores rows. `Ok` means that they are durable, and counted. On an error nothing is acknowledged and the same rows should be stored again: copies that were stored
/// after all collapse.
pub async fn store(ingester: &Ingester, tenant: &TenantId, rows: &SyslogRows) -> Result<(), CommitError> {
    ingester.push(tenant, rows.decoded.batch.clone()).await?;
    ingester.metrics().received(rows.decoded.lines, rows.decoded.bytes, &rows.decoded.rejected);
    Ok(())
}
