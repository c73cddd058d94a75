//! A chunk against a model that sorts and collapses rows the obvious way, read back by Tarn and by the general Arrow reader.

mod corrupt;
mod level1;
mod model;
mod requests;
mod round_trip;
mod snapshots;

use schema::TenantId;

use crate::env::Env;
use crate::object::ObjectClient;

fn memory() -> ObjectClient {
    ObjectClient::open("memory:", &Env::system()).unwrap()
}

fn tenant() -> TenantId {
    TenantId::parse("team-a").unwrap()
}
