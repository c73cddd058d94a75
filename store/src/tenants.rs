//! Which tenants a store has: those whose folder is there.
//! Owns: the LIST of tenant folders.
//! Must not know: what is in them.

use schema::TenantId;
use schema::key::TENANT_FOLDER;

use crate::error::StoreError;
use crate::object::ObjectClient;

/// The tenants of a store, ascending. One LIST per 1000 of them. A tenant of a directory store may have no objects any more.
/// Errors: [`StoreError::Corrupt`] for a folder that begins as a tenant's but names none: its rows would never be looked after.
pub async fn list(client: &ObjectClient) -> Result<Vec<TenantId>, StoreError> {
    let mut tenants = Vec::new();
    for folder in client.folders("").await? {
        let Some(id) = folder.strip_prefix(TENANT_FOLDER) else { continue };
        tenants.push(TenantId::parse(id).map_err(|error| StoreError::corrupt_by(&*folder, "it is the folder of no tenant", error))?);
    }
    tenants.sort_unstable();
    Ok(tenants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use bytes::Bytes;
    use schema::Timestamp;

    #[tokio::test]
    async fn tenants_are_folders_and_a_folder_of_no_tenant_is_an_error() {
        let client = ObjectClient::open("memory:", &Env::seeded(Timestamp(0), 1)).unwrap();
        for key in ["tarn.json", "probe/x", "t=b/l0/a/x", "t=b/m/deletes", "t=a-b/l0/a/x", "t=object"] {
            client.create(key, Bytes::new()).await.unwrap();
        }
        assert_eq!(list(&client).await.unwrap().iter().map(TenantId::as_str).collect::<Vec<_>>(), ["a-b", "b"]);
        client.create("t=ü/l0/a/x", Bytes::new()).await.unwrap();
        let error = list(&client).await.unwrap_err();
        assert!(error.chain().contains("t=ü") && error.chain().contains("unsupported character"), "{}", error.chain());
    }
}
