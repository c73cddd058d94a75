//! The delete requests of a tenant: one JSON object that is compared and swapped.
//! Owns: reading it, and changing it so that no change of another process is lost.
//! Must not know: what a request's query means, when it is carried out.

use bytes::Bytes;
use schema::key::deletes_key;
use schema::{DeleteRequests, TenantId};

use crate::env::Env;
use crate::error::StoreError;
use crate::object::{ObjectClient, SwapOutcome, Version};

/// How often a change starts over because somebody else changed the requests meanwhile.
const MAX_ATTEMPTS: u32 = 16;

/// The requests of `tenant`, and their version. One GET.
pub async fn load(client: &ObjectClient, tenant: &TenantId) -> Result<(DeleteRequests, Option<Version>), StoreError> {
    let key = deletes_key(tenant);
    match client.get_versioned(&key).await? {
        Some((bytes, version)) => Ok((decode(&key, &bytes)?, Some(version))),
        None => Ok((DeleteRequests::default(), None)),
    }
}

pub(crate) fn decode(key: &str, bytes: &[u8]) -> Result<DeleteRequests, StoreError> {
    let requests: DeleteRequests = serde_json::from_slice(bytes).map_err(|error| StoreError::corrupt_by(key, "it is no list of delete requests", error))?;
    requests.checked().map_err(|error| StoreError::corrupt_by(key, "it is no list of delete requests that this version knows", error))
}

/// Changes the requests of `tenant` with `edit`, which sees the current ones and may run several times; what its last run returned is returned. `None` from `edit`
/// means that there is nothing to change. At least one GET and one PUT.
/// Errors: those of the store. After [`crate::ErrorKind::Unavailable`] it is not known whether the change was made.
pub async fn update<T>(
    client: &ObjectClient,
    env: &Env,
    tenant: &TenantId,
    mut edit: impl FnMut(&mut DeleteRequests) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let key = deletes_key(tenant);
    for _ in 0..MAX_ATTEMPTS {
        let (mut requests, version) = load(client, tenant).await?;
        let Some(value) = edit(&mut requests) else { return Ok(None) };
        let write = format!("{:016x}{:016x}", env.random_u64(), env.random_u64());
        requests.begin_write(write.clone());
        let body = serde_json::to_vec_pretty(&requests).map_err(|error| StoreError::internal(format!("delete requests cannot be written as JSON: {error}")))?;
        match client.swap(&key, Bytes::from(body), version.as_ref()).await? {
            SwapOutcome::Committed(_) => return Ok(Some(value)),
            SwapOutcome::Conflict => {}
            SwapOutcome::Unknown => {
                let (now, current) = load(client, tenant).await?;
                if now.has_write(&write) {
                    return Ok(Some(value));
                }
                // The version that the swap asked for never comes back, so it cannot be carried out any more.
                if current == version {
                    return Err(StoreError::unclear(&key, MAX_ATTEMPTS));
                }
            }
        }
    }
    Err(StoreError::unclear(&key, MAX_ATTEMPTS))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::object::Op;
    use crate::testing::{Fault, FaultyStore};
    use schema::{DeleteRequest, Timestamp};

    fn request(n: usize) -> DeleteRequest {
        DeleteRequest { id: format!("{n:08x}").into(), query: "{}".to_owned(), start: 0, end: 1, created: 2, processed: None, receipt: Vec::new() }
    }

    #[tokio::test]
    async fn no_change_is_lost_in_a_race_with_faults() {
        let env = Env::seeded(Timestamp(0), 1);
        let (client, faults) = FaultyStore::wrap(&ObjectClient::open("memory:", &env).unwrap());
        faults.script([(Op::Put, Fault::FailAfter), (Op::Put, Fault::RefusedAfter), (Op::Put, Fault::Conflict409)]);
        let tenant = TenantId::default_tenant();
        let shared = Arc::new((client.clone(), env.clone()));
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    update(&shared.0, &shared.1, &TenantId::default_tenant(), |list| {
                        list.requests.push(request(n));
                        Some(n)
                    })
                    .await
                })
            })
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap().unwrap(), Some(n));
        }
        let (list, _) = load(&client, &tenant).await.unwrap();
        let mut ids: Vec<&str> = list.requests.iter().map(|r| &*r.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["00000000", "00000001", "00000002", "00000003", "00000004", "00000005", "00000006", "00000007"]);
        assert_eq!(update(&client, &env, &tenant, |_| None::<()>).await.unwrap(), None);
    }
}
